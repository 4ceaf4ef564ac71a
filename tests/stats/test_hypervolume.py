"""Hypervolume, IGD+ and attainment: by hand on three points, then what must hold of any."""

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.stats.hypervolume import Indicators

BOTH = ("top1", "macs")


def candidates(*rows, names=BOTH):
    return pd.DataFrame(rows, columns=list(names)).astype("Float64")


# Errors of 0.5, 0.25 and 0, log10 MACs of 6, 7 and 8: in units of the ranges (1, 0), (0.5, 0.5) and (0, 1).
SMALL, MIDDLE, LARGE = (0.5, 1e6), (0.75, 1e7), (1.0, 1e8)
THREE = candidates(SMALL, MIDDLE, LARGE)


@pytest.fixture
def of_three():
    return Indicators.of(THREE, BOTH)


def test_the_best_of_each_objective_is_zero_and_the_worst_a_tenth_of_the_range_before_one(of_three):
    points = of_three.points(candidates((1.0, 1e6), (0.5, 1e8)))

    assert points.tolist() == [[0, 0], pytest.approx([1 / 1.1, 1 / 1.1])]


def test_half_the_cost_is_as_much_at_any_size(of_three):
    costs = of_three.points(candidates((1.0, 1e6), (1.0, 2e6), (1.0, 4e6), (1.0, 8e6)))[:, 1]

    assert list(costs[1:] - costs[:-1]) == pytest.approx([math.log10(2) / (1.1 * 2)] * 3)


def test_the_hypervolume_of_three_points_is_three_boxes(of_three):
    # From the most accurate on: 0.5 wide and 0.1 high, 0.5 wide and 0.6 high, 0.1 wide and 1.1 high, of 1.1 x 1.1.
    boxes = 0.5 * 0.1 + 0.5 * 0.6 + 0.1 * 1.1

    assert of_three.hypervolume(THREE) == pytest.approx(boxes / 1.1**2)


def test_the_hypervolume_of_one_point_is_its_box(of_three):
    assert of_three.hypervolume(candidates(MIDDLE)) == pytest.approx(0.6 * 0.6 / 1.1**2)


def test_the_extremes_enclose_a_volume_of_their_own(of_three):
    assert of_three.hypervolume(candidates(SMALL)) == pytest.approx(0.1 * 1.1 / 1.1**2)


def test_the_ideal_point_has_all_the_hypervolume(of_three):
    assert of_three.hypervolume(candidates((1.0, 1e6))) == 1


def test_a_dominated_point_adds_nothing(of_three):
    assert of_three.hypervolume(candidates(MIDDLE, (0.7, 2e7))) == of_three.hypervolume(candidates(MIDDLE))


def test_igd_plus_is_the_mean_of_what_is_missing_to_each_point_of_the_front(of_three):
    # The middle one lacks 0.5 of MACs to the small one, 0.5 of error to the large one, and nothing to itself.
    assert of_three.igd_plus(candidates(MIDDLE)) == pytest.approx((0.5 + 0.5 + 0) / 3 / 1.1)


def test_igd_plus_counts_what_is_worse_in_both_as_a_diagonal(of_three):
    # At (0.75, 0.6) the distances are 0.6 to (1, 0), |(0.25, 0.1)| to (0.5, 0.5), and 0.75 to (0, 1).
    worse = candidates((1 - 0.75 * 0.5, 10 ** (6 + 0.6 * 2)))

    assert of_three.igd_plus(worse) == pytest.approx((0.6 + math.hypot(0.25, 0.1) + 0.75) / 3 / 1.1)


def test_igd_plus_of_the_front_itself_is_zero(of_three):
    assert of_three.igd_plus(THREE) == 0


def test_one_of_three_points_attains_a_third(of_three):
    assert of_three.attained(candidates(MIDDLE)) == pytest.approx(1 / 3)


def test_what_dominates_a_point_of_the_front_attains_it(of_three):
    assert of_three.attained(candidates((1.0, 1e7))) == pytest.approx(2 / 3)


def test_what_is_dominated_everywhere_attains_nothing(of_three):
    assert of_three.attained(candidates((0.5, 1e8))) == 0


def test_twins_on_the_front_count_once():
    twins = Indicators.of(candidates(SMALL, SMALL, SMALL, LARGE), BOTH)

    assert len(twins.front) == 2
    assert twins.attained(candidates(SMALL)) == 0.5


