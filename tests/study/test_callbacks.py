"""Callbacks of the caller's own hear steps with their loss, rungs and trials; one that raises harms nothing."""

import math

import pytest
from table_search import GLANCE, SHORT, blind, search, settled, states, table

from archsearch import Callback
from archsearch.api import run_study
from archsearch.errors import CallbackError
from archsearch.study.config import StudyConfig

TRAINED = StudyConfig(
    recipe=SHORT,
    rungs=(0.5,),
    objectives=("top1", "macs"),
    trials=1,
    scores=False,
    realised=False,
    latency_seconds=GLANCE,
)


class Everything(Callback):
    """Keeps what it hears, event by event."""

    def __init__(self):
        self.heard = []

    def on_start(self, done, trials, best):
        self.heard.append(("start", done, trials))

    def on_step(self, done, total, loss):
        self.heard.append(("step", done, total, float(loss)))

    def on_rung(self, reading):
        self.heard.append(("rung", reading["share"], reading["top1"]))

    def on_progress(self, done):
        self.heard.append(("progress", done))

    def on_trial_end(self, number, record):
        self.heard.append(("trial", number, record.outcome))

    def of(self, event):
        return [what[1:] for what in self.heard if what[0] == event]


@pytest.fixture(scope="module")
def trained(space, tmp_path_factory):
    """A training of one candidate with a rung, and two callbacks that heard it."""
    callbacks = [Everything(), Everything()]
    run = run_study(space, TRAINED, tmp_path_factory.mktemp("trained") / "run", callbacks=callbacks)
    return run, callbacks


def test_several_callbacks_get_the_same_events(trained):
    first, second = trained[1]

    assert first.heard == second.heard
    assert first.of("start") == [(0, 1)]
    assert first.heard[-2:] == [("progress", 1), ("trial", 0, "trained")]


def test_each_step_is_reported_with_its_loss_which_is_the_one_that_is_recorded(trained):
    run, (heard, _) = trained
    steps = heard.of("step")

    assert [step[:2] for step in steps] == [(number, 4) for number in (1, 2, 3, 4)]
    assert all(math.isfinite(loss) for *_, loss in steps)
    assert run.trials["train_loss"][0] == steps[-1][2]


def test_a_rung_is_reported_as_it_is_recorded(trained):
    run, (heard, _) = trained

    assert heard.of("rung") == [(0.5, run.trials["rung_1_top1"][0])]


@pytest.mark.parametrize(
    "event", ["on_start", "on_phase", "on_step", "on_rung", "on_progress", "on_trial_end"]
)
def test_a_callback_that_raises_is_named_and_the_record_stays_whole(space, trained, tmp_path, event):
    def breaks(*_):
        raise ValueError("no such plot")

    broken = type("Plotter", (Callback,), {event: breaks})()
    with pytest.raises(CallbackError, match="callback Plotter: ValueError: no such plot"):
        search(space, TRAINED, tmp_path / "run", callbacks=[broken])

    assert "RUNNING" not in states(tmp_path / "run")
    search(space, TRAINED, tmp_path / "run")
    assert settled(tmp_path / "run") == settled(trained[0].folder)


def test_the_rungs_of_what_stands_in_for_training_are_reported_too(six, out):
    heard = Everything()
    config = blind(trials=2, rungs=(0.5,), reduction_factor=2, recipe=SHORT)
    search(six, config, out, evaluate=table, callbacks=[heard])

    assert {share for share, _ in heard.of("rung")} == {0.5}
