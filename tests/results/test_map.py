import math

import pytest
from trial_frames import trials_of

from archsearch.results.map import (
    COLUMNS,
    best_globality,
    coverage,
    map_frame,
)
from archsearch.results.repeats import repeats_frame
from archsearch.stats.seeds import SeedSpread, seed_spread

# 1 to 32 ms in five steps of a factor of two.
TRIALS = trials_of(
    {"globality": 0.05, "latency_ms": 1.0, "top1": 0.40},
    {"globality": 0.10, "latency_ms": 1.5, "top1": 0.45, "layout": "C-CCM", "family": "global-from-2"},
    {"globality": 0.10, "latency_ms": 3.0, "top1": 0.60},
    {"globality": 0.90, "latency_ms": 32.0, "top1": 0.70, "family": "all-global"},
    {"globality": 0.50, "latency_ms": 4.5, "top1": 0.99, "outcome": "stopped"},
)
SPREAD = SeedSpread(deviation=0.01, degrees=4, samples=512)
T_4 = 2.7764451051977987  # Student's t, 4 degrees of freedom, two-sided 95 %


@pytest.fixture(scope="module")
def frame():
    return map_frame(TRIALS, "latency_ms", SPREAD)


def test_each_cell_that_holds_a_trained_candidate_is_a_row_local_and_cheap_ones_first(frame):
    assert list(frame.columns) == list(COLUMNS)
    assert frame["number"].tolist() == [1, 2, 3]


def test_globality_low_and_high_are_the_fifth_of_the_axis(frame):
    assert frame["globality_low"].tolist() == pytest.approx([0, 0, 0.8])
    assert frame["globality_high"].tolist() == pytest.approx([0.2, 0.2, 1])


def test_cost_low_and_high_are_equal_steps_of_the_logarithm(frame):
    assert frame["cost_low"].tolist() == pytest.approx([1, 2, 16])
    assert frame["cost_high"].tolist() == pytest.approx([2, 4, 32])


def test_trials_counts_the_candidates_of_the_cell(frame):
    assert frame["trials"].tolist() == [2, 1, 1]


def test_number_architecture_layout_family_globality_and_cost_are_those_of_the_most_accurate(frame):
    best = frame.iloc[0]

    assert (best["number"], best["architecture"], best["layout"]) == (1, "a1", "C-CCM")
    assert (best["family"], best["globality"], best["cost"]) == ("global-from-2", 0.10, 1.5)


def test_top1_is_the_best_accuracy_of_the_cell(frame):
    assert frame["top1"].tolist() == [0.45, 0.60, 0.70]


def test_of_equal_accuracies_the_cheapest_stands_for_the_cell():
    twice = trials_of({"latency_ms": 2.0}, {"latency_ms": 1.9}, {"latency_ms": 8.0})

    assert map_frame(twice, "latency_ms")["number"].tolist() == [1, 2]


def test_top1_low_and_high_are_the_interval_of_a_single_training(frame):
    assert frame["top1_low"].tolist() == pytest.approx([0.45 - T_4 / 100, 0.60 - T_4 / 100, 0.70 - T_4 / 100])
    assert frame["top1_high"][0] == pytest.approx(0.45 + T_4 / 100)
    assert frame["seeds"].tolist() == [1, 1, 1]


def test_without_a_spread_there_is_no_interval():
    frame = map_frame(TRIALS, "latency_ms")

    assert frame["top1_low"].isna().all()
    assert frame["top1_high"].isna().all()


def test_seeds_of_a_candidate_of_its_own_make_its_interval_narrower():
    repeats = repeats_frame(
        {f"final:a3:{seed}": {"top1": top1, "samples": 512} for seed, top1 in enumerate((0.68, 0.69, 0.73))}
    )
    spread = seed_spread(repeats, 512)
    row = map_frame(TRIALS, "latency_ms", spread, repeats).iloc[2]
    # Mean 0.70, squares 4 + 1 + 9, two degrees of freedom; t = 4.3027 for them.
    margin = 4.302652729911275 * math.sqrt(14e-4 / 2) / math.sqrt(3)

    assert row["seeds"] == 3
    assert (row["top1_low"], row["top1_high"]) == pytest.approx((0.70 - margin, 0.70 + margin))


def test_coverage_counts_cells_with_and_without_a_candidate(frame):
    assert coverage(frame, TRIALS, "latency_ms") == (3, 25)


def test_the_best_globality_is_that_of_the_most_accurate_cell_with_what_seeds_do_not_tell_from_it(frame):
    assert best_globality(frame, None) == (0.90, 0.90, 0.90)
    # Two trainings differ by chance up to sqrt(2) t sd: 0.70 - 0.60 is beyond 0.039, and within 0.118.
    assert best_globality(frame, SPREAD) == (0.90, 0.90, 0.90)
    assert best_globality(frame, SeedSpread(0.03, 4, 512)) == (0.90, 0.10, 0.90)


def test_an_empty_run_has_an_empty_map():
    frame = map_frame(TRIALS[:0], "latency_ms")

    assert frame.empty
    assert list(frame.columns) == list(COLUMNS)
    assert best_globality(frame, SPREAD) is None
