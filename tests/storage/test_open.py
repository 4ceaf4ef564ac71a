"""The record: a SQLite file or a database that workers share, that readers do not disturb, and whose faults have a name."""

import itertools
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing

import pytest
import queue_process
from forked_helper import ForkedHelper
from full_disk import mountable
from table_search import blind, opened, outcome_of, search, table

from archsearch import load_run
from archsearch.errors import EnvironmentFaultError, InputError
from archsearch.storage.open import close, load_for_work, open_for_work, open_read_only

WORKERS = 4
QUEUED = 40
NAMES = ("top1", "macs")


@pytest.fixture
def database(tmp_path):
    return tmp_path / "study.db"


class TestBothKinds:
    """What a SQLite file and a PostgreSQL database have to do alike."""

    @pytest.fixture(params=["file", "server"])
    def record(self, request, database):
        """An empty one."""
        return database if request.param == "file" else request.getfixturevalue("url")

    @pytest.fixture
    def read_only(self, record):
        """A study of one trial, opened to be read."""
        study = open_for_work(record, "one", NAMES)
        study.ask().set_user_attr("slot", 0)
        close(study)
        reader = open_read_only(record)
        yield reader
        close(reader)

    def test_a_study_is_created_once_and_loaded_afterwards(self, record):
        for _ in range(2):
            study = open_for_work(record, "one", NAMES)
            study.ask()
            close(study)

        for opener in (load_for_work, open_read_only):
            study = opener(record)
            assert (study.study_name, study.metric_names, len(study.trials)) == ("one", ["top1", "macs"], 2)
            close(study)

    @pytest.mark.parametrize("opener", [load_for_work, open_read_only])
    def test_of_several_studies_one_is_named(self, record, opener):
        for name in ("one", "two"):
            close(open_for_work(record, name, NAMES))

        with pytest.raises(InputError, match="2 runs lie here; name one of one, two"):
            opener(record)
        with pytest.raises(InputError, match="no run named tow lies here; did you mean two"):
            opener(record, "tow")
        study = opener(record, "two")
        assert study.study_name == "two"
        close(study)

    def test_no_trial_of_a_queue_is_handed_out_twice(self, record, tmp_path):
        study = open_for_work(record, "queue", NAMES)
        for _ in range(QUEUED):
            study.enqueue_trial({}, user_attrs={"queued": True})
        close(study)
        with ExitStack() as stack:
            workers = [
                stack.enter_context(ForkedHelper(queue_process.main, record, tmp_path, WORKERS))
                for _ in range(WORKERS)
            ]
            assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * WORKERS
            (tmp_path / "go").touch()
            handed_out = [[int(line) for line in worker.communicate()[0].split()] for worker in workers]

        assert sorted(itertools.chain.from_iterable(handed_out)) == list(range(QUEUED))
        assert all(handed_out)

    def test_a_reader_can_write_nothing(self, read_only):
        with pytest.raises(Exception) as caught:
            read_only.set_user_attr("seen", "yes")

        reason = str(caught.value.__cause__ or caught.value)
        assert "readonly database" in reason or "read-only transaction" in reason

    @pytest.mark.alone
    def test_a_reader_does_not_wait_for_a_writer_and_sees_the_last_commit(self, record, read_only):
        writer = load_for_work(record)
        with writer._storage._backend.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM trial_user_attributes")
            start = time.monotonic()
            again = open_read_only(record)
            slots = [[trial.user_attrs for trial in study.trials] for study in (read_only, again)]
            waited = time.monotonic() - start
        for study in (writer, again):
            close(study)

        assert waited < 5
        assert slots == [[{"slot": 0}], [{"slot": 0}]]
        assert read_only.trials[0].user_attrs == {}

    @pytest.mark.alone
    def test_a_writer_does_not_wait_for_a_reader(self, record, read_only):
        writer = load_for_work(record)
        with read_only._storage._backend.engine.connect() as reader:
            reader.exec_driver_sql("SELECT count(*) FROM trials").fetchone()
            start = time.monotonic()
            writer.set_user_attr("device", "cpu")
            waited = time.monotonic() - start
        close(writer)

        assert waited < 5
        assert read_only.user_attrs == {"device": "cpu"}


