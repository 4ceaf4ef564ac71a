"""Locks of a PostgreSQL session: what workers on several machines have in common is a server."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from archsearch.errors import EnvironmentFaultError, InputError, Problem
from archsearch.storage.faults import RESUME, retry_while_down, storage_fault
from archsearch.storage.open import CONNECTION
from archsearch.storage.storage_url import TWO_KINDS, driver, parse_storage_url, shown_place
from archsearch.workers.worker_lock import WorkerLock

# A session that broke off, as all do when the server restarts, is back before its worker is taken for dead.
PING_S = 5
RETURN_S = 30
# The server, too, notices within about a minute that a worker's machine has vanished.
SESSION = {
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "4",
    "tcp_user_timeout": "60000",
    "idle_session_timeout": "0",
    "lock_timeout": "10000",
}
SETTING = "SELECT set_config(name, %s, false) FROM pg_settings WHERE name = %s"
# A broken session whose end the server has not seen would keep this worker's locks from it.
END_FORMER = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = %s AND pid <> pg_backend_pid()
"""
HOLDERS = """
FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (classid::bigint << 32 | objid::bigint) = %s
"""
# Nothing where the lock was free and is taken now, else the name of the worker that has it.
TAKE = f"""
SELECT CASE WHEN NOT pg_try_advisory_lock(%s) THEN coalesce(
    (SELECT application_name FROM pg_stat_activity WHERE pid IN (SELECT pid {HOLDERS}) LIMIT 1), '') END
"""  # noqa: S608 - made of constants
ALIVE = f"""
SELECT EXISTS (SELECT {HOLDERS})
OR clock_timestamp() < pg_postmaster_start_time() + make_interval(secs => %s)
"""


class PostgresLocks(WorkerLock):
    """Advisory locks of one PostgreSQL session, which end with it, for the study ``name`` of a database.

    The connection is one session from beginning to end: a pool that shares sessions among clients, such
    as PgBouncer's transaction mode, cannot be used.

    Raises:
        InputError: ``url`` names no server, or the driver is not installed.
        EnvironmentFaultError: the server does not answer or refuses the worker.
    """

    poll_s = 0.05

    def __init__(self, url: str, name: str) -> None:
        place = parse_storage_url(url)
        if isinstance(place, Path):
            raise InputError("storage", [Problem("", f"{place} is no server", TWO_KINDS)])
        super().__init__(shown_place(url))
        self.url = place.set(drivername="postgresql")
        self.name = name
        self.driver = driver()
        self.current: Any = None
        # The thread that watches the session and the worker use it one after the other.
        self.guard = threading.RLock()
        self.over = threading.Event()
        self.watch = threading.Thread(target=self.keep_alive, name=self.worker, daemon=True)

    def key(self, role: str) -> int:
        """The number by which PostgreSQL knows a lock."""
        digest = hashlib.sha256(f"archsearch\n{self.name}\n{role}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)

    def begin(self) -> None:
        """Hold this worker's lock."""
        with self.server_faults():
            self.query("SELECT 1")
        self.watch.start()

    def end(self) -> None:
        """Release everything: the server would do so only in a moment, when it has seen the session end."""
        self.over.set()
        with self.guard:
            if self.current is not None and not self.current.closed:
                with suppress(self.driver.Error):
                    self.current.execute("SELECT pg_advisory_unlock_all()")
                self.current.close()
        self.watch.join()

    def keep_alive(self) -> None:
        """Ping the server while the worker trains, and connect again where the session broke off."""
        while not self.over.wait(PING_S):
            with self.guard, suppress(self.driver.Error):
                if not self.over.is_set():
                    self.query("SELECT 1")

    def alive(self, worker: str) -> bool:
        """Whether a session holds that worker's lock, or may be about to: after a restart all come back."""
        if worker == self.worker:
            return True
        with self.server_faults():
            return bool(retry_while_down(lambda: self.query(ALIVE, self.key(worker), RETURN_S)))

    def try_acquire(self) -> str | None:
        """None if this worker has the lock now, else the name of the one that has it."""
        key = self.key("turn")
        with self.server_faults():
            holder: str | None = retry_while_down(lambda: self.query(TAKE, key, key))
        return holder

    def release(self) -> None:
        """Release the lock. With a session that broke off it was not this worker's alone; ``retry_while_down`` repeats the work."""
        try:
            kept = self.query("SELECT pg_advisory_unlock(%s)", self.key("turn"))
            broken = None if kept else self.driver.OperationalError("the session is another one")
        except self.driver.Error as error:
            broken = error
        if broken is not None:
            raise EnvironmentFaultError(
                f"{self.place}: the connection broke off while the record was locked; {RESUME}"
            ) from broken

    def abandon(self) -> None:
        """Release the lock after an error, or end the wait for it."""
        with suppress(self.driver.Error):
            self.query("SELECT pg_advisory_unlock(%s)", self.key("turn"))

    def query(self, statement: str, *values: object) -> Any:
        """The one value that answers a query, in a session that holds this worker's lock."""
        with self.guard:
            connection = self.connection()
            try:
                return connection.execute(statement, values).fetchone()[0]
            finally:
                if connection.info.transaction_status != self.driver.pq.TransactionStatus.IDLE:
                    connection.close()

    def connection(self) -> Any:
        """The connection, made again where it broke off."""
        if self.current is None or self.current.closed:
            # Its name on the server is the worker's.
            connection = self.driver.connect(
                self.url.render_as_string(hide_password=False),
                autocommit=True,
                application_name=self.worker,
                **CONNECTION,
            )
            try:
                for name, value in SESSION.items():
                    connection.execute(SETTING, (value, name))
                connection.execute(END_FORMER, (self.worker,))
                connection.execute("SELECT pg_advisory_lock(%s)", (self.key(self.worker),))
            except BaseException:
                connection.close()
                raise
            self.current = connection
        return self.current

    @contextmanager
    def server_faults(self) -> Iterator[None]:
        """A fault of the server becomes an error that says that the record is kept."""
        try:
            yield
        except self.driver.Error as error:
            raise storage_fault(self.place, error) from error

    def descriptors(self) -> list[int]:
        """The socket, on which the session hangs."""
        connection = self.current
        return [] if connection is None or connection.closed else [connection.fileno()]
