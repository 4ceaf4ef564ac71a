"""The one way to open the record of a study to work on it, and the one way to read it.

The record is a SQLite file, or a PostgreSQL database that several machines share. A worker takes the write lock before
it reads; whoever only looks never does, and cannot change anything.
"""

import re
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from archsearch.errors import InputError, Problem, one_of
from archsearch.objectives import objective_of
from archsearch.storage.faults import reason_of, storage_faults
from archsearch.storage.sqlite_file import (
    read_only_file,
    refuse_damage,
    refuse_network_file_system,
    remove_side_files,
    writable_file,
)
from archsearch.storage.storage_url import StorageLocation, display_location, optuna_url, parse_storage_url

# libpq waits for ever by itself; a server that vanished is noticed in about a minute.
CONNECTION = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 4,
    "tcp_user_timeout": 60_000,
}
WORKER = {"application_name": "archsearch"}
READER = {"application_name": "archsearch reader", "options": "-c default_transaction_read_only=on"}
# What a database says whose maker was killed before all its tables were there: Optuna would make the rest.
UNMADE = re.compile(
    'readonly database|read-only transaction|no such table: version_info|"version_info" does not exist'
)
optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_for_work(where: StorageLocation, name: str, objectives: tuple[str, ...]) -> optuna.Study:
    """Create or load the study in the record ``where``. Workers that may be first take a lock for this.

    Raises:
        InputError: ``where`` cannot be read, or its driver is not installed.
        EnvironmentFaultError: the server does not answer, or the file is damaged or on a network file system.
    """
    with storage_faults(where):
        place = parse_storage_url(where)
        if isinstance(place, Path):
            refuse_network_file_system(place)
            refuse_damage(place)
        study = optuna.create_study(
            storage=writable(place),
            study_name=name,
            directions=[objective_of(objective).direction for objective in objectives],
            load_if_exists=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            if study.metric_names != list(objectives):
                study.set_metric_names(list(objectives))
        return study


def load_for_work(where: StorageLocation, name: str | None = None) -> optuna.Study:
    """The study of that name in an existing record, or its only one, to be written; InputError if it is not there."""
    with storage_faults(where):
        return named_study(writable(parse_storage_url(where)), where, name)


def open_read_only(where: StorageLocation, name: str | None = None) -> optuna.Study:
    """The study of that name in an existing record, or its only one; every attempt to write into it fails.

    Raises:
        InputError: it is not there.
        EnvironmentFaultError: the database cannot be read.
    """
    with storage_faults(where):
        place = parse_storage_url(where)
        try:
            storage = read_only_file(place) if isinstance(place, Path) else server(place, READER, made=True)
        except (StorageInternalError, SQLAlchemyError) as error:
            if UNMADE.search(reason_of(error)):
                raise InputError(display_location(where), [missing([], name)]) from error
            raise
        return named_study(storage, where, name)


def writable(place: Path | URL) -> RDBStorage:
    """The storage of a file or a server, for a worker."""
    return writable_file(place) if isinstance(place, Path) else server(place, WORKER)


def server(url: URL, options: dict[str, str], *, made: bool = False) -> RDBStorage:
    """A few connections to a PostgreSQL server, whose tables are ``made`` already or by this."""
    return RDBStorage(
        optuna_url(url),
        engine_kwargs={
            "pool_pre_ping": True,
            "pool_size": 1,
            "max_overflow": 4,
            "connect_args": {**CONNECTION, **options},
        },
        skip_table_creation=made,
    )


def named_study(storage: RDBStorage, where: StorageLocation, name: str | None) -> optuna.Study:
    """The study of that name, or the only one; the connections are closed where it is not there."""
    names = optuna.get_all_study_names(storage)
    wanted = name if name is not None or len(names) > 1 else next(iter(names), None)
    if wanted not in names:
        storage.engine.dispose()
        raise InputError(display_location(where), [missing(names, name)])
    return optuna.load_study(study_name=wanted, storage=storage)


def missing(names: list[str], name: str | None) -> Problem:
    """What is wrong where the study that was asked for is not one of ``names``."""
    if not names:
        return Problem("", "no run lies here: it was stopped before it began", "start the same command again")
    if name is None:
        return Problem("", f"{len(names)} runs lie here", f"name one of {', '.join(names)}")
    return Problem("", f"no run named {name} lies here", one_of(names, name))


def close(study: optuna.Study) -> None:
    """Close the connections to the file or the server."""
    storage: Any = study._storage  # noqa: SLF001 - Optuna has no public way to its connections
    engine = getattr(storage, "_backend", storage).engine
    engine.dispose()
    if engine.dialect.name == "sqlite":
        remove_side_files(Path(engine.url.database))
