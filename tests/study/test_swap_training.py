"""Matched swaps that are really trained: in pairs from the same seeds, resumed, shared, refused where that is honest."""

import json
import os
import shutil
import signal

import pytest
import torch
from table_search import GLANCE, SHORT, opened, table

from archsearch.api import run_study
from archsearch.architecture import Architecture
from archsearch.errors import FailedTrialError, InfeasibleError, InputError, RunFolderError
from archsearch.results import load_run
from archsearch.space import load_space
from archsearch.storage.checkpoint import Checkpoint
from archsearch.storage.open import close, load_for_work
from archsearch.storage.run_folder import RunFolder
from archsearch.study import plan_swaps as plan_swaps_module
from archsearch.study import retrain, train_swaps
from archsearch.study.callbacks import Callback
from archsearch.study.config import StudyConfig
from archsearch.study.plan_swaps import SwapOptions, plan_swaps
from archsearch.study.recorded_search import config_of, space_of
from archsearch.workers.folder_locks import FolderLocks

# 2 x 3 = 6 architectures, each with a stage that may mix globally.
SPACE = """\
name: swappable
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: patch, channels: {choice: [8, 16]}, size: 4}
stages:
  - channels: 16
    depth: 1
    kind:
      conv: {kernel: 1, expansion: {choice: [0.5, 1.0]}}
      mhsa: {heads: 1, expansion: 0.5, position: none}
"""
STUDY = StudyConfig(
    recipe=SHORT,
    objectives=("top1", "macs"),
    trials=4,
    latency_seconds=GLANCE,
    scores=False,
    finalists=1,
    finalist_seeds=1,
    threads=1,
)


def space_in(folder):
    (folder / "space.yaml").write_text(SPACE)
    return load_space(folder / "space.yaml")


def train(folder, asked, callbacks=()):
    """The swaps of a trial, trained."""
    study = load_for_work(folder / "study.db")
    try:
        train_swaps.train_swaps(study, RunFolder(folder), asked, device="cpu", callbacks=callbacks)
    finally:
        close(study)


def planned(folder, asked):
    """The swaps of a trial, matched."""
    study = load_for_work(folder / "study.db")
    try:
        return plan_swaps(study, asked)
    finally:
        close(study)


def attributes(folder):
    with opened(folder) as study:
        return study.user_attrs


