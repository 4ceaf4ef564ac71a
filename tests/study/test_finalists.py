"""Finalists: frontier points retrained from several seeds, judged on test images, timed again."""

import pytest
from table_search import GLANCE, SHORT, SIX

from archsearch import run_baselines
from archsearch.api import run_study
from archsearch.results import load_run
from archsearch.results.finalists import finalists_frame
from archsearch.search import Reading
from archsearch.space import load_space
from archsearch.storage.checkpoint import Checkpoint
from archsearch.study import retrain
from archsearch.study.config import StudyConfig

STUDY = StudyConfig(
    recipe=SHORT,
    objectives=("top1", "latency_ms"),
    trials=4,
    latency_seconds=GLANCE,
    scores=False,
    finalists=2,
    finalist_seeds=2,
    finalist_samples=192,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A search of four small trainings, and its finalists."""
    folder = tmp_path_factory.mktemp("finalists")
    (folder / "six.yaml").write_text(SIX)
    return run_study(load_space(folder / "six.yaml"), STUDY, folder / "run")


def test_as_many_as_asked_for_are_retrained_from_every_seed(run):
    count = min(2, len(run.frontier))

    assert len(run.finalists) == count
    assert set(run.finalists["architecture"]) <= set(run.frontier["architecture"])
    assert set(run.finalists["seeds"]) == {2}
    assert set(run.finalists["samples"]) == {192}


def test_each_is_evaluated_on_test_images_with_its_spread(run):
    for name in ("test_top1_mean", "val_top1_mean"):
        assert run.finalists[name].between(0, 1).all()
    for name in ("test_top1_sd", "val_top1_sd"):
        assert (run.finalists[name] >= 0).all()


def test_the_most_accurate_on_test_images_comes_first(run):
    assert run.finalists["test_top1_mean"].is_monotonic_decreasing


def test_each_is_timed_again(run):
    found = run.finalists
    assert (found["latency_low_ms"] <= found["latency_ms"]).all()
    assert (found["latency_ms"] <= found["latency_high_ms"]).all()


def test_their_weights_lie_in_the_run_folder_one_file_a_seed(run):
    names = {f"{i}-seed{seed}.safetensors" for i in run.finalists["architecture"] for seed in (0, 1)}

    assert {path.name for path in (run.folder / "finals").iterdir()} == names
    assert not (run.folder / "checkpoints").exists() or not any((run.folder / "checkpoints").iterdir())


def test_they_have_a_file_of_their_own(run):
    assert (run.folder / "finalists.csv").read_text().count("\n") == 1 + len(run.finalists)


def test_the_same_command_again_trains_nothing(run, monkeypatch):
    def trained_again(*_):
        raise AssertionError

    monkeypatch.setattr(retrain, "retrain_and_test", trained_again)
    again = run_study(load_space(run.folder.parent / "six.yaml"), STUDY, run.folder)

    assert again.finalists.equals(run.finalists)


def test_a_final_training_that_is_stopped_resumes_with_the_same_result(run, tmp_path, monkeypatch):
    class Stopped(KeyboardInterrupt):
        pass

    saved = []
    save = Checkpoint.save

    def stop_after_four(self, state, rungs):
        save(self, state, rungs)
        saved.append(self.path)
        if len(saved) == 4:
            raise Stopped

    space = load_space(run.folder.parent / "six.yaml")
    config = STUDY.model_copy(update={"objectives": ("top1", "macs"), "finalists": 1})
    whole = run_study(space, config, tmp_path / "whole")
    monkeypatch.setattr(Checkpoint, "save", stop_after_four)
    with pytest.raises(Stopped):
        run_study(space, config, tmp_path / "stopped")
    resumed = run_study(space, config, tmp_path / "stopped")

    assert resumed.finalists.equals(whole.finalists)


def test_near_ties_are_said_to_be_ones(run):
    ids = list(run.trials["architecture"][:3])
    attributes = {f"final:{i}:0": {"top1": 0.5, "test_top1": 0.4, "samples": 8, "seconds": 1.0} for i in ids}
    timed = {"final_latency:" + i: m for i, m in zip(ids, ([1.0, 1.2], [1.1, 1.3], [2.0, 2.1]), strict=True)}

    frame = finalists_frame({**attributes, **timed}, run.trials).set_index("architecture")

    assert [frame.loc[i, "latency_tie"] for i in ids] == [True, True, False]
    assert frame.loc[ids[0], "latency_ms"] == pytest.approx(1.1)


def test_a_training_that_broke_is_said_and_not_averaged(run):
    identity = run.trials["architecture"][0]
    attributes = {
        f"final:{identity}:0": {"top1": 0.5, "test_top1": 0.4, "samples": 8, "seconds": 1.0},
        f"final:{identity}:1": {"error": "train: loss is nan"},
        f"final:{identity}:2": {"worker": "somebody"},
    }

    (row,) = finalists_frame(attributes, run.trials).to_dict("records")

    assert (row["seeds"], row["test_top1_mean"], row["errors"]) == (1, 0.4, "train: loss is nan")


def test_baselines_lie_beside_the_search_with_its_budget(run, tmp_path):
    def evaluate(architecture, budget):
        return Reading(int(architecture.id, 16) % 1000 / 1000)

    space = load_space(run.folder.parent / "six.yaml")
    config = StudyConfig(objectives=("top1", "macs"), trials=3, latency_seconds=GLANCE)
    runs = run_baselines(space, config, tmp_path, evaluate)

    assert runs.keys() == {"random", "macs"}
    assert {len(run.trials) for run in runs.values()} == {3}
    assert load_run(tmp_path / "baselines" / "macs").trials["architecture"].is_unique
