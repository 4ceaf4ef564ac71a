"""Files that are written whole or not at all, locks on files, and faults of the disk as errors that say what to do."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archsearch.errors import EnvironmentFaultError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write a file that is put in place whole, or not at all; it has the ending of ``path``."""
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """The whole file or none of it, on the disk when this returns."""
    data = content.encode() if isinstance(content, str) else content
    with replacing(path) as beside, beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def file_lock(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold the kernel's lock on a file, which is made for it; a process that is killed releases it.

    Raises:
        EnvironmentFaultError: the file cannot be made.
        BlockingIOError: ``how`` says not to wait, and another process holds the lock.
    """
    with disk_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    with file:
        fcntl.flock(file, how)
        yield


@contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """A fault of the disk becomes an error that says that the record is kept."""
    try:
        yield
    except OSError as error:
        place = error.filename or path
        raise EnvironmentFaultError(
            f"{place}: {error.strerror}; what is recorded is kept: mend the cause and start the same command again"
        ) from error
