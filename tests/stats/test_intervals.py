"""Intervals, against scipy's tests and by hand."""

import pytest
from scipy import stats

from archsearch.stats.intervals import mean_interval, wilson


@pytest.mark.parametrize("values", [(0.1, 0.2), (0.02, 0.03, 0.04), (-0.5, 0.1, 0.0, 0.4, 0.2)])
def test_the_interval_is_that_of_a_t_test(values):
    middle, low, high = mean_interval(values)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)

    assert middle == pytest.approx(sum(values) / len(values))
    assert (low, high) == pytest.approx((theirs.low, theirs.high))


def test_equal_differences_have_an_interval_of_no_width():
    assert mean_interval([0.25, 0.25, 0.25]) == (0.25, 0.25, 0.25)


def test_a_single_value_has_a_mean_and_no_interval_and_nothing_has_neither():
    assert mean_interval([0.25]) == (0.25, None, None)
    assert mean_interval([]) == (None, None, None)


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (10, 10), (57, 200)])
def test_the_interval_of_a_share_is_that_of_wilsons_score_test(hits, n):
    theirs = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")

    assert wilson(hits, n) == pytest.approx((theirs.low, theirs.high), abs=1e-4)
