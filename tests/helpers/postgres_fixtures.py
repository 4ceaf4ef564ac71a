"""A PostgreSQL server for the tests of a room, started once and only if one of them asks for it."""

import postgres_server
import pytest


@pytest.fixture(scope="session")
def server():
    """Started once; a test that kills it starts it again."""
    with postgres_server.running() as started:
        yield started


@pytest.fixture
def url(server):
    """An empty database."""
    return server.new_database()