def trainings(folder):
    """The result of each training, by architecture and seed; but for the time that it took."""
    found = {key: value for key, value in attributes(folder).items() if key.startswith("swap_training:")}
    return {
        (key.split(":")[1], int(key.split(":")[3])): {n: v for n, v in value.items() if n != "seconds"}
        for key, value in found.items()
    }


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search of four small trainings with one finalist, and the number of that finalist."""
    folder = tmp_path_factory.mktemp("swappable")
    run = run_study(space_in(folder), STUDY, folder / "run")
    return folder / "run", int(run.finalists["number"][0])


@pytest.fixture(scope="module")
def whole(searched, tmp_path_factory):
    """The same run with the swaps of its finalist, which nothing happened to."""
    folder = shutil.copytree(searched[0], tmp_path_factory.mktemp("whole") / "run")
    train(folder, SwapOptions(searched[1], seeds=2))
    return folder


@pytest.fixture
def copy(searched, tmp_path):
    return shutil.copytree(searched[0], tmp_path / "run")


def test_the_network_and_each_variant_are_trained_from_every_seed(searched, whole):
    matched = planned(whole, SwapOptions(searched[1]))
    networks = {matched[0].original.id, *(swap.variant.id for swap in matched)}

    assert len(networks) == 3
    assert set(trainings(whole)) == {(identity, seed) for identity in networks for seed in (0, 1)}
    assert all({"top1", "test_top1", "samples"} <= entry.keys() for entry in trainings(whole).values())


def test_the_record_holds_each_swap_with_the_variant_that_was_trained(searched, whole):
    notes = [value for key, value in attributes(whole).items() if key.startswith("swap:")]

    assert {note["kind_to"] for note in notes} | {notes[0]["kind_from"]} == {
        "conv",
        "mhsa",
        "token_transformer",
    }
    for note in notes:
        assert Architecture.model_validate_json(note["description"]).id == note["architecture_to"]
        assert (note["architecture_to"], 0) in trainings(whole)


def test_a_training_of_a_finalist_is_taken_over(searched, whole):
    identity = load_run(whole).finalists["architecture"][0]
    final = attributes(whole)[f"final:{identity}:0"]
    entry = attributes(whole)[f"swap_training:{identity}:{SHORT.samples}:0"]

    assert {name: entry[name] for name in final} == final


def test_what_is_taken_over_is_what_training_it_again_would_give(searched, whole, copy, monkeypatch):
    monkeypatch.setattr(plan_swaps_module, "result_as_finalist", lambda *_: None)
    train(copy, SwapOptions(searched[1], seeds=2))

    assert trainings(copy) == trainings(whole)


def test_a_finalist_that_was_trained_longer_is_not_taken_over(searched, copy):
    identity = load_run(copy).finalists["architecture"][0]
    train(copy, SwapOptions(searched[1], seeds=1, samples=64))

    assert trainings(copy)[identity, 0]["samples"] == 64


def test_the_same_call_again_trains_nothing(searched, whole, monkeypatch):
    before = trainings(whole)
    monkeypatch.setattr(retrain, "retrain_and_test", lambda *_: pytest.fail("trained again"))
    train(whole, SwapOptions(searched[1], seeds=2))

    assert trainings(whole) == before


def test_no_checkpoint_is_left_and_the_finalists_weights_stay_as_they_were(searched, whole):
    def finals_of(folder):
        return {path.name: path.read_bytes() for path in (folder / "finals").iterdir()}

    assert not list((whole / "swaps" / "checkpoints").iterdir())
    assert finals_of(whole) == finals_of(searched[0])


def test_one_that_is_killed_resumes_from_its_checkpoint_with_the_same_result(searched, whole, copy):
    saves = []
    save = Checkpoint.save

    def strike(self, state, rungs):
        save(self, state, rungs)
        saves.append(self.path)
        if len(saves) == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    torch.set_num_threads(1)
    child = os.fork()
    if child == 0:
        Checkpoint.save = strike
        train(copy, SwapOptions(searched[1], seeds=2))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    left = list((copy / "swaps" / "checkpoints").iterdir())
    train(copy, SwapOptions(searched[1], seeds=2))

    assert len(left) == 1
    assert trainings(copy) == trainings(whole)


def test_the_task_of_a_living_worker_is_left_to_it_and_that_of_a_dead_one_is_not(searched, whole, copy):
    variant = planned(copy, SwapOptions(searched[1]))[0].variant.id
    key = f"swap_training:{variant}:{SHORT.samples}:0"
    with FolderLocks(copy) as other:
        with opened(copy) as study:
            study.set_user_attr(key, {"worker": other.worker})
        train(copy, SwapOptions(searched[1], seeds=1))
        meanwhile = attributes(copy)[key]
    train(copy, SwapOptions(searched[1], seeds=1))

    assert "top1" not in meanwhile
    assert trainings(copy)[variant, 0] == trainings(whole)[variant, 0]


def test_a_callback_gets_the_plan_and_each_training(searched, copy):
    heard = []

    class Heard(Callback):
        def on_swaps(self, swaps):
            heard.append(len(swaps))

        def on_start(self, done, trials, best):
            heard.append((trials, done))

        def on_training_end(self, architecture, seed, result):
            heard.append((seed, result["top1"]))

    train(copy, SwapOptions(searched[1], seeds=1), [Heard()])

    # Three networks, of which the finalist is trained already.
    assert heard[:2] == [2, (3, 1)]
    assert len(heard) == 4


def test_a_training_that_breaks_costs_its_pair_and_no_other(searched, copy, monkeypatch):
    fitted = retrain.retrain

    def breaks(final, context):
        if final.architecture.stages[0].kind == "token_transformer":
            raise FailedTrialError("train", "loss is nan")
        return fitted(final, context)

    monkeypatch.setattr(retrain, "retrain", breaks)
    train(copy, SwapOptions(searched[1], seeds=1))
    frame = load_run(copy).swaps.set_index("kind_to")

    assert frame.loc["token_transformer", "seeds"] == 0
    assert "train: loss is nan" in frame.loc["token_transformer", "note"]
    assert set(frame.drop("token_transformer")["seeds"]) == {1}


def test_if_every_training_breaks_that_is_an_error(searched, copy, monkeypatch):
    monkeypatch.setattr(retrain, "retrain_and_test", lambda *_: {"error": "train: loss is nan"})
    monkeypatch.setattr(plan_swaps_module, "result_as_finalist", lambda *_: None)

    with pytest.raises(InfeasibleError, match="every training broke, the last one with: train: loss is nan"):
        train(copy, SwapOptions(searched[1], seeds=1))


def test_where_nothing_can_be_matched_the_refusals_are_kept(searched, copy):
    with pytest.raises(InfeasibleError, match="no stage can be swapped at equal macs"):
        train(copy, SwapOptions(searched[1], tolerance=1e-9))
    frame = load_run(copy).swaps

    assert len(frame) == 2
    assert frame["architecture_to"].isna().all()
    assert frame["note"].str.contains("the nearest has").all()


def test_kinds_are_written_as_the_most_accurate_trial_of_the_run_writes_them(searched):
    trials = load_run(searched[0]).trials
    assert "conv" in set(trials["stages.0.kind"])
    assert "mhsa" in set(trials["stages.0.kind"])
    swap = next(s for s in planned(searched[0], SwapOptions(searched[1])) if s.kind != "token_transformer")
    stage = swap.variant.stages[0]

    assert (getattr(stage, "position", "none"), getattr(stage, "kernel", 1)) == ("none", 1)


def test_the_study_is_read_back_from_the_manifest(searched):
    config = config_of(RunFolder(searched[0]))

    assert config.identity() == STUDY.identity()


def test_the_space_of_one_architecture_has_it_as_its_only_point(searched):
    original = planned(searched[0], SwapOptions(searched[1]))[0].original
    space = space_of(original)

    assert space.size() == 1
    assert space.draw(0).id == original.id


def changed_manifest(folder, **identity):
    """The manifest, with another word on what the folder belongs to; None for no word."""
    manifest = json.loads((folder / "run.json").read_text())
    changed = {**manifest["identity"], **identity}
    manifest["identity"] = {
        name: value for name, value in changed.items() if name not in identity or value is not None
    }
    (folder / "run.json").write_text(json.dumps(manifest))


UNLIKE = {
    "not those of": {"data_fingerprint": "000000000000"},
    "recipe.momentum: Extra inputs are not permitted": {"recipe.momentum": 0.9},
    "recipe.ema was None and is 0.0; use the version that made it": {"recipe.ema": None},
}


@pytest.mark.parametrize("words", UNLIKE)
def test_a_run_that_would_be_another_one_here_is_refused(searched, copy, words):
    changed_manifest(copy, **UNLIKE[words])

    with pytest.raises(RunFolderError, match=words):
        train(copy, SwapOptions(searched[1]))
    assert trainings(copy) == {}


def test_a_run_whose_candidates_were_not_trained_is_refused(tmp_path):
    run_study(space_in(tmp_path), STUDY, tmp_path / "run", evaluate=table)

    with pytest.raises(InputError, match="something stood in for training"):
        train(tmp_path / "run", SwapOptions(0))


REFUSED = {
    "--trial: 99 is no trained trial of this run; on the frontier are: ": {"number": 99},
    "--stage: there is no stage 3": {"stage": 3},
    "--samples: 3 are less than one batch of 32; write at least 32": {"samples": 3},
    "--seeds: 0 are none": {"seeds": 0},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_asked_for_is_refused_before_anything_is_written(searched, message):
    with pytest.raises(InputError) as caught:
        train(searched[0], SwapOptions(**{"number": searched[1], **REFUSED[message]}))

    assert message in str(caught.value)
    assert trainings(searched[0]) == {}
    assert not (searched[0] / "swaps").exists()
