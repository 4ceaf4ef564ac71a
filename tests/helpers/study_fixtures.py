"""Searches in the tests are real: a space file, a SQLite study, signals. A table may stand in for training."""

import signal

import pytest
from table_search import SIX, TINY

from archsearch.space import load_space


@pytest.fixture
def space_of(tmp_path):
    """The space that a text describes."""

    def loaded(text):
        path = tmp_path / "space.yaml"
        path.write_text(text, encoding="utf-8")
        return load_space(path)

    return loaded


@pytest.fixture
def tiny(space_of):
    """96 architectures."""
    return space_of(TINY)


@pytest.fixture
def six(space_of):
    """6 architectures."""
    return space_of(SIX)


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """6 architectures, for runs that tests of a module share."""
    path = tmp_path_factory.mktemp("space") / "space.yaml"
    path.write_text(SIX)
    return load_space(path)


@pytest.fixture
def out(tmp_path):
    """A run folder that is not there yet."""
    return tmp_path / "run"


@pytest.fixture
def interruptible():
    """A shell starts what is to run in the background without an ear for Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
