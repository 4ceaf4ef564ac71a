"""The record opened so that nothing can be written into it, and whoever writes into it is not kept waiting.

``storage.optuna_storage`` takes the write lock before it reads, as a worker must; one who only looks must not. Of a
SQLite file with a write-ahead log a reader sees the last commit, and neither waits for the writer nor the
writer for it; the file is opened read-only, so that even a mistake of ours cannot change it.
"""

import sqlite3
from pathlib import Path

import optuna
from optuna.storages import RDBStorage
from sqlalchemy import URL

from archsearch.errors import InputError, Problem
from archsearch.storage.optuna_storage import CONNECTION, LOCK_TIMEOUT_S, missing, storage_faults, text_of
from archsearch.storage.run_folder import RunFolder, study_name
from archsearch.storage.storage_url import parse_storage_url


def open_to_read(folder: RunFolder) -> optuna.Study:
    """The study whose results lie in ``folder``; every attempt to write into it fails.

    Raises:
        InputError: there is no run in this folder.
        EnvironmentFaultError: its database cannot be read.
    """
    if folder.database.is_file():
        with storage_faults(folder.database):
            return only_study(file_to_read(folder.database), folder, None)
    storage = folder.storage if folder.manifest.is_file() else None
    if storage is None:
        what, remedy = "no run lies here (there is no study.db)", "give the folder that archsearch run named"
        raise InputError(str(folder.path), [Problem("", what, remedy)])
    with storage_faults(storage):
        place = parse_storage_url(storage)
        if not isinstance(place, URL):
            return only_study(file_to_read(place), folder, None)
        return only_study(server_to_read(place), folder, study_name(folder.identity()))


def only_study(storage: RDBStorage, folder: RunFolder, name: str | None) -> optuna.Study:
    """The study of that name, or the only one; the connections are let go of where it is not there."""
    names = optuna.get_all_study_names(storage)
    wanted = name if name is not None or len(names) > 1 else next(iter(names), None)
    if wanted not in names:
        storage.engine.dispose()
        raise InputError(str(folder.path), [missing(names, name)])
    return optuna.load_study(study_name=wanted, storage=storage)


def file_to_read(path: Path) -> RDBStorage:
    """A SQLite file, read-only."""
    place = f"{path.resolve().as_uri()}?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(place, uri=True, timeout=LOCK_TIMEOUT_S, check_same_thread=False)

    url = text_of(URL.create("sqlite", database=str(path)))
    return RDBStorage(url, engine_kwargs={"creator": connect}, skip_table_creation=True)


def server_to_read(url: URL) -> RDBStorage:
    """A few connections to a PostgreSQL server, whose transactions may not write."""
    options = {"application_name": "archsearch dashboard", "options": "-c default_transaction_read_only=on"}
    kwargs = {
        "pool_pre_ping": True,
        "pool_size": 1,
        "max_overflow": 4,
        "connect_args": {**CONNECTION, **options},
    }
    return RDBStorage(text_of(url), engine_kwargs=kwargs, skip_table_creation=True)
