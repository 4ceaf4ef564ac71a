"""Where a record lies: a SQLite file, or a PostgreSQL database whose password nobody writes on a command line."""

import re
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from archsearch.errors import InputError, Problem

# A record as the user names it: the path of a SQLite file, or the URL of either kind.
StorageLocation = Path | str
TWO_KINDS = "write postgresql://USER@HOST/DATABASE, or sqlite:///FILE"


def parse_storage_url(where: StorageLocation) -> Path | URL:
    """The file or the server behind ``where``; a password is refused, and never repeated.

    Raises:
        InputError: it is neither of the two, or holds a password.
    """
    text = str(where)
    if isinstance(where, Path) or ("://" not in text and not holds_password(text)):
        return Path(where)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    if holds_password(text) or (url is not None and url.password is not None):
        what = "a password has no place on a command line, where ps shows it"
        raise InputError("storage", [Problem("", what, "write it into PGPASSWORD or ~/.pgpass")])
    if url is None or (url.drivername == "sqlite" and not url.database):
        raise InputError("storage", [Problem("", "not a URL that can be read", TWO_KINDS)])
    if url.drivername == "sqlite":
        return Path(str(url.database))
    if url.drivername not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise InputError("storage", [Problem("", f"no record is kept by {url.drivername}://", TWO_KINDS)])
    driver()
    return url.set(drivername="postgresql+psycopg")


def holds_password(text: str) -> bool:
    """Whether libpq would find a password among the settings in a text."""
    return re.search(r"password\s*=", text, re.IGNORECASE) is not None


def driver() -> Any:
    """psycopg; InputError if it is not installed."""
    try:
        import psycopg  # noqa: PLC0415 - an extra
    except ImportError as error:
        what = "the driver of PostgreSQL is not installed"
        raise InputError("storage", [Problem("", what, "pip install 'archsearch[postgres]'")]) from error
    return psycopg


def shown_place(where: StorageLocation) -> str:
    """A record as messages name it."""
    place = parse_storage_url(where)
    if isinstance(place, Path):
        return str(place)
    return place.set(drivername="postgresql").render_as_string(hide_password=True)


def display_location(where: StorageLocation) -> str:
    """What the user knows a record by: the run folder around a file, or the server."""
    place = parse_storage_url(where)
    return str(place.parent) if isinstance(place, Path) else shown_place(where)


def optuna_url(url: URL) -> str:
    """A URL for Optuna, which fills in what is in braces."""
    return url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
