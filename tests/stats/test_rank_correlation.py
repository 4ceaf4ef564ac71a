"""Rank statistics and their intervals: by hand, against scipy, and on simulated data whose truth is known."""

import math
import warnings
from functools import partial as fixed

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from archsearch.stats.rank_correlation import (
    Estimate,
    correlations,
    estimate,
    partial,
    rank_correlation,
    resamples,
)

SCIPY = {"kendall": scipy.stats.kendalltau, "spearman": scipy.stats.spearmanr}
both_methods = pytest.mark.parametrize("method", SCIPY)

# Few values and many candidates: ties everywhere.
tied = st.integers(0, 4).map(float)
pairs = st.lists(st.tuples(tied, tied), min_size=5, max_size=24)
triples = st.lists(st.tuples(tied, tied, tied), min_size=5, max_size=24)


def value(x, y, **settings):
    """Of the candidates as they are; the resamples are not asked for."""
    return correlations(x, y, resamples(len(x), times=1), **settings)[0]


def by_scipy(method, x, y):
    """NaN where a column is constant, without the warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SCIPY[method](x, y).statistic


def noisy(candidates, *, signal=1.0, seed=0):
    """Two columns of which the second is the first and noise."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=candidates)
    return x, signal * x + generator.normal(size=candidates)


def test_tau_is_concordant_less_discordant_over_all_pairs():
    # Of ten pairs only (3, 2) is discordant.
    assert value([1, 2, 3, 4, 5], [1, 3, 2, 4, 5]) == (9 - 1) / 10


def test_tau_b_counts_the_pairs_that_each_column_does_not_tie():
    # Nine concordant pairs; x ties one of ten, y none.
    assert value([1, 1, 2, 3, 4], [1, 2, 3, 4, 5]) == pytest.approx(9 / math.sqrt(9 * 10))


def test_rho_is_one_less_six_times_the_squared_rank_differences():
    # Two ranks differ by one: 1 - 6 * 2 / (5 * (25 - 1)).
    assert value([1, 2, 3, 4, 5], [1, 3, 2, 4, 5], method="spearman") == pytest.approx(0.9)


@both_methods
@given(rows=pairs)
def test_with_ties_both_are_what_scipy_says(method, rows):
    x, y = zip(*rows, strict=True)
    assume(len(set(x)) > 1 and len(set(y)) > 1)

    assert value(x, y, method=method) == pytest.approx(by_scipy(method, x, y), abs=1e-12)


@both_methods
def test_more_candidates_than_one_block_holds_change_nothing(method):
    x, y = noisy(700)

    assert value(x, y, method=method) == pytest.approx(by_scipy(method, x, y), abs=1e-12)


@both_methods
@given(rows=pairs, seed=st.integers(0, 99))
def test_a_weighted_resample_is_the_resample_written_out(method, rows, seed):
    x, y = map(np.array, zip(*rows, strict=True))
    weights = resamples(len(x), times=4, seed=seed)

    values = correlations(x, y, weights, method=method)

    written = [[np.repeat(column, w.astype(int)) for column in (x, y)] for w in weights.T]
    assert values == pytest.approx(
        [by_scipy(method, *columns) for columns in written], abs=1e-12, nan_ok=True
    )


@both_methods
def test_many_candidates_resampled_are_the_resamples_written_out(method):
    x, y = map(fixed(np.round, decimals=1), noisy(300))
    weights = resamples(300)

    values = correlations(x, y, weights, method=method)

    for column in (0, 1, 217, 218, 219, 2000):
        written = [np.repeat(c, weights[:, column].astype(int)) for c in (x, y)]
        assert values[column] == pytest.approx(by_scipy(method, *written), abs=1e-12)


def test_the_first_resample_is_everyone_once_and_each_has_as_many_as_there_are():
    weights = resamples(7, times=50)

    assert weights.shape == (7, 51)
    assert (weights[:, 0] == 1).all()
    assert (weights.sum(axis=0) == 7).all()


def test_candidates_are_drawn_evenly():
    # A thousand draws each; five standard deviations.
    drawn = resamples(8, times=1_000)[:, 1:].sum(axis=1)

    assert abs(drawn - 1_000).max() < 5 * math.sqrt(1_000)


def test_the_partial_formula_by_hand():
    found = partial(np.array([0.6]), np.array([0.5]), np.array([0.4]))

    assert found == pytest.approx((0.6 - 0.5 * 0.4) / math.sqrt((1 - 0.25) * (1 - 0.16)))


def at_fixed(third, x, y, weights, method):
    """The correlation of x and y at a fixed third column, in each resample."""
    pairs = ((x, y), (x, third), (y, third))
    return partial(*(correlations(a, b, weights, method=method) for a, b in pairs))


@both_methods
@given(rows=triples)
def test_a_partial_correlation_is_made_of_the_three_plain_ones(method, rows):
    x, y, z = zip(*rows, strict=True)
    xy, xz, yz = (by_scipy(method, a, b) for a, b in ((x, y), (x, z), (y, z)))
    assume(abs(xz) < 0.999 and abs(yz) < 0.999)

    expected = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))

    assert at_fixed(z, x, y, resamples(len(x), times=0), method) == pytest.approx(expected, abs=1e-9)
    assert abs(expected) < 1 + 1e-9


