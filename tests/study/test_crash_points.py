"""A run is killed before every durable effect that it has, or its disk fails: the same call ends as if nothing had been."""

import copy
import json
import os
import shutil
import sqlite3
import subprocess
import sys

import crash_points
import full_disk
import pytest
from crash_points import CASES, Case, facts, finished, stand_ins, violations
from forked_helper import ForkedHelper
from table_search import Calls

from archsearch.errors import EnvironmentFaultError
from archsearch.storage import sqlite_file

# One of how many points of each case. What a trial does is 27 effects, and 45 with its two rungs: with no common
# factor, each trial is struck at other places. ``python -m studies.crash_safety`` sweeps all, and real trainings.
STRIDES = {"table": 5, "rungs": 7}
# Beside busy neighbours a sweep takes five times as long as alone.
pytestmark = pytest.mark.timeout(900)
# Of a hundred of these, at so many a process is really killed, and the recovery of so many is killed too.
KILLS, RECOVERIES = 12, 10


@pytest.fixture(scope="module", params=STRIDES)
def swept(request, tmp_path_factory):
    """What the sweep of one case counted."""
    root = tmp_path_factory.mktemp("sweep")
    with ForkedHelper(
        crash_points.main, request.param, root, 0, STRIDES[request.param], KILLS, RECOVERIES
    ) as sweep:
        printed, errors = sweep.communicate(timeout=800)
    assert sweep.returncode == 0, errors
    return json.loads(printed.splitlines()[-1])


def test_a_kill_at_any_effect_does_not_change_the_result_of_a_run(swept):
    assert swept["violations"] == []


def test_processes_were_killed_and_their_recoveries_too(swept):
    for what in ("kills", "kills of recoveries", "recoveries"):
        assert swept[what] >= 2


def test_every_kind_of_effect_is_met(swept):
    kinds = {"open", "fsync", "commit", "close", "sqlite3.connect", "os.rename", "os.remove", "os.mkdir"}

    assert set(swept["labels"]) >= kinds


def test_a_kill_leaves_behind_no_more_than_locks_of_the_dead_and_files_that_were_never_put_in_place(swept):
    assert all(name == "workers/NAME.lock" or ".PID." in name for name in swept["left"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing happened to, and its record."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with stand_ins():
        CASES["table"].run(folder)
    return folder, facts(folder)


def test_nothing_is_wrong_with_a_run_that_nothing_happened_to(whole):
    folder, found = whole

    assert violations(folder, found, found) == []


def changed(found, number, **change):
    before = copy.deepcopy(found)
    before[number] = {**copy.deepcopy(found[0]), **change}
    return before


PLANTED = {
    "lost: trial 7": lambda found: {"before": changed(found, 7)},
    "changed: trial 1": lambda found: {"before": changed(found, 1, values={0: 0.5})},
    "not as if uninterrupted": lambda found: {"whole": changed(found, 1, values={0: 0.5})},
    "budget off: slots [0, 1, 2] of 4": lambda found: {"budget": 4},
}


@pytest.mark.parametrize("violation", PLANTED)
def test_a_planted_fault_is_seen(whole, violation):
    folder, found = whole

    assert violation in violations(folder, **{"before": found, "whole": found, **PLANTED[violation](found)})


@pytest.mark.parametrize(
    ("name", "violation"),
    [
        ("trials.csv", "results differ: trials.csv"),
        ("frontier.csv", "results differ: frontier"),
    ],
)
def test_a_result_file_that_lags_behind_is_seen(whole, tmp_path, name, violation):
    shutil.copytree(whole[0], tmp_path / "run")
    path = tmp_path / "run" / name
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))

    assert violation in violations(tmp_path / "run", {}, whole[1])


def stopped_in_the_second(act):
    """The study of the other runs, in whose second candidate something happens."""
    case = CASES["table"]
    return Case(case.text, case.config, Calls(lambda number, _: act() if number == 2 else None))


def resumed(folder, whole):
    """What is wrong once the same call has been made again; no candidate has paid for the fault."""
    before = facts(folder)
    with stand_ins():
        CASES["table"].run(folder)
    burned = [n for n, trial in finished(before).items() if trial["attributes"]["outcome"] == "failed"]
    return violations(folder, before, whole[1]) + burned


def test_a_lock_that_outlasts_patience_stops_the_run_and_it_resumes(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_file, "LOCK_TIMEOUT_S", 0.2)
    folder, holders = tmp_path / "run", []

    def lock():
        holders.append(sqlite3.connect(folder / "study.db", isolation_level=None))
        holders[0].execute("BEGIN EXCLUSIVE")

    with stand_ins(), pytest.raises(EnvironmentFaultError, match=r"locked.*start the same command") as caught:
        stopped_in_the_second(lock).run(folder)
    holders[0].close()

    assert caught.value.exit_code == 4
    assert resumed(folder, whole) == []


def test_a_record_that_is_damaged_within_a_run_stops_it_and_the_copy_resumes(whole, tmp_path):
    folder, kept = tmp_path / "run", tmp_path / "kept"

    def damage():
        """A copy is taken, then the record's pages are zeros; the log that is written ahead as well."""
        kept.mkdir()
        for path in folder.glob("study.db*"):
            shutil.copy(path, kept)
        for name in ("study.db", "study.db-wal"):
            with (folder / name).open("r+b") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(0)
                file.write(bytes(size))

    with stand_ins(), pytest.raises(EnvironmentFaultError) as caught:
        stopped_in_the_second(damage).run(folder)
    for path in folder.glob("study.db*"):
        path.unlink()
    for path in kept.iterdir():
        shutil.copy(path, folder)

    assert caught.value.exit_code == 4
    assert resumed(folder, whole) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_may_not_be_written_any_more_stops_the_run_and_it_resumes(whole, tmp_path):
    folder = tmp_path / "run"
    with stand_ins(), pytest.raises(EnvironmentFaultError) as caught:
        stopped_in_the_second(lambda: folder.chmod(0o500)).run(folder)
    folder.chmod(0o700)

    assert caught.value.exit_code == 4
    assert resumed(folder, whole) == []


def filled_to_its_limit(folder, whole):
    """What a run whose files may not grow printed."""
    with ForkedHelper(full_disk.main, "limit", folder, whole) as process:
        printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return printed


def filled_disk(folder, whole):
    """What a run on a small disk printed, which is mounted in a namespace of its own."""
    if not full_disk.mountable():
        pytest.skip("this user may not mount")
    command = ["unshare", "-rm", sys.executable, full_disk.__file__, "mount", folder, whole]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("fill", [filled_to_its_limit, filled_disk], ids=["limit", "mount"])
def test_a_full_disk_stops_the_run_burns_no_candidate_and_it_resumes(whole, tmp_path, fill):
    (tmp_path / "disk").mkdir()
    found = json.loads(fill(tmp_path / "disk", whole[0]).splitlines()[-1])

    assert (found["code"], found["burned"], found["wrong"]) == (4, [], [])
    assert found["trials"] > 0
