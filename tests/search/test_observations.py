"""What candidates teach a sampler, whatever became of them."""

import math
from dataclasses import replace

import pytest
from fake_search_spaces import observation
from hypothesis import given
from hypothesis import strategies as st

from archsearch.search.observations import Line, Reading, forecast_top1, training_rows

SHARES = st.floats(0, 1)


def test_a_trained_candidate_teaches_its_last_reading():
    candidate = observation(3, top1=(0.2, 0.4, 0.7), costs=(5.0,), excess={"macs": -1.0})
    (row,) = training_rows([candidate])

    assert row.observation is candidate
    assert (row.top1, row.costs, row.excess) == (0.7, (5.0,), {"macs": -1.0})


def test_only_a_trained_candidate_has_an_accuracy():
    assert observation(0, top1=(0.2, 0.4)).top1 == 0.4
    assert observation(0, "paused", (0.2, 0.4)).top1 is None


def test_what_was_not_read_to_the_end_teaches_what_is_to_be_expected_or_the_median():
    found = [observation(0, top1=(0.2,)), observation(1, top1=(0.6,)), observation(2, top1=(0.7,))]
    found += [
        observation(3, "paused", (0.55,)),
        observation(4, "stopped", (0.35,)),
        observation(5, "running", (0.45,)),
    ]
    found += [
        observation(6, "running", ()),
        observation(7, "infeasible", ()),
        observation(8, "failed", (0.99,)),
    ]
    taught = training_rows(found)

    # Fewer than three were read at the rung and at the end: a reading stands as it is; 0.6 is the median.
    assert [row.top1 for row in taught] == [0.2, 0.6, 0.7, 0.55, 0.35, 0.45, 0.6, 0.6]
    assert [row.observation.slot for row in taught] == list(range(8))


def test_an_infeasible_candidate_teaches_the_median_even_if_it_was_read():
    found = [
        observation(0, top1=(0.2,)),
        observation(1, "infeasible", (0.9,), excess={"macs": 3.0, "params": -2.0}),
    ]
    _, row = training_rows(found)

    assert row.top1 == 0.2
    assert not row.feasible


def test_a_candidate_on_its_limits_is_feasible():
    first, second, third = training_rows(
        [
            observation(0, excess={"macs": 0.0}),
            observation(1, excess={"macs": 0.0, "params": 0.5}),
            observation(2),
        ]
    )

    assert first.feasible
    assert not second.feasible
    assert third.feasible
    assert third.excess == {}


def test_training_rows_come_in_the_order_of_the_slots():
    assert [x.observation.slot for x in training_rows([observation(2), observation(0), observation(1)])] == [
        0,
        1,
        2,
    ]


def test_before_anybody_is_trained_the_median_is_that_of_the_readings():
    taught = training_rows(
        [observation(s, "paused", (top1,)) for s, top1 in enumerate((0.1, 0.3, 0.8))]
        + [observation(3, "running", ())]
    )

    assert [row.top1 for row in taught] == [0.1, 0.3, 0.8, 0.3]


@pytest.mark.parametrize("state", ["running", "infeasible"])
def test_nothing_is_learned_before_anybody_was_read(state):
    assert training_rows([observation(0, state, ()), observation(1, state, ())]) == []


def test_candidates_that_failed_teach_nothing():
    failed = observation(1, "failed", (0.9,), costs=(1e9,))

    assert training_rows([failed]) == []
    # Nor do they move the medians: 0.4 and 2.0 are those of the others.
    taught = training_rows(
        [observation(0, "paused", (0.4,), costs=(2.0,)), failed, observation(2, "running", (), costs=(None,))]
    )
    assert [(row.top1, row.costs) for row in taught] == [(0.4, (2.0,)), (0.4, (2.0,))]


def test_a_cost_that_is_not_measured_yet_is_the_median_of_the_others():
    costs = [(1.0, 10.0), (2.0, None), (6.0, 30.0), (None, 50.0)]
    taught = training_rows([observation(slot, costs=c) for slot, c in enumerate(costs)])

    assert [row.costs for row in taught] == [(1.0, 10.0), (2.0, 30.0), (6.0, 30.0), (2.0, 50.0)]


def test_a_cost_that_nobody_has_is_one():
    assert training_rows([observation(0, costs=(None, 4.0))])[0].costs == (1.0, 4.0)


def test_without_costs_nothing_is_made_up():
    assert training_rows([observation(0), observation(1, "running", ())])[1].costs == ()


def test_who_is_read_at_a_rung_is_expected_on_the_line_through_those_who_went_on():
    # At the first rung 0.1, 0.2, 0.3; at the end 0.3, 0.5, 0.7: twice as much, and 0.1.
    found = [
        observation(0, top1=(0.1, 0.3)),
        observation(1, top1=(0.2, 0.5)),
        observation(2, top1=(0.3, 0.7)),
    ]
    found += [
        observation(3, "paused", (0.15,)),
        observation(4, "stopped", (0.9,)),
        observation(5, "running", (0.25,)),
    ]

    # 2 * 0.9 + 0.1 is beyond 1.
    assert forecast_top1(found) == pytest.approx({3: 0.4, 4: 1.0, 5: 0.6})


