"""Several workers on one run: together they do what one would, whoever of them is killed, stopped or late."""

import os
import signal
import threading
import time

import postgres_server
import pytest
from crash_points import CLIMB, rising
from table_search import blind, search, settled, table
from table_search import states as states_in
from worker_crowd import Crowd, exactly, nursery, space_named

from archsearch.api import run_study
from archsearch.errors import EnvironmentFaultError, RunFolderError
from archsearch.storage import faults
from archsearch.study import loop
from archsearch.workers.folder_locks import FolderLocks

ROUNDS = 2  # ``python -m studies.crash_safety`` has twenty
RUNGS = {"rungs": (0.25, 0.5), "reduction_factor": 2}


@pytest.fixture(scope="module")
def context():
    return nursery()


@pytest.fixture
def crowd(context, tmp_path):
    workers = Crowd(context, tmp_path)
    yield workers
    workers.end()


@pytest.fixture(scope="module")
def server():
    with postgres_server.running() as started:
        yield started


@pytest.fixture
def shared(server):
    """An empty database, and a server that does not wait for who was there before it was started."""
    return {"storage": server.new_database(), "return_s": 0}


def states(crowd):
    return {state for _, state, _ in crowd.trials()}


def worker_files(crowd):
    shared = ("measuring", "results")
    return sorted(p.name for p in (crowd.folder / "workers").iterdir() if not p.name.startswith(shared))


def as_one_worker_finds(crowd, trials):
    """A run of the same budget by one worker; only samplers without a memory promise the same to several."""
    run = run_study(
        space_named("tiny"),
        blind(trials=trials, device="cpu", sampler="random"),
        crowd.root / "one",
        evaluate=table,
    )
    return dict(zip(run.trials["slot"], run.trials["architecture"], strict=True))


@pytest.mark.parametrize("attempt", range(ROUNDS))
def test_four_workers_that_start_together_all_get_in_and_keep_to_the_budget(crowd, attempt):
    crowd.together(4, trials=6)

    assert crowd.ended() == [0] * 4, crowd.errors()
    assert crowd.used() == exactly(6)
    assert states(crowd) == {"COMPLETE"}
    assert worker_files(crowd) == []


def test_a_worker_that_joins_has_its_share(crowd):
    crowd.start(options={"pace": 0.1}, trials=12)
    crowd.until(lambda diary: len(diary) >= 2)
    second = crowd.start(options={"pace": 0.1}, trials=12)

    assert crowd.ended() == [0, 0]
    assert crowd.used() == exactly(12)
    assert 2 <= sum(worker == second.pid for worker, _ in crowd.diary()) <= 10


def test_the_candidate_of_a_killed_worker_is_taken_by_another(crowd):
    first = crowd.start(options={"pace": 5}, trials=4)
    ((_, slot),) = crowd.until(lambda diary: len(diary) == 1)
    second = crowd.start(options={"pace": 0.05}, trials=4)
    crowd.until(lambda diary: len(diary) == 4)
    os.kill(first.pid, signal.SIGKILL)

    assert crowd.ended() == [-signal.SIGKILL, 0]
    assert crowd.used() == exactly(4)
    assert (second.pid, slot) in crowd.diary()
    assert [outcome for _, state, outcome in crowd.trials() if state == "FAIL"] == ["interrupted"]


def test_when_all_are_killed_another_number_of_workers_continues(crowd):
    killed = [crowd.start(options={"pace": 0.2}, trials=8) for _ in range(2)]
    crowd.until(lambda diary: len(diary) >= 4)
    for worker in killed:
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
    for _ in range(3):
        crowd.start(trials=8)

    assert crowd.ended()[2:] == [0, 0, 0]
    assert crowd.used() == exactly(8)
    assert states(crowd) == {"COMPLETE", "FAIL"}


def test_a_stopped_worker_keeps_its_candidate_and_is_counted_once(crowd):
    stopped = crowd.start(options={"pace": 0.5}, trials=4)
    ((_, slot),) = crowd.until(lambda diary: len(diary) == 1)
    os.kill(stopped.pid, signal.SIGSTOP)
    crowd.start(trials=4)
    crowd.until(lambda diary: len(diary) == 4)
    time.sleep(0.7)
    assert states(crowd) == {"COMPLETE", "RUNNING"}
    os.kill(stopped.pid, signal.SIGCONT)

    assert crowd.ended() == [0, 0]
    assert crowd.used() == exactly(4)
    assert [s for _, s in crowd.diary()].count(slot) == 1


