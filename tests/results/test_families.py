import math

import pytest
from trial_frames import trials_of

from archsearch.results.families import (
    DISAGREEMENT_COLUMNS,
    FAMILY_COLUMNS,
    FRONT_COLUMNS,
    PRICE_COLUMNS,
    disagreement_frame,
    families_frame,
    fronts_frame,
    members,
    price_frame,
)
from archsearch.stats.hypervolume import Indicators
from archsearch.stats.seeds import SeedSpread

OBJECTIVES = ("top1", "latency_ms")
SPREAD = SeedSpread(deviation=0.01, degrees=4, samples=512)
MARGIN = 2.7764451051977987 * 0.01
LOCAL = [
    {"latency_ms": 1.0, "top1": 0.40},
    {"latency_ms": 2.0, "top1": 0.50},
    {"latency_ms": 4.0, "top1": 0.55},
    {"latency_ms": 4.0, "top1": 0.30},
]
TOKENS = [
    {"latency_ms": 2.0, "top1": 0.45, "family": "all-global", "layout": "P-TTT", "globality": 0.9},
    {"latency_ms": 4.0, "top1": 0.65, "family": "all-global", "layout": "P-TTT", "globality": 0.9},
    {"latency_ms": 5.0, "top1": 0.60, "family": "all-global", "layout": "P-TTT", "globality": 0.8},
]
TRIALS = trials_of(*LOCAL, *TOKENS)


@pytest.fixture(scope="module")
def families():
    return families_frame(TRIALS, OBJECTIVES, SPREAD)


def test_a_row_is_a_family_from_local_to_global(families):
    assert list(families.columns) == list(FAMILY_COLUMNS)
    assert families["family"].tolist() == ["all-local", "all-global"]
    four = trials_of(*({"family": name} for name in ("mixed", "all-global", "global-from-1", "all-local")))
    assert [name for name, _ in members(four)] == ["all-local", "global-from-1", "mixed", "all-global"]


def test_trained_and_its_share_count_candidates_trained_to_the_end(families):
    assert families["trained"].tolist() == [4, 3]
    assert families["trained_share"].tolist() == pytest.approx([4 / 7, 3 / 7])


def test_on_frontier_counts_the_points_of_the_common_front(families):
    # 1 ms 0.40 and 2 ms 0.50 of all-local; 4 ms 0.65 of all-global.
    assert families["on_frontier"].tolist() == [2, 1]


def test_number_and_top1_are_those_of_the_most_accurate(families):
    assert families["number"].tolist() == [2, 5]
    assert families["top1"].tolist() == [0.55, 0.65]


def test_top1_low_and_high_are_the_interval_of_a_single_training(families):
    assert families["top1_low"].tolist() == pytest.approx([0.55 - MARGIN, 0.65 - MARGIN])
    assert families["top1_high"].tolist() == pytest.approx([0.55 + MARGIN, 0.65 + MARGIN])
    assert families_frame(TRIALS, OBJECTIVES)["top1_low"].isna().all()


def test_budget_is_the_size_of_the_smallest_family_that_has_four(families):
    assert families["budget"][0] == 4
    assert families["budget"].isna()[1]


def test_hypervolume_of_a_family_at_its_full_size_is_its_own(families):
    own = Indicators.of(TRIALS, OBJECTIVES).hypervolume(TRIALS[:4])

    assert families["hypervolume"][0] == pytest.approx(own)
    assert families["hypervolume_low"].isna().all()


def test_a_larger_family_is_cut_down_to_the_budget_of_the_smaller_one_at_random():
    more = trials_of(*LOCAL, *TOKENS, {**TOKENS[0], "top1": 0.2})
    five = trials_of(*LOCAL, {"latency_ms": 8.0, "top1": 0.1}, *TOKENS, {**TOKENS[0], "top1": 0.2})
    whole = Indicators.of(five, OBJECTIVES).hypervolume(five[:5])
    row = families_frame(five, OBJECTIVES).iloc[0]

    assert families_frame(more, OBJECTIVES)["budget"].tolist() == [4, 4]
    assert row["budget"] == 4
    assert row["hypervolume_low"] < row["hypervolume"] < whole
    assert row["hypervolume_high"] == pytest.approx(whole)


def test_hypervolume_added_is_what_the_front_loses_without_the_family(families):
    indicators = Indicators.of(TRIALS, OBJECTIVES)
    whole = indicators.hypervolume(TRIALS)

    assert families["hypervolume_added"].tolist() == pytest.approx(
        [whole - indicators.hypervolume(TRIALS[4:]), whole - indicators.hypervolume(TRIALS[:4])]
    )


def test_a_run_of_one_family_owes_it_everything():
    frame = families_frame(TRIALS[:4], OBJECTIVES)

    assert frame["hypervolume_added"][0] == pytest.approx(frame["hypervolume"][0])


