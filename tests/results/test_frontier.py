"""The frontier: what no other trial beats on every objective. By hand on small tables, then by its definition."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.results.frontier import frontier_frame, non_dominated

BOTH = ("top1", "macs")


def trials(*rows, names=BOTH, outcome="trained"):
    """A table of trials, numbered from 0."""
    frame = pd.DataFrame(rows, columns=list(names)).astype("Float64")
    return frame.assign(number=range(len(rows)), outcome=outcome)


def on(frame, names=BOTH):
    return list(frontier_frame(frame, names)["number"])


def test_what_is_more_accurate_and_cheaper_stands_alone():
    assert on(trials((0.5, 20), (0.6, 10))) == [1]


def test_what_costs_more_must_be_more_accurate():
    assert on(trials((0.5, 10), (0.6, 20), (0.55, 30))) == [0, 1]


def test_the_cheapest_comes_first():
    assert on(trials((0.9, 30), (0.5, 10), (0.7, 20))) == [1, 2, 0]


def test_twins_are_on_the_frontier_together():
    assert on(trials((0.5, 10), (0.5, 10), (0.4, 20))) == [0, 1]


def test_of_equal_accuracy_the_cheaper_one_stays():
    assert on(trials((0.5, 10), (0.5, 20))) == [0]


def test_of_equal_cost_the_more_accurate_one_stays():
    assert on(trials((0.5, 10), (0.6, 10))) == [1]


def test_one_objective_has_one_best():
    assert on(trials((0.5,), (0.7,), (0.6,), names=("top1",)), ("top1",)) == [1]


def test_one_objective_may_have_two_that_are_equally_good():
    assert on(trials((0.7,), (0.5,), (0.7,), names=("top1",)), ("top1",)) == [0, 2]


def test_a_third_objective_can_save_what_two_would_not():
    names = ("top1", "macs", "params")
    rows = ((0.6, 10, 50), (0.5, 20, 40), (0.5, 20, 60))

    assert on(trials(*rows, names=names), names) == [1, 0]
    assert on(trials(*rows, names=names), BOTH) == [0]


def test_only_trained_trials_are_ranked():
    frame = trials((0.5, 10), (0.9, 1), (0.9, 1)).assign(outcome=["trained", "infeasible", "failed"])

    assert on(frame) == [0]


def test_without_trained_trials_the_frontier_is_empty():
    assert on(trials((0.5, 10), outcome="infeasible")) == []


def test_a_single_trial_is_the_frontier():
    assert on(trials((0.0, 10))) == [0]


@pytest.mark.parametrize("missing", [(None, 10), (0.5, None)])
def test_a_trained_trial_without_a_value_is_refused_by_its_number(missing):
    with pytest.raises(ValueError, match="trials 1 are trained and lack a value of top1, macs"):
        frontier_frame(trials((0.5, 10), missing), BOTH)


def test_nan_is_no_value_either():
    frame = pd.DataFrame({"number": [0], "outcome": ["trained"], "top1": [np.nan], "macs": [1.0]})

    with pytest.raises(ValueError, match="trials 0 are trained"):
        frontier_frame(frame, BOTH)


def test_an_untrained_trial_needs_no_values():
    frame = trials((0.5, 10), (None, 10)).assign(outcome=["trained", "infeasible"])

    assert on(frame) == [0]


def test_the_columns_of_the_trials_are_kept():
    frame = trials((0.5, 10)).assign(layout="P-C")

    assert list(frontier_frame(frame, BOTH).columns) == list(frame.columns)


def dominates(one, other):
    """At least as good everywhere and better somewhere: the textbook's definition, accuracy first."""
    no_worse = one[0] >= other[0] and all(a <= b for a, b in zip(one[1:], other[1:], strict=True))
    return no_worse and one != other


few = st.integers(0, 4).map(float)
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[few] * width), min_size=1, max_size=14))


@given(rows=tables)
def test_the_frontier_is_what_nothing_dominates(rows):
    names = ("top1", "latency_ms", "macs", "params")[: len(rows[0])]
    directions = {name: "maximize" if name == "top1" else "minimize" for name in names}

    kept = non_dominated(pd.DataFrame(rows, columns=list(names)), directions)

    assert list(kept) == [not any(dominates(other, row) for other in rows) for row in rows]
