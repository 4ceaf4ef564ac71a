"""Locks of several processes on one run folder of one machine, held by the kernel."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from archsearch.errors import EnvironmentFaultError
from archsearch.workers.worker_lock import WorkerLock


class FolderLocks(WorkerLock):
    """Locks of the kernel on files in a run folder: ``workers/NAME.lock`` and, on the record, ``run.lock``.

    A folder that cannot be written is an EnvironmentFaultError.
    """

    poll_s = 0.02

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path
        self.own: IO[bytes] | None = None
        self.shared: IO[bytes] | None = None

    def file_of(self, worker: str) -> Path:
        """The file that a worker holds while it lives."""
        return self.path / "workers" / f"{worker}.lock"

    def begin(self) -> None:
        """Hold this worker's file. Nobody else looks at it before this worker's name is known."""
        with folder_faults(self.path):
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

    def try_acquire(self) -> str | None:
        """None if this worker has the lock now, else what the one that has it wrote into the file."""
        path = self.path / "run.lock"
        with folder_faults(self.path):
            self.shared = path.open("a+b", buffering=0)
            try:
                fcntl.flock(self.shared, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.shared.seek(0)
                holder = self.shared.read(200).decode(errors="replace").strip()
                self.abandon()
                return holder
            if not same_file(self.shared, path):
                # The file was removed while this worker waited for it.
                self.abandon()
                return ""
        # The name is a courtesy to those who wait.
        with suppress(OSError):
            self.shared.truncate(0)
            self.shared.write(self.worker.encode())
        return None

    def release(self) -> None:
        """Close the file: the kernel frees a lock with it."""
        self.abandon()

    def abandon(self) -> None:
        """Close the file, if it is open."""
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
