"""Locks of a PostgreSQL session: what workers on several machines have in common is a server."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import URL

from archsearch.errors import EnvironmentFaultError
from archsearch.storage.faults import RESUME, retry_while_down, storage_fault
from archsearch.storage.open import CONNECTION
from archsearch.storage.storage_url import driver, shown_place
from archsearch.workers.worker_lock import WorkerLock

# A session that broke off, as all do when the server restarts, is back before its worker is taken for gone.
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
    """Advisory locks of one PostgreSQL session, which end with it."""

    poll_s = 0.05

    def __init__(self, url: URL, name: str, worker: str) -> None:
        super().__init__(worker, shown_place(url.render_as_string(hide_password=False)))
        self.url = url.set(drivername="postgresql")
        self.name = name
        self.driver = driver()
        self.connection: Any = None
        # The thread that watches the session and the worker use it one after the other.
        self.guard = threading.RLock()
        self.over = threading.Event()
        self.watch = threading.Thread(target=self.stay, name=worker, daemon=True)

    def key(self, role: str) -> int:
        """The number by which PostgreSQL knows a lock."""
        digest = hashlib.sha256(f"archsearch\n{self.name}\n{role}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)

    def begin(self) -> None:
        """Hold this worker's lock."""
        with self.server_faults():
            self.ask("SELECT 1")
        self.watch.start()

    def end(self) -> None:
        """Let go of everything: the server would do so only in a moment, when it has seen the session end."""
        self.over.set()
        with self.guard:
            if self.connection is not None and not self.connection.closed:
                with suppress(self.driver.Error):
                    self.connection.execute("SELECT pg_advisory_unlock_all()")
                self.connection.close()
        self.watch.join()

    def stay(self) -> None:
        """Look after the session while the worker trains; begin another one where it broke off."""
        while not self.over.wait(PING_S):
            with self.guard, suppress(self.driver.Error):
                if not self.over.is_set():
                    self.ask("SELECT 1")

    def alive(self, worker: str) -> bool:
        """Whether a session holds that worker's lock, or may be about to: after a restart all come back."""
        if worker == self.worker:
            return True
        with self.server_faults():
            return bool(retry_while_down(lambda: self.ask(ALIVE, self.key(worker), RETURN_S)))

    def take(self) -> str | None:
        """None if it is this worker's turn now, else the name of the one that has it."""
        key = self.key("turn")
        with self.server_faults():
            holder: str | None = retry_while_down(lambda: self.ask(TAKE, key, key))
        return holder

    def give_back(self) -> None:
        """The end of a turn. One whose session broke off was not this worker's alone; ``patiently`` repeats it."""
        try:
            kept = self.ask("SELECT pg_advisory_unlock(%s)", self.key("turn"))
            broken = None if kept else self.driver.OperationalError("the session is another one")
        except self.driver.Error as error:
            broken = error
        if broken is not None:
            raise EnvironmentFaultError(
                f"{self.place}: the connection broke off within a turn; {RESUME}"
            ) from broken

    def drop(self) -> None:
        """The end of a turn that an error ends, or of the wait for one."""
        with suppress(self.driver.Error):
            self.ask("SELECT pg_advisory_unlock(%s)", self.key("turn"))

    def ask(self, query: str, *values: object) -> Any:
        """The one value that answers a query, in a session that holds this worker's lock."""
        with self.guard:
            connection = self.session()
            try:
                return connection.execute(query, values).fetchone()[0]
            finally:
                if connection.info.transaction_status != self.driver.pq.TransactionStatus.IDLE:
                    connection.close()

    def session(self) -> Any:
        """The session, begun again where it broke off."""
        if self.connection is None or self.connection.closed:
            connection = self.connect()
            try:
                for name, value in SESSION.items():
                    connection.execute(SETTING, (value, name))
                connection.execute(END_FORMER, (self.worker,))
                connection.execute("SELECT pg_advisory_lock(%s)", (self.key(self.worker),))
            except BaseException:
                connection.close()
                raise
            self.connection = connection
        return self.connection

    def connect(self) -> Any:
        """A connection whose name is the worker's."""
        return self.driver.connect(
            self.url.render_as_string(hide_password=False),
            autocommit=True,
            application_name=self.worker,
            **CONNECTION,
        )

    @contextmanager
    def server_faults(self) -> Iterator[None]:
        """A fault of the server becomes an error that says that the record is kept."""
        try:
            yield
        except self.driver.Error as error:
            raise storage_fault(self.place, error) from error

    def descriptors(self) -> list[int]:
        """The socket, on which the session hangs."""
        connection = self.connection
        return [] if connection is None or connection.closed else [connection.fileno()]
