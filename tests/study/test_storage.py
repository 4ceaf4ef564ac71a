"""The record: a SQLite file that workers share, that readers do not disturb, and whose faults have a name."""

import itertools
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from optuna.trial import TrialState
from searching import blind, opened, outcome_of, table

from archsearch.errors import EnvironmentFaultError
from archsearch.study.run import search
from archsearch.study.storage import finished, load_study_record, open_study

WORKERS = 4
QUEUED = 40
NAMES = ("top1", "macs")


@pytest.fixture
def database(tmp_path):
    return tmp_path / "study.db"


def test_a_study_is_created_once_and_loaded_afterwards(database):
    first = open_study(database, "one", NAMES)
    first.ask()

    assert len(open_study(database, "one", NAMES).trials) == 1


def test_a_record_is_loaded_without_its_name(database):
    open_study(database, "one", NAMES)

    study = load_study_record(database)

    assert (study.study_name, study.metric_names) == ("one", ["top1", "macs"])


def test_plain_optuna_reads_the_record(six, out):
    search(six, blind(trials=2), out, evaluate=table)

    with opened(out) as study:
        assert study.study_name == "six"
        assert len(study.best_trials) >= 1


def test_the_journal_is_written_ahead(database):
    open_study(database, "one", NAMES)

    connection = sqlite3.connect(database)
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    connection.close()
    assert mode == "wal"


def test_a_transaction_takes_the_write_lock_before_it_reads(database):
    study = open_study(database, "one", NAMES)
    other = sqlite3.connect(database, timeout=0)
    with study._storage._backend.engine.begin(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.close()


def test_no_trial_of_a_queue_is_handed_out_twice(tmp_path):
    study = open_study(tmp_path / "study.db", "queue", NAMES)
    for _ in range(QUEUED):
        study.enqueue_trial({}, user_attrs={"queued": True})
    worker = [sys.executable, Path(__file__).with_name("popping.py"), tmp_path, str(WORKERS)]
    workers = [subprocess.Popen(worker, stdout=subprocess.PIPE, text=True) for _ in range(WORKERS)]
    assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * WORKERS
    (tmp_path / "go").touch()
    handed_out = [[int(line) for line in worker.communicate(timeout=60)[0].split()] for worker in workers]

    assert sorted(itertools.chain.from_iterable(handed_out)) == list(range(QUEUED))
    assert all(handed_out)


def test_a_reader_does_not_disturb_the_search_nor_the_search_the_reader(six, out):
    search(six, blind(trials=1), out, evaluate=table)
    reader = sqlite3.connect(out / "study.db", isolation_level=None, timeout=0)
    reader.execute("BEGIN")
    count = "SELECT count(*) FROM trials"
    before = reader.execute(count).fetchone()

    search(six, blind(trials=3), out, evaluate=table)

    assert reader.execute(count).fetchone() == before == (1,)
    reader.execute("COMMIT")
    assert reader.execute(count).fetchone() == (3,)
    reader.close()


def test_a_lock_of_somebody_else_is_waited_for(six, out):
    search(six, blind(trials=1), out, evaluate=table)
    holder = sqlite3.connect(out / "study.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(1.0, lambda: holder.execute("COMMIT"))
    release.start()

    found = outcome_of(six, blind(trials=2), out)

    release.join()
    holder.close()
    assert sorted(found) == [0, 1]


def test_a_database_of_garbage_is_a_fault_of_the_environment(six, out):
    out.mkdir()
    (out / "study.db").write_bytes(b"x" * 999)

    with pytest.raises(EnvironmentFaultError, match=r"study\.db: .*not a database.*start the same command"):
        search(six, blind(), out, evaluate=table)


def test_a_database_of_garbage_is_left_as_it_is(six, out):
    out.mkdir()
    (out / "study.db").write_bytes(b"x" * 999)
    with pytest.raises(EnvironmentFaultError):
        search(six, blind(), out, evaluate=table)

    assert (out / "study.db").read_bytes() == b"x" * 999


def test_half_a_database_is_a_fault_of_the_environment(six, out):
    search(six, blind(trials=2), out, evaluate=table)
    content = (out / "study.db").read_bytes()
    (out / "study.db").write_bytes(content[: len(content) // 2])

    with pytest.raises(EnvironmentFaultError, match=r"study\.db"):
        search(six, blind(trials=4), out, evaluate=table)


def test_a_database_of_another_program_is_a_fault_of_the_environment(database):
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE version_info (something TEXT)")
    connection.commit()
    connection.close()

    with pytest.raises(EnvironmentFaultError):
        load_study_record(database)


def test_trials_that_used_up_a_slot_are_the_trained_and_the_failed(database):
    study = open_study(database, "one", NAMES)
    ends = {
        "trained": (TrialState.COMPLETE, [0.5, 1.0]),
        "failed": (TrialState.FAIL, None),
        "interrupted": (TrialState.FAIL, None),
        "infeasible": (TrialState.PRUNED, None),
    }
    for outcome, (state, values) in ends.items():
        trial = study.ask()
        trial.set_user_attr("outcome", outcome)
        study.tell(trial, values, state)

    assert [trial.user_attrs["outcome"] for trial in finished(study)] == ["trained", "failed"]


def test_a_closed_study_leaves_no_side_files(six, out):
    search(six, blind(trials=1), out, evaluate=table)

    assert sorted(path.name for path in out.iterdir()) == ["run.json", "run.lock", "study.db"]
