"""The lock that workers of a run share: one at a time reads and writes the record. What both kinds of it do alike."""

import os
import platform
import re
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self, TypeVar

from archsearch.errors import EnvironmentFaultError
from archsearch.storage.faults import RESUME, retry_while_down
from archsearch.workers.signals import defer_signals

WAIT_TIMEOUT_S = 600

Result = TypeVar("Result")


def new_worker() -> str:
    """HOST-PID-8hex, short enough for the name of a session."""
    host = re.sub(r"[^A-Za-z0-9.-]", "_", platform.node())[:40] or "host"
    return f"{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


class WorkerLock(ABC):
    """One worker among those of a run, from the beginning of the context that this is to its end.

    A worker owns what it works on for as long as the kernel, or the server, holds a lock for its process. No
    clock is asked: a worker that is stopped keeps everything, one that is killed releases everything at once.

    Attributes:
        worker: its name, unique for ever.
        place: the folder or the database, for messages.
        held: whether this worker holds the lock on the record.
    """

    poll_s: float

    def __init__(self, place: str) -> None:
        self.worker = new_worker()
        self.place = place
        self.held = False

    def __enter__(self) -> Self:
        self.begin()
        WORKING.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        WORKING.remove(self)
        self.end()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock on the record; not re-entrant. A request to stop ends the wait for it."""
        if self.held:
            raise RuntimeError(f"{self.worker} holds the lock already")
        self.held = True
        try:
            self.acquire()
            yield
        except BaseException:
            self.abandon()
            raise
        else:
            self.release()
        finally:
            self.held = False

    def with_lock(self, action: Callable[[], Result]) -> Result:
        """Do something to the record while nobody else does, again if the server was away; stop requests wait meanwhile."""

        def once() -> Result:
            with self.locked(), defer_signals():
                return action()

        return retry_while_down(once)

    def acquire(self) -> None:
        """Ask until this worker has the lock. Whoever keeps it for ten minutes is stopped, or hangs."""
        known, since = None, time.monotonic()
        while (holder := self.try_acquire()) is not None:
            if holder != known:
                known, since = holder, time.monotonic()
            elif time.monotonic() - since > WAIT_TIMEOUT_S:
                raise EnvironmentFaultError(
                    f"{self.place}: {holder or 'another worker'} has held the run for "
                    f"{WAIT_TIMEOUT_S / 60:g} min; is it stopped? let it go on or kill it; {RESUME}"
                )
            time.sleep(self.poll_s)

    @abstractmethod
    def begin(self) -> None:
        """Join the workers of the run."""

    @abstractmethod
    def end(self) -> None:
        """Leave them, and release everything."""

    @abstractmethod
    def alive(self, worker: str) -> bool:
        """Whether the process of that worker lives; one that is stopped does."""

    @abstractmethod
    def try_acquire(self) -> str | None:
        """None if this worker has the lock now, else the name of the one that has it."""

    @abstractmethod
    def release(self) -> None:
        """Release the lock; an error if this worker did not hold it alone to the end."""

    @abstractmethod
    def abandon(self) -> None:
        """Release the lock after an error, or end the wait for it."""

    @abstractmethod
    def descriptors(self) -> list[int]:
        """The open files that locks hang on."""


# Processes that these fork, such as loaders of data, keep no lock.
WORKING: list[WorkerLock] = []


def close_in_child() -> None:
    """Replace the files that locks hang on by an empty one; the parent keeps them."""
    descriptors = [number for worker in WORKING for number in worker.descriptors()]
    if descriptors:
        null = os.open(os.devnull, os.O_RDWR)
        for number in descriptors:
            os.dup2(null, number, inheritable=False)
        os.close(null)


os.register_at_fork(after_in_child=close_in_child)
