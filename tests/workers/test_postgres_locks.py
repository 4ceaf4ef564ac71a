"""A record in PostgreSQL: workers that share only a server, which may be killed and started again."""

import threading
import time
import traceback
from contextlib import ExitStack

import postgres_server
import pytest
from lock_workers import tell, worker

from archsearch.errors import EnvironmentFaultError
from archsearch.storage.faults import retry_while_down
from archsearch.storage.open import close, load_for_work, open_for_work
from archsearch.workers import postgres_locks as postgres
from archsearch.workers.postgres_locks import PostgresLocks

NAMES = ("top1", "macs")
WORKERS = 4


@pytest.fixture
def old_server(monkeypatch):
    """The server was not started just now: whoever is not there will not come back."""
    monkeypatch.setattr(postgres, "RETURN_S", 0)


def restarted_after(server, seconds):
    """The server is away for so long, beginning now."""
    server.kill()
    timer = threading.Timer(seconds, server.await_answer)
    timer.start()
    return timer


def told(error):
    """Everything that an error could show."""
    return "".join(traceback.format_exception(error))


def test_workers_that_start_together_on_an_empty_database_all_get_in(server, tmp_path):
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(tmp_path))[0] for _ in range(WORKERS)]
        for _ in range(5):
            url = server.new_database()
            for process in workers:
                tell(process, f"join {url}")
            numbers = [int(process.stdout.readline()) for process in workers]
            assert sorted(numbers) == list(range(WORKERS))
            assert [process.stdout.readline() for process in workers] == ["done\n"] * WORKERS


def test_runs_in_one_database_do_not_wait_for_each_other(url):
    with (
        PostgresLocks(url, "one") as first,
        PostgresLocks(url, "two") as second,
        first.locked(),
        second.locked(),
    ):
        pass


def test_locks_end_with_their_session_and_the_next_lock_takes_them_again(server, url, old_server):
    with PostgresLocks(url, "one") as here, PostgresLocks(url, "one") as other:
        end = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '{other.worker}'"
        assert server.execute(end) == [(True,)]
        assert not here.alive(other.worker)
        with other.locked():
            pass

        assert here.alive(other.worker)


def test_a_worker_that_trains_comes_back_by_itself_when_the_server_does(server, url, old_server, monkeypatch):
    monkeypatch.setattr(postgres, "PING_S", 0.05)
    with PostgresLocks(url, "one") as here, PostgresLocks(url, "one") as other:
        server.kill()
        server.await_answer()
        deadline = time.monotonic() + 5
        while not here.alive(other.worker) and time.monotonic() < deadline:
            time.sleep(0.02)

        assert here.alive(other.worker)


def test_after_a_restart_nobody_is_taken_for_dead_too_soon(server, url):
    with PostgresLocks(url, "one") as here, PostgresLocks(url, "one") as other:
        server.kill()
        server.await_answer()

        assert here.alive(other.worker)


def test_a_lock_that_the_server_did_not_live_through_is_an_error_and_the_work_is_repeated(server, url):
    begun = []

    def work():
        with here.locked():
            begun.append(len(begun))
            if len(begun) == 1:
                server.kill()
                server.await_answer()

    with PostgresLocks(url, "one") as here:
        retry_while_down(work)
        assert begun == [0, 1]
        begun.clear()
        with pytest.raises(
            EnvironmentFaultError, match="the connection broke off while the record was locked"
        ):
            work()


def test_work_gets_through_a_server_that_is_killed_and_started_again(server, url):
    def work():
        with here.locked():
            study.set_user_attr(f"step {number}", number)

    with PostgresLocks(url, "one") as here:
        with here.locked():
            study = open_for_work(url, "one", NAMES)
        for number in range(20):
            if number == 10:
                restart = restarted_after(server, 0.5)
            retry_while_down(work)
        restart.join()
    close(study)

    again = load_for_work(url)
    assert again.user_attrs == {f"step {number}": number for number in range(20)}
    close(again)


def test_patience_ends_with_a_fault_of_the_environment(server, url):
    study = open_for_work(url, "one", NAMES)
    server.kill()
    try:
        with pytest.raises(
            EnvironmentFaultError, match=r"away for 0\.2 s: .*start the same command again"
        ) as caught:
            retry_while_down(lambda: study.set_user_attr("a", 1), seconds=0.2)
        assert caught.value.exit_code == 4
        with pytest.raises(EnvironmentFaultError, match=rf"127\.0\.0\.1:{server.port}/.*refused"):
            open_for_work(url, "one", NAMES)
        with (
            pytest.raises(EnvironmentFaultError, match=rf"127\.0\.0\.1:{server.port}/.*refused"),
            PostgresLocks(url, "one"),
        ):
            pass
    finally:
        server.await_answer()
        close(study)


def test_the_right_password_of_the_environment_opens_a_record(server, url, monkeypatch):
    database = url.rpartition("/")[2]
    server.execute(f"ALTER DATABASE {database} OWNER TO guarded")
    monkeypatch.setenv("PGPASSWORD", postgres_server.SECRET)
    guarded = server.url(database, "guarded")

    close(open_for_work(guarded, "one", NAMES))
    with PostgresLocks(guarded, "one") as here, here.locked():
        pass


@pytest.mark.parametrize("password", ["", "S3cret-and-wrong"])
def test_a_wrong_password_is_an_error_at_once_and_never_printed(server, monkeypatch, password):
    monkeypatch.setenv("PGPASSWORD", password)
    guarded = server.url("postgres", "guarded")
    for attempt in (
        lambda: open_for_work(guarded, "one", NAMES),
        lambda: PostgresLocks(guarded, "one").__enter__(),
    ):
        with pytest.raises(EnvironmentFaultError, match=r"PGPASSWORD or ~/\.pgpass") as caught:
            retry_while_down(attempt)
        assert f"guarded@127.0.0.1:{server.port}/postgres" in str(caught.value)
        assert "S3cret" not in told(caught.value)


def test_the_error_of_a_server_with_too_many_clients_says_what_to_do(server, url):
    database = url.rpartition("/")[2]
    server.execute(f"ALTER DATABASE {database} CONNECTION LIMIT 0")
    server.execute("DO $$ BEGIN CREATE ROLE guest LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")

    with pytest.raises(EnvironmentFaultError, match=r"too many connections.*start fewer workers") as caught:
        open_for_work(server.url(database, "guest"), "one", NAMES)
    assert caught.value.exit_code == 4
