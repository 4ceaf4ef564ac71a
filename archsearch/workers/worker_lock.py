"""Turns: one worker of a run at a time reads and writes the record. What all kinds of locks have in common."""

import os
import platform
import re
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from archsearch.errors import EnvironmentFaultError
from archsearch.storage.faults import RESUME

TURN_TIMEOUT_S = 600


def new_worker() -> str:
    """HOST-PID-8hex, short enough for the name of a session."""
    host = re.sub(r"[^A-Za-z0-9.-]", "_", platform.node())[:40] or "host"
    return f"{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


class WorkerLock(ABC):
    """What both kinds of workers have in common: how a turn is waited for and given back."""

    poll_s: float

    def __init__(self, worker: str, place: str) -> None:
        self.worker = worker
        self.place = place
        self.in_turn = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The only worker that reads and writes the record."""
        if self.in_turn:
            raise RuntimeError(f"{self.worker} has its turn already: a turn has no turn within")
        self.in_turn = True
        try:
            self.await_turn()
            yield
        except BaseException:
            self.drop()
            raise
        else:
            self.give_back()
        finally:
            self.in_turn = False

    def await_turn(self) -> None:
        """Ask until it is this worker's turn. Whoever keeps one for ten minutes is stopped, or hangs."""
        known, since = None, time.monotonic()
        while (holder := self.take()) is not None:
            if holder != known:
                known, since = holder, time.monotonic()
            elif time.monotonic() - since > TURN_TIMEOUT_S:
                raise EnvironmentFaultError(
                    f"{self.place}: {holder or 'another worker'} has held the run for "
                    f"{TURN_TIMEOUT_S / 60:g} min; is it stopped? let it go on or kill it; {RESUME}"
                )
            time.sleep(self.poll_s)

    @abstractmethod
    def take(self) -> str | None:
        """None if it is this worker's turn now, else the name of the one that has it."""

    @abstractmethod
    def give_back(self) -> None:
        """The end of a turn; an error if it was not this worker's alone to the end."""

    @abstractmethod
    def drop(self) -> None:
        """The end of a turn that an error ends, or of the wait for one."""

    @abstractmethod
    def descriptors(self) -> list[int]:
        """The open files that locks hang on."""


WORKING: list[WorkerLock] = []


@contextmanager
def close_on_fork(worker: WorkerLock) -> Iterator[None]:
    """A process that this one forks, such as a loader of data, does not keep its locks alive."""
    WORKING.append(worker)
    try:
        yield
    finally:
        WORKING.remove(worker)


def close_in_child() -> None:
    """Put nothing in the place of the files that locks hang on; the parent keeps them."""
    descriptors = [number for worker in WORKING for number in worker.descriptors()]
    if descriptors:
        null = os.open(os.devnull, os.O_RDWR)
        for number in descriptors:
            os.dup2(null, number, inheritable=False)
        os.close(null)


os.register_at_fork(after_in_child=close_in_child)
