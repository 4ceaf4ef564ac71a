import math

import pytest
from trial_frames import TRAININGS

from archsearch.results.repeats import repeats_frame
from archsearch.stats.seeds import SeedSpread, seed_spread


def test_the_deviation_is_pooled_over_architectures_by_hand():
    # Squares: 2 x 0.01^2 around 0.51; 0.01^2 + 0.01^2 + 0.02^2 around 0.61. Degrees: 1 + 2.
    spread = seed_spread(repeats_frame(TRAININGS), 1000)

    assert spread == SeedSpread(pytest.approx(math.sqrt((2e-4 + 6e-4) / 3)), 3, 1000)


def test_a_single_seed_tells_no_spread():
    once = {"final:aa:0": {"top1": 0.5, "samples": 10}, "final:bb:0": {"top1": 0.9, "samples": 10}}

    assert seed_spread(repeats_frame(once), 10) is None
    assert seed_spread(repeats_frame({}), 10) is None


def test_the_budget_that_is_nearest_by_its_logarithm_counts():
    short = {f"final:aa:{seed}": {"top1": seed / 10, "samples": 100} for seed in range(2)}
    long = {f"final:bb:{seed}": {"top1": seed / 100, "samples": 1600} for seed in range(2)}
    repeats = repeats_frame({**short, **long})

    assert seed_spread(repeats, 390).samples == 100
    assert seed_spread(repeats, 410).samples == 1600
    assert seed_spread(repeats, None).samples == 100


def test_margins_follow_students_t():
    spread = SeedSpread(deviation=0.01, degrees=2, samples=1)
    t = 4.302652729911275

    assert spread.margin() == pytest.approx(t * 0.01)
    assert spread.margin(4) == pytest.approx(t * 0.005)
    assert spread.margin_between() == pytest.approx(t * 0.01 * math.sqrt(2))