def test_each_rung_has_its_own_line_and_the_latest_reading_counts():
    found = [
        observation(0, top1=(0.0, 0.1, 0.2)),
        observation(1, top1=(0.2, 0.3, 0.4)),
        observation(2, top1=(0.4, 0.5, 0.6)),
    ]
    found += [observation(3, "paused", (0.3,)), observation(4, "paused", (0.0, 0.3))]

    # From the first rung on 0.2 more, from the second 0.1.
    assert forecast_top1(found) == pytest.approx({3: 0.5, 4: 0.4})


def test_a_rung_from_which_nobody_went_on_has_no_line():
    found = [observation(slot, top1=(0.1 * slot, 0.9)) for slot in range(4)]

    assert forecast_top1([*found, observation(9, "paused", (0.2, 0.3))]) == {9: 0.3}


def pairs(*rows):
    """Accuracy at a rung, training loss there, accuracy at the end."""
    return [(Reading(top1, loss), end) for top1, loss, end in rows]


def test_a_line_is_that_of_least_squares():
    # Means 0.2 and 0.3; slope (-0.1 * -0.1 + 0 * -0.1 + 0.1 * 0.2) / (0.01 + 0 + 0.01) = 1.5; level 0.3 - 1.5 * 0.2.
    line = Line.through(pairs((0.1, None, 0.2), (0.2, None, 0.2), (0.3, None, 0.5)))

    assert (line.slope, line.level) == pytest.approx((1.5, 0.0))
    line = Line.through(pairs((0.1, None, 0.3), (0.2, None, 0.3), (0.3, None, 0.6)))
    assert (line.slope, line.level) == pytest.approx((1.5, 0.1))
    assert not line.by_loss


def test_no_line_falls_with_the_accuracy_or_rises_with_the_loss():
    falling = pairs((0.1, 1.0, 0.3), (0.2, 2.0, 0.5), (0.3, 3.0, 0.7))
    by_loss = Line.fit(falling, by_loss=True)
    by_top1 = Line.fit([(reading, 1 - end) for reading, end in falling], by_loss=False)

    assert (by_loss.slope, by_loss.level) == (0.0, pytest.approx(0.5))
    assert (by_top1.slope, by_top1.level) == (0.0, pytest.approx(0.5))


def test_the_line_goes_by_the_loss_where_the_end_follows_it_more_closely():
    # 0.9 - 0.2 * loss, whatever the accuracy.
    line = Line.through(pairs((0.3, 1.0, 0.7), (0.1, 2.0, 0.5), (0.2, 3.0, 0.3)))

    assert (line.slope, line.level, line.by_loss) == (pytest.approx(-0.2), pytest.approx(0.9), True)
    assert line.at(Reading(0.99, 1.5)) == pytest.approx(0.6)
    # Who has no loss is expected to end where it stands.
    assert line.at(Reading(0.25)) == 0.25


def test_the_line_goes_by_the_accuracy_where_that_is_followed_more_closely_or_a_loss_is_missing():
    by_top1 = Line.through(pairs((0.1, 1.0, 0.2), (0.2, 3.0, 0.4), (0.3, 2.0, 0.6)))
    missing = Line.through(pairs((0.3, 1.0, 0.7), (0.1, 2.0, 0.5), (0.2, None, 0.3)))

    assert (by_top1.slope, by_top1.by_loss) == (pytest.approx(2), False)
    assert not missing.by_loss


def test_too_few_pairs_leave_a_reading_as_it_is():
    for few in ([], pairs((0.0, 2.0, 0.2), (1.0, 1.0, 0.9))):
        assert Line.through(few) == Line(1.0, 0.0, by_loss=False)


def test_equal_readings_say_nothing_but_the_mean_of_the_ends():
    line = Line.through(pairs((0.5, None, 0.1), (0.5, None, 0.2), (0.5, None, 0.9)))

    assert line.at(Reading(0.5)) == pytest.approx(0.4)


def test_an_expectation_is_a_share():
    line = Line(2.0, -0.5)

    assert [line.at(Reading(top1)) for top1 in (0.1, 0.5, 0.9)] == [0.0, 0.5, 1.0]


@st.composite
def candidates(draw):
    """Any number of them in any state, with three readings at most and two costs."""
    states = st.sampled_from(["running", "paused", "trained", "stopped", "infeasible", "failed"])
    found = []
    for slot in range(draw(st.integers(0, 12))):
        state = draw(states)
        least = {"trained": 1, "paused": 1, "stopped": 1}.get(state, 0)
        top1 = draw(st.lists(SHARES, min_size=least, max_size=3))
        costs = draw(st.tuples(*[st.none() | st.floats(1e-3, 1e9)] * 2))
        losses = draw(st.lists(st.none() | st.floats(0, 9), min_size=3, max_size=3))
        readings = tuple(Reading(share, loss) for share, loss in zip(top1, losses, strict=False))
        found.append(replace(observation(slot, state, costs=costs), readings=readings))
    return found


@given(candidates(), st.randoms())
def test_rows_have_no_holes_and_do_not_depend_on_the_order(found, chance):
    taught = training_rows(found)
    numbers = [number for row in taught for number in (row.top1, *row.costs)]

    assert not any(math.isnan(number) for number in numbers)
    assert all(0 <= row.top1 <= 1 for row in taught)
    assert len({len(row.costs) for row in taught}) <= 1
    assert training_rows(chance.sample(found, len(found))) == taught


@given(candidates(), st.integers(0, 11))
def test_taking_away_whoever_failed_changes_no_row(found, slot):
    found = [replace(k, state="failed") if k.slot == slot else k for k in found]

    assert training_rows([k for k in found if k.state != "failed"]) == training_rows(found)
