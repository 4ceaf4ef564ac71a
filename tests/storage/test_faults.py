"""What waiting may mend is waited for."""

import sqlite3

import pytest

from archsearch.storage.faults import retry_while_down


def test_patience_is_for_servers_only():
    def locked():
        raise sqlite3.OperationalError("database is locked")

    with pytest.raises(sqlite3.OperationalError):
        retry_while_down(locked)
    assert retry_while_down(lambda: "done") == "done"