@both_methods
def test_what_follows_size_alone_says_nothing_at_fixed_size(method):
    size = np.random.default_rng(1).normal(size=400)
    x, y = (size + np.random.default_rng(seed).normal(size=400) / 3 for seed in (2, 3))

    assert rank_correlation(x, y, method=method).value > 0.6
    assert abs(at_fixed(size, x, y, resamples(400), method)[0]) < 0.2


@both_methods
def test_the_order_of_values_is_all_that_counts(method):
    x, y = noisy(20)

    assert rank_correlation(x, y, method=method) == rank_correlation(np.exp(9 * x), y**3, method=method)


@both_methods
def test_perfect_ranks_have_no_spread(method):
    up, down = np.arange(12.0), -np.arange(12.0)

    assert rank_correlation(up, up, method=method) == Estimate(1, 1, 1)
    assert rank_correlation(up, down, method=method) == Estimate(-1, -1, -1)


UNDEFINED = {
    "constant x": ([1] * 6, range(6), None),
    "constant y": (range(6), [1] * 6, None),
    "constant third": (range(6), [0, 2, 1, 3, 4, 5], [1] * 6),
    "x is the third": (range(6), [0, 2, 1, 3, 4, 5], range(6)),
    "y is the third backwards": ([0, 2, 1, 3, 4, 5], range(6), range(6, 0, -1)),
    "four candidates": (range(4), range(4), None),
    "one candidate": ([1], [1], None),
    "no candidates": ([], [], None),
}


@both_methods
@pytest.mark.parametrize("columns", UNDEFINED.values(), ids=UNDEFINED)
def test_what_is_not_defined_is_not_a_number(method, columns):
    x, y, third = (None if column is None else list(column) for column in columns)

    found = rank_correlation(x, y, method=method)
    if third is not None:
        found = estimate(at_fixed(third, x, y, resamples(len(x)), method))

    assert all(math.isnan(v) for v in (found.value, found.low, found.high))


def test_resamples_in_which_nothing_varies_are_left_out():
    # The only odd one is missing from 0.8^5 = 33 % of the resamples.
    x, y = [0, 0, 0, 0, 1], [1, 2, 3, 4, 5]
    values = correlations(x, y, resamples(5))

    assert np.isnan(values).mean() == pytest.approx(0.8**5, abs=0.05)
    assert estimate(values).low == np.quantile(values[1:][~np.isnan(values[1:])], 0.025)


def test_an_estimate_without_a_defined_resample_is_not_a_number():
    assert math.isnan(estimate(np.array([0.5, np.nan, np.nan])).value)


def test_the_interval_holds_the_middle_95_percent():
    values = np.concatenate([[0.7], np.linspace(0, 1, 2_001)])

    assert estimate(values) == Estimate(0.7, pytest.approx(0.025), pytest.approx(0.975))


REFUSED = {"nan": [1, 2, 3, 4, np.nan], "infinite": [1, 2, 3, 4, -np.inf], "too short": [1, 2, 3, 4]}


@pytest.mark.parametrize("column", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_ranked_is_refused(column):
    with pytest.raises(ValueError, match="5 finite values were expected"):
        rank_correlation([1, 2, 3, 4, 5], column)


@both_methods
def test_the_same_data_have_the_same_interval_and_another_seed_has_another(method):
    ask = fixed(rank_correlation, *noisy(40), method=method)

    assert ask() == ask()
    assert ask(seed=1) != ask()
    assert ask(seed=1).value == ask().value


def test_more_candidates_have_a_narrower_interval():
    few, many = (rank_correlation(*noisy(count)) for count in (30, 300))

    assert many.high - many.low < (few.high - few.low) / 2


def holds(found, truth):
    return found.low <= truth <= found.high


@pytest.mark.parametrize(
    # Of normal columns with correlation r: Greiner's relation, and Pearson's of 1907.
    ("method", "truth"),
    [("kendall", 2 / math.pi * math.asin(0.6)), ("spearman", 6 / math.pi * math.asin(0.6 / 2))],
)
def test_the_interval_covers_the_truth_as_often_as_it_says(method, truth):
    weights = resamples(50, times=500)
    columns = [noisy(50, signal=0.75, seed=seed) for seed in range(300)]

    covered = [holds(estimate(correlations(x, y, weights, method=method)), truth) for x, y in columns]

    assert 0.90 <= np.mean(covered) <= 0.985


def test_the_interval_of_a_difference_covers_nought_where_two_are_equally_good():
    covered = []
    for seed in range(200):
        y, a = noisy(50, seed=seed)
        b = y + np.random.default_rng(1_000 + seed).normal(size=50)
        weights = resamples(50, times=500, seed=seed)
        covered.append(holds(estimate(correlations(a, y, weights) - correlations(b, y, weights)), 0))

    assert 0.90 <= np.mean(covered) <= 0.99


def test_at_fixed_size_tau_takes_copies_of_size_for_more_and_rho_does_not():
    weights, surely = resamples(60, times=300), []
    for seed in range(100):
        size, y = noisy(60, signal=2, seed=seed)
        copy = size + np.random.default_rng(1_000 + seed).normal(size=60) / 4
        found = (estimate(at_fixed(size, copy, y, weights, method)) for method in SCIPY)
        surely.append([one.low > 0 for one in found])
    by_tau, by_rho = np.mean(surely, axis=0)

    assert by_tau > 0.5
    assert by_rho < 0.1
