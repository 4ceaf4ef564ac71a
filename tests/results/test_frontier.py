"""The frontier: what no other trial beats on every objective. By hand on small tables, then by its definition."""

import warnings

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.samplers import RandomSampler
from optuna.trial import TrialState, create_trial

from archsearch.results.frontier import frontier_frame, non_dominated
from archsearch.results.trials import trials_frame
from archsearch.storage.trial_store import frontier_trials

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

    kept = non_dominated(pd.DataFrame(rows, columns=list(names)))

    assert list(kept) == [not any(dominates(other, row) for other in rows) for row in rows]


OUTCOMES = ("trained", "trained", "trained", "infeasible", "failed", "stopped", "paused", "running")
STATES = {
    "trained": TrialState.COMPLETE,
    "infeasible": TrialState.PRUNED,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "paused": TrialState.RUNNING,
    "running": TrialState.RUNNING,
}


def study_of(rows, names):
    """A study in memory with a trial a row: outcome, excess over a limit, values; None where nothing was measured."""
    study = optuna.create_study(
        directions=["maximize" if name == "top1" else "minimize" for name in names], sampler=RandomSampler()
    )
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(list(names))
    for outcome, excess, *values in rows:
        attributes = {"outcome": outcome, "architecture": "abc"} | dict(zip(names, values, strict=True))
        trained = STATES[outcome] == TrialState.COMPLETE
        study.add_trial(
            create_trial(
                state=STATES[outcome],
                values=values if trained else None,
                user_attrs=attributes,
                constraints=None if excess is None else {"macs": excess},
            )
        )
    return study


@st.composite
def recorded(draw):
    """Trials in every state: few values, so that many tie, and holes in those that were not trained."""
    names = ("top1", "latency_ms", "macs")[: draw(st.integers(1, 3))]
    rows = []
    for outcome in draw(st.lists(st.sampled_from(OUTCOMES), max_size=10)):
        value = few if outcome == "trained" else st.none() | few
        excess = draw(st.sampled_from([None, -1.0, 0.0, 1.0]))
        rows.append((outcome, excess, *(draw(value) for _ in names)))
    return rows, names


@given(recorded())
def test_the_column_the_frontier_and_the_trials_that_a_search_keeps_are_the_same(found):
    rows, names = found
    study = study_of(rows, names)
    frame = trials_frame(study)
    on = frame.loc[frame["on_frontier"], "number"].tolist()

    assert sorted(frontier_frame(frame, names)["number"]) == on
    assert [trial.number for trial in frontier_trials(study)] == on
    within = {
        number: row
        for number, (outcome, excess, *row) in enumerate(rows)
        if outcome == "trained" and (excess or 0) <= 0
    }
    assert on == [n for n, row in within.items() if not any(dominates(o, row) for o in within.values())]


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_trained_trial_that_lacks_a_value_is_refused_when_the_record_is_read(missing):
    study = study_of([("trained", None, 0.5, 10.0), ("trained", None, 0.6, 5.0)], BOTH)
    trial = study.get_trials(deepcopy=False)[1]
    trial.user_attrs["macs"] = missing

    with pytest.raises(ValueError, match="trials 1 are trained and lack a value of top1, macs"):
        trials_frame(study)


def test_an_empty_study_has_no_frontier():
    study = study_of([], BOTH)

    assert trials_frame(study)["on_frontier"].tolist() == []
    assert frontier_trials(study) == []
