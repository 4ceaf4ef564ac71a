"""Readings on the way: they change nothing, and an interrupted training goes on from the last of them."""

import os
import signal
from types import SimpleNamespace

import pytest
from forked_helper import ForkedHelper
from table_search import GLANCE, recorded, search

from archsearch.api import run_study
from archsearch.errors import FailedTrialError, StudyFileError
from archsearch.proxy import Recipe
from archsearch.study.callbacks import Callback
from archsearch.study.config import StudyConfig, load_study

STEPS = 20
RUNGS = (0.25, 0.5)
RECIPES = {
    "cosine": Recipe(samples=STEPS * 32, batch_size=32, validation_images=64),
    "wsd": Recipe(samples=STEPS * 32, batch_size=32, validation_images=64, schedule="wsd", ema=0.5),
}
# The steps that a callback is told of.
WHOLE = [*range(1, 21)]
BEHIND_THE_FIRST, BEHIND_THE_LAST = [*range(6, 21)], [*range(11, 21)]
TIMES = {"seconds", "score_seconds", "train_seconds", "profile_seconds"}
MEASURED = {"latency_ms", "latency_iqr_ms", "latency_repeats", "latency_flags", "anchor_ms"}


def study(schedule="cosine", **settings):
    """Two candidates."""
    usual = {"objectives": ("top1", "macs"), "trials": 2, "device": "cpu", "latency_seconds": GLANCE}
    return StudyConfig(**{**usual, "recipe": RECIPES[schedule], "rungs": RUNGS, "scores": False, **settings})


class Steps(Callback):
    """Remembers the steps of each candidate; at one of them it does something."""

    def __init__(self, act=None, at=None):
        self.told, self._act, self._at = [], act, at

    def on_phase(self, slot, what):
        if what.startswith("training"):
            self.told.append([])

    def on_step(self, done, total, loss):
        self.told[-1].append(done)
        if (len(self.told), len(self.told[-1])) == self._at:
            self._act()


def ctrl_c():
    raise KeyboardInterrupt


def lasting(folder):
    """What was recorded of the finished trials, but for times."""
    return [
        {
            "number": trial.user_attrs["slot"],
            "values": trial.values,
            "params": trial.params,
            **{
                name: v
                for name, v in trial.user_attrs.items()
                if name not in TIMES | MEASURED | {"rungs", "worker"}
            },
            "rungs": [
                {name: v for name, v in rung.items() if name != "seconds"}
                for rung in trial.user_attrs.get("rungs", ())
            ],
        }
        for trial in recorded(folder)
        if trial.user_attrs["outcome"] != "interrupted"
    ]


def weights(folder):
    """The frontier's weights, to the bit."""
    return {path.name: path.read_bytes() for path in (folder / "weights").iterdir()}


def checkpoints(folder):
    return sorted(path.name for path in (folder / "checkpoints").glob("*"))


def interrupted(space, config, folder, steps):
    """The first candidate is stopped at that many steps told."""
    with pytest.raises(KeyboardInterrupt):
        search(space, config, folder, callbacks=[Steps(ctrl_c, (1, steps))])
    return folder


@pytest.fixture(scope="module")
def undisturbed(space, tmp_path_factory):
    """For each schedule a run with rungs that nothing happened to, and the steps that its callback was told."""
    found = {}
    for schedule in RECIPES:
        steps = Steps()
        run = run_study(space, study(schedule), tmp_path_factory.mktemp(schedule), callbacks=[steps])
        found[schedule] = SimpleNamespace(run=run, folder=run.folder, told=steps.told)
    return found


@pytest.mark.parametrize("schedule", RECIPES)
def test_rungs_change_no_bit_of_what_candidates_come_to(space, undisturbed, out, schedule):
    search(space, study(schedule, rungs=()), out)
    with_rungs = undisturbed[schedule].folder

    assert [{**trial, "rungs": None} for trial in lasting(out)] == [
        {**trial, "rungs": None} for trial in lasting(with_rungs)
    ]
    assert weights(out) == weights(with_rungs)


@pytest.mark.parametrize("schedule", RECIPES)
def test_every_rung_is_read_in_its_order(undisturbed, schedule):
    for trial in recorded(undisturbed[schedule].folder):
        rungs = trial.user_attrs["rungs"]
        assert [rung["share"] for rung in rungs] == list(RUNGS)
        assert [rung["samples"] for rung in rungs] == [5 * 32, 10 * 32]
        assert rungs[0]["seconds"] < rungs[1]["seconds"] < trial.user_attrs["train_seconds"]
        assert all(0 <= rung["top1"] <= 1 < rung["val_loss"] for rung in rungs)


@pytest.mark.parametrize("schedule", RECIPES)
def test_a_callback_is_called_for_every_step(undisturbed, schedule):
    assert undisturbed[schedule].told == [WHOLE, WHOLE]


def test_readings_are_columns_of_their_own(undisturbed):
    frame, first = undisturbed["wsd"].run.trials, recorded(undisturbed["wsd"].folder)[0]

    for number, rung in enumerate(first.user_attrs["rungs"], 1):
        for name in ("samples", "top1", "train_loss"):
            assert frame[f"rung_{number}_{name}"][0] == rung[name]


def test_readings_stand_before_limits_and_choices(space, out):
    names = list(run_study(space, study(limits={"params": 1e9}), out).trials.columns)

    assert names[names.index("started") + 1 :] == [
        *(f"rung_{number}_{name}" for number in (1, 2) for name in ("samples", "top1", "train_loss")),
        "excess.params",
        "stages.0.channels",
        "stem.channels",
    ]


