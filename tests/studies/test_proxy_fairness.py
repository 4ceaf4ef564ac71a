"""The proxy study's own statistics, and how its recorded tables name the groups of candidates."""

import numpy as np
import pandas as pd
import pytest

from archsearch.stats.rank_correlation import rank_correlation
from studies.proxy_fairness.report import candidates, difference
from studies.proxy_fairness.training import GROUPS, HERE, group_of


def noisy(count, seed):
    generator = np.random.default_rng(seed)
    y = generator.normal(size=count)
    return pd.Series(y + generator.normal(size=count)), pd.Series(y)


def test_a_difference_is_that_of_the_two_values():
    (x, y), (z, _) = noisy(50, 0), noisy(50, 3)
    by_hand = rank_correlation(x, y).value - rank_correlation(z, y).value

    assert difference(x, z, y).value == pytest.approx(by_hand)
    assert difference(z, x, y).value == pytest.approx(-by_hand)


def test_what_two_columns_share_cancels_in_their_difference():
    x, y = noisy(60, 0)
    almost = x + np.random.default_rng(5).normal(size=60) / 20
    alone, paired = rank_correlation(x, y), difference(x, almost, y)

    assert paired.high - paired.low < (alone.high - alone.low) / 3


def test_columns_of_other_lengths_are_refused():
    x, y = noisy(5, 0)

    with pytest.raises(ValueError, match="finite values were expected"):
        difference(x, x[:4], y)


@pytest.mark.parametrize(
    ("layout", "group"),
    [
        ("P-CCC", "all-conv"),
        ("T-TTT", "all-token"),
        ("P-MMT", "global-from"),
        ("P-CMT", "global-from"),
        ("C-TCM", "mixed"),
    ],
)
def test_a_layout_belongs_to_the_group_that_the_tables_name(layout, group):
    assert group_of(layout) == group


def test_the_recorded_candidates_are_sixteen_in_each_group():
    table = candidates(pd.read_csv(HERE / "trainings.csv"))

    assert table["group"].value_counts().to_dict() == dict.fromkeys(GROUPS, 16)
    named = table["family"].str.replace(r"-\d+$", "", regex=True)
    assert (named == table["group"]).all()