def test_a_worker_that_was_given_up_comes_back_too_late_and_is_not_counted(crowd):
    """Its lock is taken from it, as by somebody who tidies up by hand: its candidate is another's then."""
    late = crowd.start(options={"pace": 0.5}, trials=4)
    ((_, slot),) = crowd.until(lambda diary: len(diary) == 1)
    os.kill(late.pid, signal.SIGSTOP)
    for path in (crowd.folder / "workers").glob("*.lock"):
        path.unlink()
    crowd.start(trials=4)
    crowd.until(lambda diary: len(diary) == 5)
    os.kill(late.pid, signal.SIGCONT)

    assert crowd.ended() == [0, 0], crowd.errors()
    assert crowd.used() == exactly(4)
    assert [s for _, s in crowd.diary()].count(slot) == 2


def test_workers_with_rungs_leave_nobody_paused(crowd):
    for _ in range(2):
        crowd.start(options={"pace": 0.02, "space": "tokens"}, trials=6, **RUNGS)

    assert crowd.ended() == [0, 0], crowd.errors()
    assert crowd.used() == exactly(6)
    assert {outcome for _, _, outcome in crowd.trials()} == {"trained", "stopped"}


def test_a_candidate_of_a_killed_worker_continues_from_its_rung(crowd):
    first = crowd.start(options={"pace": 0.3, "space": "tokens"}, trials=3, **RUNGS)
    # Whoever begins a second time goes on from a rung.
    diary = crowd.until(lambda diary: len({slot for _, slot in diary}) < len(diary))
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    second = crowd.start(options={"space": "tokens"}, trials=3, **RUNGS)

    assert crowd.ended()[1] == 0, crowd.errors()
    assert crowd.diary()[len(diary)] == (second.pid, diary[-1][1])
    assert crowd.used() == exactly(3)
    assert {outcome for _, _, outcome in crowd.trials()} == {"trained", "stopped"}


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_stop_leaves_nothing_running(crowd, stop):
    told = crowd.start(options={"pace": 5}, trials=4)
    crowd.until(lambda diary: len(diary) == 1)
    crowd.start(options={"pace": 0.05}, trials=4)
    crowd.until(lambda diary: len(diary) == 2)
    os.kill(told.pid, stop)
    told.join(10)

    assert told.exitcode == 128 + stop
    assert crowd.ended() == [128 + stop, 0], crowd.errors()
    assert crowd.used() == exactly(4)
    assert states(crowd) == {"COMPLETE", "FAIL"}


def test_the_only_worker_that_is_told_to_stop_leaves_its_results(crowd):
    told = crowd.start(options={"pace": 0.2}, trials=4)
    crowd.until(lambda diary: len(diary) == 2)
    os.kill(told.pid, signal.SIGTERM)

    assert crowd.ended() == [143]
    assert [(state, outcome) for _, state, outcome in crowd.trials()] == [
        ("COMPLETE", "trained"),
        ("FAIL", "interrupted"),
    ]
    assert (crowd.folder / "trials.csv").read_text().count("\n") == 1 + 2


def test_workers_of_a_sampler_without_memory_find_what_one_finds(crowd):
    crowd.together(3, trials=9, sampler="random")
    codes = crowd.ended()

    assert codes == [0] * 3
    frame = run_study(
        space_named("tiny"), blind(trials=9, device="cpu", sampler="random"), crowd.folder, evaluate=table
    ).trials
    assert dict(zip(frame["slot"], frame["architecture"], strict=True)) == as_one_worker_finds(crowd, 9)


@pytest.mark.parametrize("change", [{"seed": 1}, {"sampler": "random"}, {"objectives": ("top1", "params")}])
def test_a_worker_with_other_settings_is_refused_while_the_run_is_under_way(crowd, change):
    crowd.start(options={"pace": 0.3}, trials=2)
    crowd.until(lambda diary: len(diary) >= 1)

    with pytest.raises(RunFolderError, match=next(iter(change))):
        run_study(space_named("tiny"), blind(device="cpu", **change), crowd.folder, evaluate=table)
    assert crowd.ended() == [0]
    assert crowd.used() == exactly(2)


