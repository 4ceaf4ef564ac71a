"""What stands in for training may return named values, and these may be objectives."""

import pytest
from table_search import GLANCE, SHORT, blind, recorded, search, states, table

from archsearch import load_run
from archsearch.errors import InputError
from archsearch.study.config import StudyConfig

ENERGY = StudyConfig(objectives=("top1", "energy_mj"), trials=4, latency_seconds=GLANCE)


def metered(architecture, budget):
    """An accuracy, a loss, and a meter's reading that is no whole number."""
    top1 = table(architecture, budget)
    return {"top1": top1, "train_loss": 1 - top1, "energy_mj": 3.25 + 10 * top1, "watts": 7}


def returning(answer):
    return lambda architecture, budget: answer


def test_named_values_are_attributes_and_columns_and_may_be_objectives(six, out):
    search(six, ENERGY, out, evaluate=metered)
    trials = load_run(out).trials

    assert trials["energy_mj"].tolist() == [3.25 + 10 * top1 for top1 in trials["top1"]]
    assert trials["watts"].tolist() == [7] * 4
    assert trials["train_loss"].tolist() == [1 - top1 for top1 in trials["top1"]]
    assert [t.values for t in recorded(out)] == [
        [t.user_attrs["top1"], t.user_attrs["energy_mj"]] for t in recorded(out)
    ]


def test_of_an_objective_of_ones_own_less_is_better(six, out):
    search(six, ENERGY, out, evaluate=metered)
    best = load_run(out).trials.sort_values("top1", ascending=False)

    # More accurate is dearer here, so every trial is a trade of one against the other.
    assert best["energy_mj"].is_monotonic_decreasing
    assert best["on_frontier"].all()


def test_a_sampler_learns_from_an_objective_of_ones_own(tiny, out):
    search(tiny, ENERGY.model_copy(update={"trials": 13, "sampler": "gp"}), out, evaluate=metered)

    assert states(out) == {"COMPLETE": 13}


def test_named_values_survive_a_rung(six, out):
    config = ENERGY.model_copy(update={"rungs": (0.5,), "reduction_factor": 2, "recipe": SHORT})
    search(six, config, out, evaluate=metered)

    assert all("energy_mj" in trial.user_attrs for trial in recorded(out))
    assert {"COMPLETE", "PRUNED"} == states(out).keys()


def test_the_same_values_without_being_objectives_are_recorded(six, out):
    search(six, blind(trials=1), out, evaluate=metered)

    assert load_run(out).trials["energy_mj"].notna().all()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"top1": 0.5}, "evaluate: no energy_mj in top1"),
        ({"energy_mj": 1.0}, "evaluate: no top1 in energy_mj"),
        (0.5, "evaluate: no energy_mj in top1"),
        ({"top1": 0.5, "energy_mj": float("nan")}, "evaluate: energy_mj is nan, and an amount is 0 or more"),
        ({"top1": 0.5, "energy_mj": -1}, "evaluate: energy_mj is -1.0, and an amount is 0 or more"),
        ({"top1": 0.5, "energy_mj": 0}, "evaluate: energy_mj is 0, and the cost of an objective is above 0"),
        ({"top1": 5, "energy_mj": 1}, "evaluate: evaluate returned 5.0, and top-1 lies between 0 and 1"),
    ],
)
def test_an_answer_that_cannot_be_used_costs_the_candidate_and_says_why(six, out, answer, error):
    search(six, ENERGY, out, evaluate=returning(answer))

    assert {trial.user_attrs["error"] for trial in recorded(out)} == {error}


def test_a_value_of_ones_own_that_is_no_objective_may_be_0(six, out):
    search(six, blind(trials=1), out, evaluate=returning({"top1": 0.5, "watts": 0}))

    assert load_run(out).trials["watts"].tolist() == [0]


def test_a_name_that_the_record_has_already_is_refused(six, out):
    with pytest.raises(
        InputError, match="evaluate: latency_ms: is a name that archsearch uses in the record"
    ):
        search(six, ENERGY, out, evaluate=returning({"top1": 0.5, "energy_mj": 1, "latency_ms": 2}))

    assert "RUNNING" not in states(out)