def test_without_rungs_there_are_no_such_columns_and_no_checkpoints(space, out):
    run = run_study(space, study(rungs=(), trials=1), out)

    assert not [name for name in run.trials.columns if name.startswith("rung")]
    assert checkpoints(out) == []


@pytest.mark.parametrize("schedule", RECIPES)
def test_no_checkpoint_outlives_its_candidate(undisturbed, schedule):
    assert checkpoints(undisturbed[schedule].folder) == []


@pytest.mark.parametrize("schedule", RECIPES)
def test_an_interrupted_training_resumes_from_its_last_rung(space, undisturbed, out, schedule):
    interrupted(space, study(schedule), out, 8)
    assert len(checkpoints(out)) == 1
    steps = Steps()
    search(space, study(schedule), out, callbacks=[steps])

    assert steps.told == [BEHIND_THE_FIRST, WHOLE]
    assert lasting(out) == lasting(undisturbed[schedule].folder)
    assert checkpoints(out) == []


def test_a_training_interrupted_again_and_again_loses_nothing(space, undisturbed, out):
    """Behind the first rung, and behind the second."""
    for told in (8, 14):
        interrupted(space, study("wsd"), out, told)
    steps = Steps()
    search(space, study("wsd"), out, callbacks=[steps])

    assert steps.told == [BEHIND_THE_LAST, WHOLE]
    assert lasting(out) == lasting(undisturbed["wsd"].folder)


def test_a_training_interrupted_before_its_first_rung_starts_again(space, undisturbed, out):
    interrupted(space, study("wsd"), out, 4)
    steps = Steps()
    search(space, study("wsd"), out, callbacks=[steps])

    assert steps.told == [WHOLE, WHOLE]
    assert lasting(out) == lasting(undisturbed["wsd"].folder)


def test_with_a_damaged_checkpoint_training_starts_again_with_the_same_result(space, undisturbed, out):
    interrupted(space, study("wsd"), out, 8)
    (path,) = (out / "checkpoints").iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    steps = Steps()
    search(space, study("wsd"), out, callbacks=[steps])

    assert steps.told[0] == WHOLE
    assert lasting(out) == lasting(undisturbed["wsd"].folder)


def test_a_checkpoint_of_a_training_that_fails_is_removed(space, out):
    """A stop behind the first rung, a failure behind it, and the next candidate is trained."""
    interrupted(space, study(), out, 8)
    assert len(checkpoints(out)) == 1

    def fails():
        raise FailedTrialError("train", "the node is gone")

    search(space, study(), out, callbacks=[Steps(fails, (1, 2))])

    assert [trial.user_attrs["outcome"] for trial in recorded(out)] == ["interrupted", "failed", "trained"]
    assert checkpoints(out) == []


def test_a_killed_training_resumes_from_its_last_rung(space, undisturbed, out):
    def killed():
        die = lambda: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        search(space, study(), out, callbacks=[Steps(die, (1, 8))])

    with ForkedHelper(killed) as process:
        assert process.wait() == -signal.SIGKILL
    assert len(checkpoints(out)) == 1
    steps = Steps()
    search(space, study(), out, callbacks=[steps])

    assert steps.told == [BEHIND_THE_FIRST, WHOLE]
    assert lasting(out) == lasting(undisturbed["cosine"].folder)
    assert checkpoints(out) == []


@pytest.fixture
def refusal_of(tmp_path):
    """The lines with which a study file is refused."""

    def refusal(text):
        (tmp_path / "study.yaml").write_text(text)
        with pytest.raises(StudyFileError) as caught:
            load_study(None, "space.yaml", tmp_path / "study.yaml")
        return [line.replace(f"{tmp_path}/", "") for line in caught.value.lines()]

    return refusal


REFUSED = {
    "falling": ("rungs: [0.5, 0.2]", "rungs: the shares do not rise; write [0.2, 0.5]"),
    "twice": ("rungs: [0.2, 0.2]", "rungs: the shares do not rise; write [0.2]"),
    "the whole": ("rungs: [0.5, 1.0]", "rungs.1: 1.0 is too large; write less than 1"),
    "nothing": ("rungs: [0.0, 0.5]", "rungs.0: 0.0 is too small; write more than 0"),
    "below nothing": ("rungs: [-0.5]", "rungs.0: -0.5 is too small; write more than 0"),
    "words": ("rungs: [half]", "rungs.0: half is text; write a number"),
    "inside the warm-up": (
        "rungs: [0.05, 0.5]",
        "rungs: 0.05 lies inside the warm-up of 0.1; write later rungs, or a shorter recipe.warmup",
    ),
    "a number": ("rungs: 0.3", "rungs: 0.3 is no list; write [0.11, 0.33]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_impossible_rungs_are_refused_with_their_place_and_a_remedy(refusal_of, name):
    written, message = REFUSED[name]

    assert refusal_of(f"# a study\n{written}\n") == [f"study.yaml:2: {message}"]


@pytest.mark.parametrize(
    "text", ["rungs: [0.1, 0.5]", "{rungs: [0.125], recipe: {schedule: wsd}}", "rungs: []"]
)
def test_rungs_at_the_end_of_the_warm_up_are_taken(tmp_path, text):
    (tmp_path / "study.yaml").write_text(text)

    assert load_study(None, "space.yaml", tmp_path / "study.yaml").rungs in ((0.1, 0.5), (0.125,), ())


def test_another_set_of_rungs_is_another_run():
    fingerprints = {study(rungs=rungs).fingerprint for rungs in ((), (0.25,), (0.5,), RUNGS)}

    assert len(fingerprints) == 4
