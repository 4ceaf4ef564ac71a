"""The record: a SQLite file that workers share, that readers do not disturb, and whose faults have a name."""

import itertools
import sqlite3
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import pytest
from optuna.trial import TrialState
from paths import HELPERS
from table_search import blind, opened, outcome_of, table

from archsearch.errors import EnvironmentFaultError, InputError
from archsearch.storage.optuna_storage import (
    close,
    file_system_of,
    finished,
    load_study_record,
    open_study,
    refuse_network_file_system,
    retry_while_down,
)
from archsearch.storage.storage_url import parse_storage_url
from archsearch.study.run import search

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
    worker = [sys.executable, HELPERS / "queue_process.py", tmp_path, str(WORKERS)]
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

    assert [path.name for path in out.glob("study.db*")] == ["study.db"]


def test_a_page_of_zeros_is_noticed_when_the_run_goes_on_and_left_as_it_is(six, out):
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
    close(open_study(tmp_path / name / "study.db", "one", NAMES))

    assert (tmp_path / name / "study.db").is_file()
    assert load_study_record(tmp_path / name / "study.db").study_name == "one"


def test_a_record_may_be_named_by_the_url_of_its_file(database):
    close(open_study(f"sqlite:///{database}", "one", NAMES))

    assert load_study_record(database).study_name == "one"


def test_of_several_studies_one_is_named(database):
    for name in ("one", "two"):
        close(open_study(database, name, NAMES))

    with pytest.raises(InputError, match="2 runs lie here; name one of one, two"):
        load_study_record(database)
    with pytest.raises(InputError, match="no run named tow lies here; did you mean two"):
        load_study_record(database, "tow")
    assert load_study_record(database, "two").study_name == "two"


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/bob/local ext4 rw 0 0
automatic /data autofs rw 0 0
bob@server:/ /data fuse.sshfs rw 0 0
//server/share /mnt/my\\040share cifs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/tmp/run", "ext4"),
        ("/home/bob/run", "nfs4"),
        ("/home/bob/local/run", "ext4"),
        ("/home/bob/locals/run", "nfs4"),
        ("/data/run", "fuse.sshfs"),
        ("/mnt/my share/run", "cifs"),
    ],
)
def test_a_file_lies_on_the_innermost_mount_and_of_two_on_the_later(path, kind):
    assert file_system_of(Path(path), MOUNTS) == kind


def test_a_network_file_system_is_refused_with_the_advice_to_take_postgresql():
    with pytest.raises(
        EnvironmentFaultError, match=r"\(nfs4\).*--storage postgresql://.*local folder"
    ) as caught:
        refuse_network_file_system(Path("/home/bob/run/study.db"), MOUNTS)

    assert caught.value.exit_code == 4


def test_a_local_file_system_and_an_unknown_one_are_accepted():
    refuse_network_file_system(Path("/home/bob/local/run/study.db"), MOUNTS)
    refuse_network_file_system(Path("/home/bob/run/study.db"), "")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://bob:S3cret@host/db",
        "postgresql://bob:S3/c@ret@host/db",
        "postgresql://bob:S3cret@host:port/db",
        "postgresql://host/db?user=bob&password=S3cret",
        "postgresql://host/db?sslpassword=S3cret",
        "postgresql://bob:S3cret",
        "mysql://bob:S3cret@host/db",
        "host=db user=bob password = S3cret",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(url):
    with pytest.raises(InputError) as caught:
        open_study(url, "one", NAMES)

    assert caught.value.exit_code == 2
    assert "S3" not in "".join(traceback.format_exception(caught.value))


def test_a_password_is_told_where_it_belongs():
    with pytest.raises(
        InputError, match="no place on a command line, where ps shows it; write it into PGPASSWORD"
    ):
        parse_storage_url("postgresql://bob:S3cret@host/db")


@pytest.mark.parametrize("url", ["mysql://host/db", "redis://host", "postgresql+asyncpg://host/db"])
def test_another_database_is_refused_with_the_two_that_work(url):
    with pytest.raises(InputError, match=r"postgresql://USER@HOST/DATABASE, or sqlite:///FILE"):
        parse_storage_url(url)


def test_a_driver_that_is_missing_is_told_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(InputError, match=r"pip install 'archsearch\[postgres\]'"):
        open_study("postgresql://host/db", "one", NAMES)


def test_patience_is_for_servers_only(database):
    def locked():
        raise sqlite3.OperationalError("database is locked")

    with pytest.raises(sqlite3.OperationalError):
        retry_while_down(locked)
    assert retry_while_down(lambda: "done") == "done"
