"""How much each choice decides: what matters is found, what does not is not, and little is not interpreted."""

import warnings

import optuna
import pytest

from archsearch.results.importance import COLUMNS, importance_frame


def blank(names):
    """A study that has not begun."""
    sampler = optuna.samplers.RandomSampler(seed=0)
    made = optuna.create_study(directions=["maximize", "minimize"][: len(names)], sampler=sampler)
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        made.set_metric_names(names)
    return made


def study(count, values=lambda number, trial: (number % 4 / 4, 1.0 + number % 3), names=("top1", "macs")):
    """So many trained trials; ``values`` sees the number and the choices."""
    made = blank(list(names))
    for number in range(count):
        trial = made.ask()
        kind = trial.suggest_categorical("stages.0.kind", ["conv", "mhsa"])
        trial.suggest_int("stem.channels", 1, 8)
        if kind == "mhsa":
            trial.suggest_categorical("stages.0.mhsa.heads", [1, 2, 4])
        made.tell(trial, values(number, trial)[: len(names)])
    return made


def by_channels(number, trial):
    """Channels decide the accuracy, upwards, and the kind decides the cost."""
    return trial.params["stem.channels"] / 8, 2.0 if trial.params["stages.0.kind"] == "mhsa" else 1.0


@pytest.fixture(scope="module")
def decided():
    return importance_frame(study(120, by_channels))


def test_what_decides_an_objective_stands_first_and_beyond_chance(decided):
    first = decided.drop_duplicates("objective").set_index("objective")

    assert first["parameter"].to_dict() == {"top1": "stem.channels", "macs": "stages.0.kind"}
    assert (first["importance"] > first["by_chance"]).all()


def test_the_shares_of_an_objective_add_up_to_one(decided):
    assert decided.groupby("objective")["importance"].sum().tolist() == pytest.approx([1, 1])


def test_a_choice_counts_the_trials_that_had_it(decided):
    asked = decided.drop_duplicates("parameter").set_index("parameter")["asked"]

    assert asked["stem.channels"] == asked["stages.0.kind"] == 120
    assert 0 < asked["stages.0.mhsa.heads"] < 120
    assert set(decided["trials"]) == {120}


def test_the_frame_has_the_columns_of_the_manual(decided):
    assert dict(decided.dtypes.astype("string")) == COLUMNS


def test_nothing_is_said_of_nine_trials():
    frame = importance_frame(study(9))

    assert frame.empty
    assert list(frame.columns) == list(COLUMNS)
    assert frame.attrs["reason"] == "9 trained trials say nothing about the choices: 10 are needed"


def test_a_space_with_nothing_open_has_no_choices():
    made = blank(["top1"])
    for _ in range(10):
        made.tell(made.ask(), 0.5)

    assert importance_frame(made).attrs["reason"] == "the space leaves nothing open"


def test_one_objective_is_enough():
    assert set(importance_frame(study(12, names=("top1",)))["objective"]) == {"top1"}
