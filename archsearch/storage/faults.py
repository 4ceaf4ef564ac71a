"""Faults of the disk and of a database server: what the error says, and what waiting may mend."""

import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from archsearch.errors import EnvironmentFaultError
from archsearch.storage.storage_url import StorageLocation, shown_place

T = TypeVar("T")

RESUME = "what is recorded is kept: mend the cause and start the same command again"
REMEDIES = {
    "password": "write the password into PGPASSWORD or ~/.pgpass",
    "too many clients": "start fewer workers, or raise the server's max_connections",
    "connection slots": "start fewer workers, or raise the server's max_connections",
    "too many connections": "start fewer workers, or raise the connection limit of the role or database",
}
# A connection that failed has no error code; waiting mends none of these.
REFUSED = re.compile("password|does not exist|pg_hba|permission|not permitted")


@contextmanager
def storage_faults(where: StorageLocation) -> Iterator[None]:
    """Faults of the disk or the database become an error that says that nothing is lost."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise storage_fault(where, error) from error


def storage_fault(where: StorageLocation, error: BaseException) -> EnvironmentFaultError:
    """The error for a fault of the record, with what to do."""
    reason = reason_of(error)
    remedy = next((remedy for words, remedy in REMEDIES.items() if words in reason), None)
    return EnvironmentFaultError(
        f"{shown_place(where)}: {reason}; {f'{remedy}; what is recorded is kept' if remedy else RESUME}"
    )


def reason_of(error: BaseException) -> str:
    """The first line of what lies behind an error: below Optuna's and SQLAlchemy's words, the driver's."""
    cause = error.__cause__ or error
    return str(cause).splitlines()[0] if str(cause) else type(cause).__name__


def retry_while_down(action: Callable[[], T], seconds: float = 60) -> T:
    """Run an idempotent action again while the database server is away.

    An action whose commit was lost on the way runs twice: ``Study.ask`` is none of these by itself.

    Raises:
        EnvironmentFaultError: the server has been away for ``seconds``.
    """
    deadline = time.monotonic() + seconds
    pause = 0.05
    while True:
        try:
            return action()
        except Exception as error:
            if not is_away(error):
                raise
            if time.monotonic() + pause > deadline:
                raise EnvironmentFaultError(
                    f"the database server has been away for {seconds:g} s: {reason_of(error)}; "
                    "what is recorded is kept: start the same command again when it is back"
                ) from error
        time.sleep(pause)
        pause = min(2 * pause, 2.0)


def is_away(error: BaseException | None) -> bool:
    """Whether a server broke off, refused for now or did not answer: what waiting may mend."""
    psycopg: Any = sys.modules.get("psycopg")
    while psycopg is not None and error is not None:
        if isinstance(error, psycopg.OperationalError):
            if error.sqlstate is None:
                return REFUSED.search(str(error)) is None
            # Connection exceptions, shutdown and start, too many connections.
            return str(error.sqlstate).startswith(("08", "57P", "53300"))
        error = error.__cause__
    return False