def test_a_larger_budget_of_one_worker_is_no_other_run(crowd):
    crowd.start(options={"pace": 0.1}, trials=3)
    crowd.start(options={"pace": 0.1}, trials=6)

    assert crowd.ended() == [0, 0]
    assert crowd.used() == exactly(6)


def test_candidates_of_convolutions_alone_go_on_from_their_rungs(six, out):
    """They have no global mixer, and what is None is not stored."""
    search(six, blind(trials=3, **CLIMB), out, evaluate=rising)

    assert states_in(out) == {"COMPLETE": 1, "PRUNED": 2}


@pytest.mark.parametrize("broken", range(1, 8))
def test_a_lock_that_broke_off_at_its_release_is_taken_again_and_its_claim_is_nobodys(
    tiny, out, monkeypatch, broken
):
    """As when a server vanishes between the claim and the release of its lock."""
    releases, release = [], FolderLocks.release

    def breaks_off(locks):
        release(locks)
        releases.append(len(releases) + 1)
        if releases[-1] == broken:
            raise ConnectionError

    monkeypatch.setattr(FolderLocks, "release", breaks_off)
    monkeypatch.setattr(faults, "is_away", lambda error: isinstance(error, ConnectionError))
    monkeypatch.setattr(loop, "POLL_S", "whoever is alone waits for nobody")
    search(tiny, blind(trials=2), out, evaluate=table)

    assert sorted(settled(out)) == [0, 1]
    assert "RUNNING" not in states_in(out)


def test_three_workers_on_a_database_keep_to_the_budget(crowd, shared):
    crowd.together(3, shared, trials=12)

    assert crowd.ended() == [0] * 3, crowd.errors()
    assert crowd.used() == exactly(12)
    assert states(crowd) == {"COMPLETE"}


def test_two_machines_share_a_database_and_nothing_else(crowd, shared):
    folders = [crowd.root / name for name in ("here", "there")]
    for folder in folders:
        crowd.start(folder, {**shared, "pace": 0.05}, trials=8)

    assert crowd.ended() == [0, 0], crowd.errors()
    assert crowd.used(folders[0]) == crowd.used(folders[1]) == exactly(8)
    assert len({worker for worker, _ in crowd.diary()}) == 2


def test_the_candidate_of_a_worker_killed_on_another_machine_is_taken(crowd, shared):
    first = crowd.start(crowd.root / "there", {**shared, "pace": 5}, trials=4)
    ((_, slot),) = crowd.until(lambda diary: len(diary) == 1)
    second = crowd.start(options=shared, trials=4)
    crowd.until(lambda diary: len(diary) == 4)
    os.kill(first.pid, signal.SIGKILL)

    assert crowd.ended() == [-signal.SIGKILL, 0], crowd.errors()
    assert crowd.used() == exactly(4)
    assert (second.pid, slot) in crowd.diary()


def test_rungs_on_a_database_leave_nobody_paused(crowd, shared):
    for _ in range(2):
        crowd.start(options={**shared, "pace": 0.02, "space": "tokens"}, trials=6, **RUNGS)

    assert crowd.ended() == [0, 0], crowd.errors()
    assert crowd.used() == exactly(6)
    assert {outcome for _, _, outcome in crowd.trials()} == {"trained", "stopped"}


def test_workers_live_through_a_server_that_is_killed_and_started_again(crowd, server):
    options = {"storage": server.new_database(), "pace": 0.05}
    for _ in range(2):
        crowd.start(options=options, trials=12)
    crowd.until(lambda diary: len(diary) >= 4)
    server.kill()
    timer = threading.Timer(1.0, server.await_answer)
    timer.start()
    codes = crowd.ended()
    timer.join()

    assert codes == [0, 0], crowd.errors()
    assert crowd.used() == exactly(12)
    assert "RUNNING" not in states(crowd)


def test_a_database_that_has_the_run_of_another_folder_is_joined_and_a_folder_of_another_record_refused(
    crowd, shared
):
    crowd.start(options=shared, trials=2)
    assert crowd.ended() == [0], crowd.errors()

    with pytest.raises(RunFolderError, match="storage"):
        run_study(space_named("tiny"), blind(trials=2, device="cpu"), crowd.folder, evaluate=table)
    with pytest.raises(EnvironmentFaultError):
        run_study(
            space_named("tiny"),
            blind(device="cpu"),
            crowd.folder,
            evaluate=table,
            storage=f"{shared['storage']}_gone",
        )
