"""Who works on a run: several processes on one folder, or several machines on one PostgreSQL database.

A worker owns what it works on for as long as the kernel, or the server, holds a lock for its process. No
clock is asked: a worker that is stopped keeps everything, one that is killed lets go of everything at once.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from archsearch.errors import EnvironmentFaultError, InputError, Problem
from archsearch.storage.storage_url import TWO_KINDS, parse_storage_url
from archsearch.workers.postgres_locks import PostgresLocks
from archsearch.workers.worker_lock import WorkerLock, close_on_fork, new_worker


class Locks(Protocol):
    """One worker's standing among the workers of a run; ``worker`` is its name, unique for ever."""

    worker: str

    def turn(self) -> AbstractContextManager[None]:
        """The only worker that reads and writes the record; not re-entrant. A stop request ends the wait."""

    def alive(self, worker: str) -> bool:
        """Whether the process of that worker lives; one that is stopped does."""


@contextmanager
def folder_locks(path: Path) -> Iterator[Locks]:
    """One more worker in a run folder of this machine, until the context ends.

    Raises:
        EnvironmentFaultError: the folder cannot be written.
    """
    locks = FolderLocks(path, new_worker())
    with folder_faults(path):
        locks.begin()
    with close_on_fork(locks):
        try:
            yield locks
        finally:
            locks.end()


@contextmanager
def postgres_locks(url: str, name: str) -> Iterator[Locks]:
    """One more worker on the study ``name`` of a database, which may be empty, until the context ends.

    The connection is one session from beginning to end: a pool that shares sessions among clients, such
    as PgBouncer's transaction mode, cannot stand in between.

    Raises:
        InputError: ``url`` names no server, or the driver is not installed.
        EnvironmentFaultError: the server does not answer or refuses the worker.
    """
    place = parse_storage_url(url)
    if isinstance(place, Path):
        raise InputError("storage", [Problem("", f"{place} is no server", TWO_KINDS)])
    locks = PostgresLocks(place, name, new_worker())
    locks.begin()
    with close_on_fork(locks):
        try:
            yield locks
        finally:
            locks.end()


class FolderLocks(WorkerLock):
    """Locks of the kernel on files in a run folder: ``workers/NAME.lock`` and, for a turn, ``run.lock``."""

    poll_s = 0.02

    def __init__(self, path: Path, worker: str) -> None:
        super().__init__(worker, str(path))
        self.path = path
        self.own: IO[bytes] | None = None
        self.shared: IO[bytes] | None = None

    def file_of(self, worker: str) -> Path:
        """The file that a worker holds while it lives."""
        return self.path / "workers" / f"{worker}.lock"

    def begin(self) -> None:
        """Hold this worker's file. Nobody else looks at it before this worker's name is known."""
        self.file_of(self.worker).parent.mkdir(parents=True, exist_ok=True)
        self.own = self.file_of(self.worker).open("xb")
        fcntl.flock(self.own, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def end(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            self.file_of(self.worker).unlink()
        if self.own is not None:
            self.own.close()

    def alive(self, worker: str) -> bool:
        """Whether somebody holds the file of that worker. What a dead one left is removed."""
        if worker == self.worker:
            return True
        path = self.file_of(worker)
        if path.parent != self.path / "workers":
            return False
        with folder_faults(self.path):
            try:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    path.unlink(missing_ok=True)
            except FileNotFoundError:
                return False
            except BlockingIOError:
                return True
        return False

    def take(self) -> str | None:
        """None if it is this worker's turn now, else what the one that has it wrote into the file."""
        path = self.path / "run.lock"
        with folder_faults(self.path):
            self.shared = path.open("a+b", buffering=0)
            try:
                fcntl.flock(self.shared, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.shared.seek(0)
                holder = self.shared.read(200).decode(errors="replace").strip()
                self.drop()
                return holder
            if not same_file(self.shared, path):
                # The file was removed while this worker waited for it.
                self.drop()
                return ""
        # The name is a courtesy to those who wait.
        with suppress(OSError):
            self.shared.truncate(0)
            self.shared.write(self.worker.encode())
        return None

    def give_back(self) -> None:
        """The kernel frees a lock with its file."""
        self.drop()

    def drop(self) -> None:
        """The kernel frees a lock with its file."""
        if self.shared is not None:
            self.shared.close()
            self.shared = None

    def descriptors(self) -> list[int]:
        """The open files that locks hang on."""
        return [file.fileno() for file in (self.own, self.shared) if file is not None and not file.closed]


@contextmanager
def folder_faults(path: Path) -> Iterator[None]:
    """A folder that cannot be used becomes an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise EnvironmentFaultError(f"{path}: {error.strerror}; choose another folder with --out") from error


def same_file(file: IO[bytes], path: Path) -> bool:
    """Whether an open file is still the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
