"""Workers of one folder: they take turns, and the kernel tells who of them lives."""

import os
import re
import signal
import threading
import time

import pytest
from lock_worker import holding, tell, worker

from archsearch.errors import EnvironmentFaultError
from archsearch.workers import worker_lock
from archsearch.workers.folder_locks import folder_locks


def files(folder):
    return sorted(path.name for path in (folder / "workers").iterdir())


def test_the_name_of_a_worker_tells_where_it_runs(tmp_path):
    with folder_locks(tmp_path) as here:
        assert re.fullmatch(rf"[A-Za-z0-9._-]{{1,40}}-{os.getpid()}-[0-9a-f]{{8}}", here.worker)


def test_no_two_workers_have_one_name(tmp_path):
    with folder_locks(tmp_path) as first, folder_locks(tmp_path) as second:
        assert first.worker != second.worker


def test_turns_never_overlap(tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    with worker(tmp_path) as (first, _), worker(tmp_path) as (second, _):
        for process in (first, second):
            tell(process, f"count {counter} 50")
        for process in (first, second):
            assert process.stdout.readline() == "done\n"

    assert counter.read_text() == "100"


def test_a_turn_waits_for_the_turn_of_another(tmp_path):
    with folder_locks(tmp_path) as first, folder_locks(tmp_path) as second:
        entered = threading.Event()

        def enter():
            with second.locked():
                entered.set()

        with first.locked():
            waiting = threading.Thread(target=enter)
            waiting.start()
            assert not entered.wait(0.2)
        waiting.join()
        assert entered.is_set()


def test_a_turn_has_no_turn_within(tmp_path):
    with (
        folder_locks(tmp_path) as here,
        here.locked(),
        pytest.raises(RuntimeError, match="holds the lock already"),
        here.locked(),
    ):
        pass


def test_an_error_ends_a_turn(tmp_path):
    with folder_locks(tmp_path) as here, folder_locks(tmp_path) as other:
        with pytest.raises(ValueError, match="within"), here.locked():
            raise ValueError("within")
        with other.locked(), pytest.raises(RuntimeError), other.locked():
            pass
        with here.locked():
            pass


def test_a_worker_lives_until_its_context_ends(tmp_path):
    with folder_locks(tmp_path) as here:
        with folder_locks(tmp_path) as other:
            assert here.alive(other.worker)
            assert here.alive(here.worker)
            assert files(tmp_path) == sorted([f"{here.worker}.lock", f"{other.worker}.lock"])
        assert not here.alive(other.worker)

    assert files(tmp_path) == []


def test_looking_at_a_worker_does_not_disturb_it(tmp_path):
    with worker(tmp_path) as (_, name), folder_locks(tmp_path) as here:
        assert all(here.alive(name) for _ in range(100))


@pytest.mark.alone
def test_a_killed_worker_is_gone_and_its_turn_is_free_at_once(tmp_path):
    with worker(tmp_path) as (process, name), folder_locks(tmp_path) as here:
        holding(process)
        assert here.alive(name)
        process.kill()
        process.wait()
        killed = time.monotonic()
        with here.locked():
            assert not here.alive(name)

    assert time.monotonic() - killed < 1
    assert files(tmp_path) == []


def test_a_child_of_a_killed_worker_keeps_nothing_alive(tmp_path):
    with worker(tmp_path) as (process, name), folder_locks(tmp_path) as here:
        tell(process, "fork")
        child = int(process.stdout.readline())
        process.kill()
        process.wait()
        gone = not here.alive(name)
        os.kill(child, signal.SIGKILL)
        assert gone


def test_a_stopped_worker_lives(tmp_path):
    with worker(tmp_path) as (process, name), folder_locks(tmp_path) as here:
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.1)

        assert here.alive(name)


def test_a_worker_that_nobody_has_heard_of_is_gone(tmp_path):
    with folder_locks(tmp_path) as here:
        assert not here.alive("host-1-00000000")


def test_a_name_that_leads_out_of_the_folder_touches_nothing(tmp_path):
    (tmp_path / "precious.lock").touch()
    with folder_locks(tmp_path / "run") as here:
        assert not here.alive("../../precious")
        assert not here.alive(str(tmp_path / "precious"))

    assert (tmp_path / "precious.lock").exists()


def test_a_request_to_stop_ends_the_wait(tmp_path):
    with worker(tmp_path) as (process, name), folder_locks(tmp_path) as here, here.locked():
        tell(process, "hold")
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)

        assert "KeyboardInterrupt" in process.communicate(timeout=5)[1]
        assert not here.alive(name)


def test_whoever_keeps_a_turn_too_long_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_lock, "WAIT_TIMEOUT_S", 0.3)
    with worker(tmp_path) as (process, name), folder_locks(tmp_path) as here:
        holding(process)
        process.send_signal(signal.SIGSTOP)

        with pytest.raises(EnvironmentFaultError) as caught, here.locked():
            pass
        assert f"{tmp_path}: {name} has held the run for" in str(caught.value)
        assert "is it stopped?" in str(caught.value)


def test_a_lock_file_that_was_removed_is_made_again(tmp_path):
    with folder_locks(tmp_path) as here:
        for _ in range(2):
            with here.locked():
                assert (tmp_path / "run.lock").read_text() == here.worker
            (tmp_path / "run.lock").unlink()


def test_a_folder_that_is_gone_is_a_fault_of_the_environment(tmp_path):
    with folder_locks(tmp_path / "run") as here:
        (tmp_path / "run").rename(tmp_path / "elsewhere")

        with pytest.raises(EnvironmentFaultError, match="No such file"), here.locked():
            pass


def test_a_folder_below_a_file_is_a_fault_of_the_environment(tmp_path):
    (tmp_path / "file").touch()

    with (
        pytest.raises(EnvironmentFaultError, match="choose another folder with --out"),
        folder_locks(tmp_path / "file"),
    ):
        pass
