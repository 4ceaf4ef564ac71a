"""Result files: derived from the record, so that each can be lost and comes back."""

import sqlite3
import subprocess
import sys

import pandas as pd
import pytest
from optuna.trial import TrialState

from archsearch.api import run_study, write_all
from archsearch.errors import EnvironmentFaultError, InputError
from archsearch.results import load_run
from archsearch.results.run import write_tables
from archsearch.space import load_space
from archsearch.storage.open import open_for_work
from archsearch.study.config import StudyConfig

FILES = ("trials.parquet", "stages.parquet", "trials.csv", "frontier.csv", "frontier.png")
PNG = b"\x89PNG\r\n\x1a\n"


def test_a_run_knows_its_folder_and_its_objectives(searched, run):
    assert (run.folder, run.objectives, run.cost) == (searched, ("top1", "macs"), "macs")


def test_a_run_knows_what_it_belongs_to(run):
    assert run.manifest["identity"]["space"] == "mixed"


def test_a_folder_is_named_by_a_path_or_by_text(searched, run):
    assert load_run(str(searched)).trials.equals(run.trials)


@pytest.mark.parametrize("make", [True, False], ids=["an empty folder", "no folder"])
def test_a_folder_without_a_run_is_refused(tmp_path, make):
    folder = tmp_path / "empty"
    if make:
        folder.mkdir()

    with pytest.raises(InputError) as caught:
        load_run(folder)

    assert caught.value.lines() == [
        f"{folder}: no run lies here (there is no study.db); give the folder that archsearch run named"
    ]


def test_a_folder_without_a_run_stays_as_it_was(tmp_path):
    with pytest.raises(InputError):
        load_run(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_record_of_garbage_is_a_fault_of_the_environment(copy):
    (copy / "study.db").write_bytes(b"x" * 999)

    with pytest.raises(EnvironmentFaultError, match="not a database"):
        load_run(copy)


def test_an_empty_record_is_no_run(tmp_path):
    sqlite3.connect(tmp_path / "study.db").close()
    (tmp_path / "study.db").touch()

    with pytest.raises(InputError, match="no run lies here"):
        load_run(tmp_path)


def test_trials_come_back_from_parquet(run):
    pd.testing.assert_frame_equal(pd.read_parquet(run.folder / "trials.parquet"), run.trials)


def test_stages_come_back_from_parquet(run):
    pd.testing.assert_frame_equal(pd.read_parquet(run.folder / "stages.parquet"), run.stages)


def test_trials_come_back_from_csv(run):
    read = pd.read_csv(run.folder / "trials.csv")

    assert list(read.columns) == list(run.trials.columns)
    for name in ("number", "macs", "latency_ms", "top1", "architecture", "outcome", "excess.params"):
        assert list(read[name].dropna()) == list(run.trials[name].dropna())


def test_the_frontier_comes_back_from_csv(run):
    read = pd.read_csv(run.folder / "frontier.csv")

    assert list(read["number"]) == list(run.frontier["number"])
    assert list(read["top1"]) == list(run.frontier["top1"])


def test_the_frontier_is_a_picture(run):
    picture = (run.folder / "frontier.png").read_bytes()

    assert picture.startswith(PNG)
    # 9 x 4.9 inches of 160 dots each; more than a blank sheet.
    assert [int.from_bytes(picture[start : start + 4], "big") for start in (16, 20)] == [1440, 784]
    assert len(picture) > 15_000


@pytest.mark.parametrize("name", FILES)
def test_a_lost_file_comes_back(copy, name):
    before = (copy / name).read_bytes()
    (copy / name).unlink()

    write_all(copy)

    assert (copy / name).read_bytes() == before


@pytest.mark.parametrize("name", FILES)
def test_a_spoilt_file_is_replaced(copy, name):
    before = (copy / name).read_bytes()
    (copy / name).write_text("spoilt")

    write_all(copy)

    assert (copy / name).read_bytes() == before


def test_nothing_half_written_is_left(copy):
    write_all(copy)

    assert not [path.name for path in copy.rglob(".*")]


def test_looking_at_a_run_changes_nothing(copy):
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    load_run(copy)

    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_a_run_that_is_going_on_can_be_looked_at(copy):
    study = open_for_work(copy / "study.db", "mixed", ("top1", "macs"))
    study.ask()

    run = load_run(copy)
    write_tables(run)

    assert run.trials.iloc[-1]["state"] == "RUNNING"
    assert pd.isna(run.trials.iloc[-1]["outcome"])


def test_a_run_whose_first_trial_is_going_on_can_be_looked_at(tmp_path):
    open_for_work(tmp_path / "study.db", "new", ("top1", "macs")).ask()

    run = load_run(tmp_path)

    assert (len(run.trials), len(run.stages), len(run.frontier)) == (1, 0, 0)


def test_a_run_without_trials_has_empty_tables_of_the_same_columns(tmp_path, run):
    open_for_work(tmp_path / "study.db", "new", ("top1", "macs"))

    empty = load_run(tmp_path)

    assert (len(empty.trials), len(empty.stages), len(empty.frontier)) == (0, 0, 0)
    shared = [name for name in run.trials.columns if "." not in name]
    assert list(empty.trials.columns) == shared
    assert [str(kind) for kind in empty.trials.dtypes] == [str(run.trials[name].dtype) for name in shared]


def test_a_run_in_which_nothing_was_trained_has_all_its_files(searched, tmp_path):
    space = load_space(searched.parent / "mixed.yaml")
    config = StudyConfig(objectives=("top1", "macs"), trials=2, latency_seconds=0.01)

    run = run_study(space, config, tmp_path, evaluate=lambda architecture, recipe: 2.0)

    assert list(run.trials["outcome"]) == ["failed", "failed"]
    assert {path.name for path in tmp_path.iterdir()} >= set(FILES)
    assert (tmp_path / "frontier.png").read_bytes().startswith(PNG)


def test_the_accuracy_of_a_single_objective_is_shown_against_macs(searched, tmp_path):
    space = load_space(searched.parent / "mixed.yaml")

    run = run_study(
        space,
        StudyConfig(objectives=("top1",), trials=3, latency_seconds=0.01),
        tmp_path,
        evaluate=lambda architecture, recipe: architecture.stem.channels / 10,
    )

    assert run.cost == "macs"
    assert list(run.frontier["top1"]) == [run.trials["top1"].max()] * len(run.frontier)
    assert (tmp_path / "frontier.png").read_bytes().startswith(PNG)


def test_an_interrupted_trial_is_in_the_table_and_not_on_the_frontier(copy):
    study = open_for_work(copy / "study.db", "mixed", ("top1", "macs"))
    trial = study.ask()
    trial.set_user_attr("outcome", "interrupted")
    study.tell(trial, state=TrialState.FAIL)

    run = load_run(copy)

    assert run.trials.iloc[-1]["outcome"] == "interrupted"
    assert trial.number not in set(run.frontier["number"])


def test_results_need_no_torch_and_no_matplotlib():
    code = "import sys, archsearch.results; print({'torch', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def test_a_notebook_asks_a_run_for_its_answer_and_its_health(run):
    assert run.answer[0].startswith("Most accurate: trial ")
    assert set(run.health["status"]) <= {"ok", "warn", "unknown"}


def test_a_run_is_read_without_torch(searched):
    code = (
        "import sys; from archsearch.results.run import load_run, write_tables\n"
        f"print(len(load_run({str(searched)!r}).frontier) > 0, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "True False\n"
