"""The record is opened so that it cannot be written, and so that nobody waits for anybody."""

import shutil
import sqlite3
import time

import pytest

from archsearch.dashboard.reading import open_to_read
from archsearch.errors import EnvironmentFaultError, InputError
from archsearch.storage.optuna_storage import close, load_study_record
from archsearch.storage.run_folder import RunFolder


@pytest.fixture
def study(folder):
    study = open_to_read(RunFolder(folder))
    yield study
    close(study)


def test_it_is_the_same_study(folder, study):
    writers = load_study_record(folder / "study.db")
    names = (writers.study_name, writers.metric_names, writers.trials)
    close(writers)

    assert (study.study_name, study.metric_names, study.trials) == names


def test_nothing_can_be_written(folder, study):
    before = (folder / "study.db").read_bytes()

    with pytest.raises(Exception) as caught:
        study.set_user_attr("seen", "yes")

    assert "readonly database" in str(caught.value.__cause__ or caught.value)
    assert (folder / "study.db").read_bytes() == before


def test_reading_does_not_wait_for_a_writer(folder, study):
    with sqlite3.connect(folder / "study.db", isolation_level=None) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM trial_values")
        start = time.monotonic()
        values = [trial.values for trial in study.trials]
        waited = time.monotonic() - start
        writer.execute("ROLLBACK")

    assert waited < 5
    assert any(values)


def test_a_writer_does_not_wait_for_one_who_reads(folder, study):
    with study._storage._backend.engine.connect() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM trials").fetchone()
        with sqlite3.connect(folder / "study.db", timeout=0) as writer:
            writer.execute("UPDATE studies SET study_name = 'changed'")

    assert open_to_read(RunFolder(folder)).study_name == "changed"


@pytest.mark.parametrize("name", ["with space", "what?", "half%20", "a#b", "{x}"])
def test_a_folder_may_have_any_name(folder, tmp_path, name):
    shutil.copytree(folder, tmp_path / name)
    study = open_to_read(RunFolder(tmp_path / name))

    assert study.study_name == "seen"
    close(study)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        open_to_read(RunFolder(tmp_path))

    assert caught.value.lines() == [
        f"{tmp_path}: no run lies here (there is no study.db); give the folder that archsearch run named"
    ]


def test_a_file_that_is_no_record_is_a_fault_of_the_disk(tmp_path):
    (tmp_path / "study.db").write_bytes(b"no database at all" * 100)

    with pytest.raises(EnvironmentFaultError, match="not a database"):
        open_to_read(RunFolder(tmp_path))