@pytest.mark.alone
def test_a_run_is_read_at_once_while_another_connection_holds_the_write_lock(six, out):
    search(six, blind(trials=2), out, evaluate=table)
    with closing(sqlite3.connect(out / "study.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM trial_values")
        start = time.monotonic()
        run = load_run(out)
        waited = time.monotonic() - start

    assert waited < 5
    assert run.trials["top1"].notna().sum() == 2


READ_ON_A_READ_ONLY_DISK = """
mount -t tmpfs none "$2" && cp -a "$1/." "$2" && mount -o remount,ro "$2" && ! touch "$2/file" 2>/dev/null &&
exec "$0" -c 'import sys; from archsearch import load_run; print(len(load_run(sys.argv[1]).trials))' "$2"
"""


@pytest.mark.skipif(not mountable(), reason="this user may not mount")
def test_a_run_is_read_where_nothing_can_be_written(six, out, tmp_path):
    search(six, blind(trials=2), out, evaluate=table)
    (tmp_path / "disk").mkdir()
    command = ["unshare", "-rm", "sh", "-c", READ_ON_A_READ_ONLY_DISK, sys.executable, out, tmp_path / "disk"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.returncode) == ("2", 0), done.stderr


def test_a_reader_leaves_no_side_files_and_those_of_a_killed_worker(six, out):
    search(six, blind(trials=1), out, evaluate=table)
    load_run(out)
    assert [path.name for path in out.glob("study.db*")] == ["study.db"]
    killed = load_for_work(out / "study.db")
    killed.set_user_attr("device", "cpu")
    copy = shutil.copytree(out, out.with_name("killed"))
    close(killed)

    assert load_run(copy).trials["state"].tolist() == ["COMPLETE"]
    assert (copy / "study.db-wal").stat().st_size > 0


def test_plain_optuna_reads_the_record(six, out):
    search(six, blind(trials=2), out, evaluate=table)

    with opened(out) as study:
        assert study.study_name == "six"
        assert len(study.best_trials) >= 1


def test_the_journal_is_written_ahead(database):
    open_for_work(database, "one", NAMES)

    connection = sqlite3.connect(database)
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    connection.close()
    assert mode == "wal"


def test_a_transaction_takes_the_write_lock_before_it_reads(database):
    study = open_for_work(database, "one", NAMES)
    other = sqlite3.connect(database, timeout=0)
    with study._storage._backend.engine.begin(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.close()


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


def test_a_worker_waits_for_the_lock_of_another(six, out):
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
        load_for_work(database)


def test_a_closed_study_leaves_no_side_files(six, out):
    search(six, blind(trials=1), out, evaluate=table)

    assert [path.name for path in out.glob("study.db*")] == ["study.db"]


def test_a_page_of_zeros_is_noticed_when_the_run_resumes_and_left_as_it_is(six, out):
    search(six, blind(trials=2), out, evaluate=table)
    page = (out / "study.db").read_bytes()[:4096]
    damaged = page + bytes(4096) + (out / "study.db").read_bytes()[8192:]
    (out / "study.db").write_bytes(damaged)

    with pytest.raises(
        EnvironmentFaultError, match=r"study\.db: damaged .*put a copy of the file in its place"
    ):
        search(six, blind(trials=4), out, evaluate=table)
    assert (out / "study.db").read_bytes() == damaged


@pytest.mark.parametrize("name", ["a?b", "{x}", "100%20", "a b#c"])
def test_a_folder_may_have_any_name(tmp_path, name):
    (tmp_path / name).mkdir()
    close(open_for_work(tmp_path / name / "study.db", "one", NAMES))

    assert (tmp_path / name / "study.db").is_file()
    for opener in (load_for_work, open_read_only):
        study = opener(tmp_path / name / "study.db")
        assert study.study_name == "one"
        close(study)


def test_a_record_may_be_named_by_the_url_of_its_file(database):
    close(open_for_work(f"sqlite:///{database}", "one", NAMES))

    assert load_for_work(database).study_name == "one"


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        load_run(tmp_path)

    assert caught.value.lines() == [
        f"{tmp_path}: no run lies here (there is no study.db); give the folder that archsearch run named"
    ]


def test_a_file_that_is_no_record_is_a_fault_of_the_disk(database):
    database.write_bytes(b"no database at all" * 100)

    with pytest.raises(EnvironmentFaultError, match="not a database"):
        open_read_only(database)
