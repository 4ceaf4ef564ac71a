import math

import pytest

from archsearch.proxy import Recipe
from archsearch.proxy.schedule import learning_rate, rung_end, stable_until

WSD = Recipe(learning_rate=1.0, schedule="wsd", warmup=0.1, decay=0.25)


def test_the_rate_rises_in_a_line_and_falls_in_half_a_cosine():
    recipe = Recipe(learning_rate=1.0, warmup=0.2)
    rates = [learning_rate(step, 10, recipe) for step in range(10)]

    # two steps up; then (1 + cos(pi * k / 8)) / 2 for k from 0 to 7
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[4] == pytest.approx((1 + math.sqrt(0.5)) / 2)  # k = 2: cos 45 degrees
    assert rates[6] == pytest.approx(0.5)  # k = 4: cos 90 degrees
    assert rates[8] == pytest.approx((1 - math.sqrt(0.5)) / 2)  # k = 6: cos 135 degrees


def test_without_warm_up_the_rate_starts_at_its_peak():
    assert learning_rate(0, 10, Recipe(learning_rate=0.5, warmup=0.0)) == 0.5


@pytest.mark.parametrize("warmup", [0.0, 0.5, 0.99])
def test_one_step_has_a_rate(warmup):
    assert learning_rate(0, 1, Recipe(learning_rate=2e-3, warmup=warmup)) == 2e-3


def test_wsd_rises_stays_and_falls_to_nothing_in_a_line():
    rates = [learning_rate(step, 20, WSD) for step in range(20)]

    assert rates == pytest.approx([0.5, 1.0] + [1.0] * 13 + [1.0, 0.8, 0.6, 0.4, 0.2])


def test_an_annealed_copy_falls_over_its_own_last_part():
    rates = [learning_rate(step, 20, WSD, end=8) for step in range(8)]

    assert rates == pytest.approx([0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5])


def test_an_annealed_copy_shares_all_but_its_last_part_with_the_whole_training():
    shared = stable_until(8, WSD)

    assert shared == 6
    assert [learning_rate(step, 20, WSD, end=8) for step in range(shared)] == [
        learning_rate(step, 20, WSD) for step in range(shared)
    ]


@pytest.mark.parametrize("end", [1, 2, 3])
def test_the_shortest_copy_still_has_a_step_to_fall_in(end):
    assert stable_until(end, WSD) == end - 1
    assert learning_rate(end - 1, 1000, WSD.model_copy(update={"warmup": 0.0}), end=end) == 1.0


def test_a_rung_is_a_share_of_the_steps():
    assert [rung_end(share, 90) for share in (1 / 9, 1 / 3, 1)] == [10, 30, 90]
    assert rung_end(1e-6, 90) == 1
