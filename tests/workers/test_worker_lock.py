"""What both kinds of lock promise: one worker at a time, and who lives is known. The kinds are a folder and a database."""

import os
import re
import signal
import threading
import time

import pytest
from lock_workers import gone, holding, tell, worker

from archsearch.errors import EnvironmentFaultError
from archsearch.workers import postgres_locks, worker_lock
from archsearch.workers.join import join


@pytest.fixture(params=["folder", "server"])
def where(request, tmp_path, monkeypatch):
    """What the workers have in common; a server was not started just now: who is not there will not come back."""
    if request.param == "folder":
        return tmp_path
    monkeypatch.setattr(postgres_locks, "RETURN_S", 0)
    return request.getfixturevalue("url")


@pytest.fixture
def one(where):
    """One more worker, as a context."""
    return lambda: join(where, where if isinstance(where, str) else None, "one")


def test_the_name_of_a_worker_tells_where_it_runs(one):
    with one() as here:
        assert re.fullmatch(rf"[A-Za-z0-9._-]{{1,40}}-{os.getpid()}-[0-9a-f]{{8}}", here.worker)


def test_no_two_workers_have_one_name(one):
    with one() as first, one() as second:
        assert first.worker != second.worker


def test_the_lock_is_held_by_one_at_a_time(where, tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    with worker(where) as (first, _), worker(where) as (second, _):
        for process in (first, second):
            tell(process, f"count {counter} 25")
        for process in (first, second):
            assert process.stdout.readline() == "done\n"

    assert counter.read_text() == "50"


def test_who_wants_the_lock_of_another_waits_for_it(one):
    with one() as first, one() as second:
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


def test_who_holds_the_lock_does_not_take_it_again(one):
    with (
        one() as here,
        here.locked(),
        pytest.raises(RuntimeError, match="holds the lock already"),
        here.locked(),
    ):
        pass


def test_an_error_releases_the_lock(one):
    with one() as here, one() as other:
        with pytest.raises(ValueError, match="within"), here.locked():
            raise ValueError("within")
        with other.locked(), pytest.raises(RuntimeError), other.locked():
            pass
        with here.locked():
            pass


def test_a_worker_lives_until_its_context_ends(one):
    with one() as here:
        with one() as other:
            assert here.alive(other.worker)
            assert here.alive(here.worker)

        assert not here.alive(other.worker)


def test_looking_at_a_worker_does_not_disturb_it(where, one):
    with worker(where) as (_, name), one() as here:
        assert all(here.alive(name) for _ in range(100))


@pytest.mark.alone
def test_a_killed_worker_is_dead_and_its_lock_is_free_at_once(where, one):
    with worker(where) as (process, name), one() as here:
        holding(process)
        assert here.alive(name)
        process.kill()
        process.wait()
        killed = time.monotonic()
        with here.locked():
            assert time.monotonic() - killed < 1
            assert gone(here, name)


def test_a_child_of_a_killed_worker_keeps_nothing_alive(where, one):
    with worker(where) as (process, name), one() as here:
        tell(process, "fork")
        child = int(process.stdout.readline())
        process.kill()
        process.wait()
        dead = gone(here, name)
        os.kill(child, signal.SIGKILL)
        assert dead


def test_a_stopped_worker_lives(where, one):
    with worker(where) as (process, name), one() as here:
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.1)

        assert here.alive(name)


def test_an_unknown_worker_is_dead(one):
    with one() as here:
        assert not here.alive("host-1-00000000")


def test_a_request_to_stop_ends_the_wait(where, one):
    with worker(where) as (process, name), one() as here, here.locked():
        tell(process, "hold")
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)

        assert "KeyboardInterrupt" in process.communicate(timeout=5)[1]
        assert gone(here, name)


def test_whoever_keeps_the_lock_too_long_is_named(where, one, monkeypatch):
    monkeypatch.setattr(worker_lock, "WAIT_TIMEOUT_S", 0.3)
    with worker(where) as (process, name), one() as here:
        holding(process)
        process.send_signal(signal.SIGSTOP)

        with pytest.raises(EnvironmentFaultError) as caught, here.locked():
            pass
        assert f"{here.place}: {name} has held the run for" in str(caught.value)
        assert "is it stopped?" in str(caught.value)
