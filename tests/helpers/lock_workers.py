"""Workers beside the test that hold locks; each does what ``worker_process.py`` is told to."""

import time
from contextlib import contextmanager

import worker_process
from forked_helper import ForkedHelper


@contextmanager
def worker(where):
    """Another process, and its name."""
    with ForkedHelper(worker_process.main, where) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def tell(process, command):
    process.stdin.write(command + "\n")
    process.stdin.flush()


def holding(process):
    """The process has the lock when this returns."""
    tell(process, "hold")
    assert process.stdout.readline() == "held\n"


def gone(here, name):
    """Whether a worker is gone: at once in a folder, as soon as a server has seen the end of its session."""
    deadline = time.monotonic() + 2
    while here.alive(name) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not here.alive(name)
