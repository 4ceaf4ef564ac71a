"""No test reads or writes the counts that the user's cache remembers; one that goes by the clock has no company."""

import fcntl
import os
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

# As this file is imported, not by a fixture: helpers that start processes copy the environment when they are.
CACHE = tempfile.TemporaryDirectory(prefix="archsearch-counts-")
os.environ["ARCHSEARCH_CACHE"] = CACHE.name
# Each core has its process that tests, and networks this small are no faster with two threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The folder of whoever imports this first: processes that test for it have it in their environment.
TURNS = Path(os.environ.setdefault("ARCHSEARCH_TEST_TURNS", CACHE.name))


def pytest_unconfigure():
    CACHE.cleanup()


def pytest_collection_modifyitems(items):
    """The room with the longest files first: the short ones fill both processes to the end."""
    items.sort(key=lambda item: item.path.parent.name != "study")


@contextmanager
def held(name, how):
    """A lock, which is given back in words: a child that was forked meanwhile has the file open as well."""
    with (TURNS / name).open("w") as file:
        fcntl.flock(file, how)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


def goes_by_the_clock(item):
    """Marked ``alone``; or on a GPU, of which there is one."""
    if item.get_closest_marker("alone"):
        return True
    return item.get_closest_marker("gpu") is not None and sys.modules["torch"].cuda.is_available()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    """Tests share the machine, fixtures included; one that goes by the clock has it to itself."""
    how = fcntl.LOCK_EX if goes_by_the_clock(item) else fcntl.LOCK_SH
    with ExitStack() as stack:
        # Whoever waits stands first in a queue: others do not pass it, though they could share.
        with held("queue.lock", fcntl.LOCK_EX):
            stack.enter_context(held("machine.lock", how))
        return (yield)