def test_without_candidates_there_is_no_volume_and_no_distance(of_three):
    nothing = candidates()

    assert (of_three.hypervolume(nothing), of_three.attained(nothing)) == (0, 0)
    assert math.isnan(of_three.igd_plus(nothing))


def test_an_objective_in_which_all_are_equal_counts_nothing():
    alike = Indicators.of(candidates((0.5, 1e6), (0.7, 1e6)), BOTH)

    # Of errors alone: the worse one lies at 1 / 1.1.
    assert alike.hypervolume(candidates((0.5, 1e6))) == pytest.approx(1 - 1 / 1.1)
    assert alike.hypervolume(candidates((0.7, 1e6))) == 1


def test_one_objective_is_a_length():
    alone = Indicators.of(candidates((0.5,), (0.7,), names=("top1",)), ("top1",))

    assert alone.hypervolume(candidates((0.6,), names=("top1",))) == pytest.approx(1 - 0.5 / 1.1)


def test_three_objectives_are_a_volume():
    names = ("top1", "macs", "params")
    cube = Indicators.of(candidates((1.0, 1e6, 1e3), (0.5, 1e7, 1e4), names=names), names)

    assert cube.hypervolume(candidates((0.5, 1e7, 1e4), names=names)) == pytest.approx((0.1 / 1.1) ** 3)


def test_the_history_is_the_indicators_of_the_first_one_two_three(of_three):
    expected = [(of_three.hypervolume(THREE.head(n)), of_three.igd_plus(THREE.head(n))) for n in (1, 2, 3)]

    assert list(of_three.history(THREE)) == [pytest.approx(pair) for pair in expected]


@pytest.mark.parametrize("wrong", [(None, 1e6), (0.5, None), (0.5, 0.0), (float("nan"), 1e6)])
def test_a_candidate_that_cannot_be_ranked_is_refused(wrong):
    with pytest.raises(
        ValueError, match=r"a candidate with top1, macs of .* cannot be ranked; costs are above 0"
    ):
        Indicators.of(candidates(SMALL, wrong), BOTH)


some = st.lists(
    st.tuples(st.integers(0, 64).map(lambda right: right / 64), st.integers(1, 10_000).map(float)),
    min_size=2,
    max_size=12,
)


@given(rows=some)
def test_every_share_lies_between_zero_and_one(rows):
    union = candidates(*rows)
    indicators = Indicators.of(union, BOTH)

    assert 0 < indicators.hypervolume(union) <= 1
    assert (indicators.igd_plus(union), indicators.attained(union)) == (0, 1)


@given(rows=some)
def test_one_candidate_more_never_makes_a_set_worse(rows):
    indicators = Indicators.of(candidates(*rows), BOTH)
    before, after = candidates(*rows[:-1]), candidates(*rows)

    assert indicators.hypervolume(after) >= indicators.hypervolume(before) - 1e-12
    assert indicators.igd_plus(after) <= indicators.igd_plus(before) + 1e-12
    assert indicators.attained(after) >= indicators.attained(before)


@given(rows=some, data=st.data())
def test_the_order_of_the_candidates_does_not_matter(rows, data):
    mixed = data.draw(st.permutations(rows))
    part = len(rows) // 2 + 1
    one, other = Indicators.of(candidates(*rows), BOTH), Indicators.of(candidates(*mixed), BOTH)
    some_of_them = candidates(*rows[:part])

    assert other.hypervolume(some_of_them.iloc[::-1]) == pytest.approx(one.hypervolume(some_of_them))
    assert other.igd_plus(some_of_them.iloc[::-1]) == pytest.approx(one.igd_plus(some_of_them))
    assert other.attained(some_of_them.iloc[::-1]) == one.attained(some_of_them)


@given(rows=some)
def test_a_network_of_twice_the_size_everywhere_changes_no_indicator(rows):
    doubled = [(top1, 2 * macs) for top1, macs in rows]
    part = len(rows) // 2
    small, large = Indicators.of(candidates(*rows), BOTH), Indicators.of(candidates(*doubled), BOTH)

    assert large.hypervolume(candidates(*doubled[:part])) == pytest.approx(
        small.hypervolume(candidates(*rows[:part]))
    )