def test_an_empty_run_has_no_families_fronts_or_prices():
    nothing = TRIALS[:0]

    assert list(families_frame(nothing, OBJECTIVES).columns) == list(FAMILY_COLUMNS)
    assert list(fronts_frame(nothing, "latency_ms").columns) == list(FRONT_COLUMNS)
    assert list(price_frame(nothing, "latency_ms").columns) == list(PRICE_COLUMNS)
    assert list(disagreement_frame(nothing).columns) == list(DISAGREEMENT_COLUMNS)


def test_fronts_have_the_points_that_no_other_of_the_family_beats_cheapest_first():
    frame = fronts_frame(TRIALS, "latency_ms")

    assert list(frame.columns) == list(FRONT_COLUMNS)
    assert frame["family"].tolist() == ["all-local"] * 3 + ["all-global"] * 2
    assert frame["number"].tolist() == [0, 1, 2, 4, 5]
    assert frame["architecture"].tolist() == ["a0", "a1", "a2", "a4", "a5"]
    assert frame["layout"].tolist() == ["C-CCC"] * 3 + ["P-TTT"] * 2
    assert frame["globality"].tolist() == [0.1, 0.1, 0.1, 0.9, 0.9]
    assert frame["cost"].tolist() == [1.0, 2.0, 4.0, 2.0, 4.0]
    assert frame["top1"].tolist() == [0.40, 0.50, 0.55, 0.45, 0.65]


@pytest.fixture(scope="module")
def price():
    return price_frame(TRIALS, "latency_ms", SPREAD).iloc[0]


def test_price_is_the_best_of_the_family_against_the_best_of_all_conv(price):
    assert (price["family"], price["number"], price["against"]) == ("all-global", 5, 2)
    assert (price["cost"], price["cost_against"]) == (4.0, 4.0)
    assert (price["top1"], price["top1_against"]) == (0.65, 0.55)
    assert price["gain"] == pytest.approx(0.10)
    assert price["extra_cost"] == 0


def test_gain_per_cost_is_accuracy_for_a_unit_of_cost_where_global_is_dearer(price):
    import pandas as pd

    dearer = trials_of({"latency_ms": 1.0, "top1": 0.4}, {**TOKENS[0], "latency_ms": 3.0, "top1": 0.5})
    assert price_frame(dearer, "latency_ms")["gain_per_cost"][0] == pytest.approx(0.1 / 2)
    assert pd.isna(price["gain_per_cost"])


def test_gain_at_equal_cost_is_the_mean_height_over_the_common_range(price):
    # From 2 to 4 ms both have a network: 0.45 against 0.50, and at 4 ms alone 0.65 against 0.55.
    expected = (100 * (0.45 - 0.50) + 0.10) / 101

    assert price["gain_at_equal_cost"] == pytest.approx(expected)


def test_its_interval_lets_each_network_err_once(price):
    shares = ((100 / 101) ** 2 + (1 / 101) ** 2) * 2
    margin = MARGIN * math.sqrt(shares)

    assert price["gain_at_equal_cost"] - price["gain_at_equal_cost_low"] == pytest.approx(margin)
    assert price["gain_at_equal_cost_high"] - price["gain_at_equal_cost"] == pytest.approx(margin)


def test_a_family_that_is_always_cheaper_is_compared_at_what_all_conv_costs():
    cheaper = trials_of({"latency_ms": 2.0, "top1": 0.5}, {**TOKENS[0], "latency_ms": 1.0, "top1": 0.4})

    assert price_frame(cheaper, "latency_ms")["gain_at_equal_cost"][0] == pytest.approx(-0.1)


def test_without_an_all_conv_network_there_is_no_price():
    assert price_frame(TRIALS[4:], "latency_ms").empty


def test_disagreement_is_a_point_of_the_macs_front_that_a_faster_one_beats():
    trials = trials_of(
        {"macs": 100, "latency_ms": 5.0, "top1": 0.5, "family": "mixed", "layout": "C-MCM"},
        {"macs": 200, "latency_ms": 2.0, "top1": 0.5},
        {"macs": 300, "latency_ms": 3.0, "top1": 0.6},
    )
    frame = disagreement_frame(trials)

    assert list(frame.columns) == list(DISAGREEMENT_COLUMNS)
    assert frame["number"].tolist() == [0]
    assert (frame["family"][0], frame["layout"][0], frame["macs"][0]) == ("mixed", "C-MCM", 100)
    assert (frame["latency_ms"][0], frame["top1"][0]) == (5.0, 0.5)
    assert (frame["beaten_by"][0], frame["latency_factor"][0]) == (1, 2.5)


def test_latencies_within_each_others_quartiles_do_not_disagree():
    trials = trials_of(
        {"macs": 100, "latency_ms": 2.2, "latency_iqr_ms": 0.15},
        {"macs": 200, "latency_ms": 2.0, "latency_iqr_ms": 0.1},
    )

    assert disagreement_frame(trials).empty
