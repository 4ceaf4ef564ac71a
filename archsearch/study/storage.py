"""The record of a study in Optuna's own storage, opened so that it survives crashes and company.

Stock Optuna on SQLite hands one queued trial to two workers and gives up on a lock after 5 seconds:
pysqlite begins a transaction only at the first write. Here every transaction begins IMMEDIATE, the
journal is write-ahead, and a lock is waited for up to a minute.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from archsearch.errors import EnvironmentFaultError, InputError, Problem
from archsearch.study.record import OBJECTIVES

LOCK_TIMEOUT_S = 60
optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_study(path: Path, name: str, objectives: tuple[str, ...]) -> optuna.Study:
    """Create or load the study in the SQLite file ``path``."""
    with storage_faults(path):
        study = optuna.create_study(
            storage=open_storage(path),
            study_name=name,
            directions=[OBJECTIVES[objective].direction for objective in objectives],
            load_if_exists=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(list(objectives))
        return study


def load_study_record(path: Path) -> optuna.Study:
    """The one study of an existing SQLite file; InputError if there is none in it yet."""
    with storage_faults(path):
        storage = open_storage(path)
        names = optuna.get_all_study_names(storage)
        if not names:
            what, remedy = "no run lies here: it was stopped before it began", "start the same command again"
            raise InputError(str(path.parent), [Problem("", what, remedy)])
        return optuna.load_study(study_name=names[0], storage=storage)


def open_storage(path: Path) -> RDBStorage:
    """SQLite with a write-ahead log, immediate transactions and patience."""
    storage = RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": LOCK_TIMEOUT_S}})
    event.listen(storage.engine, "connect", write_ahead)
    event.listen(storage.engine, "begin", begin_immediately)
    storage.engine.dispose()
    return storage


def write_ahead(connection: Any, _record: object) -> None:
    """Readers such as the dashboard do not block the writer, nor it them."""
    connection.execute(f"PRAGMA busy_timeout = {LOCK_TIMEOUT_S * 1000}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.isolation_level = None


def begin_immediately(connection: Any) -> None:
    """Take the write lock before the first read of a transaction."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def storage_faults(path: Path) -> Iterator[None]:
    """Faults of the disk or the database become an error that says that nothing is lost."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError, OSError) as error:
        cause = error.__cause__ or error
        first_line = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        raise EnvironmentFaultError(
            f"{path}: {first_line}; what is recorded is kept: mend the cause and start the same command again"
        ) from error


def close(study: optuna.Study) -> None:
    """Let go of the file."""
    storage: Any = study._storage  # noqa: SLF001 - Optuna has no public way to its connections
    getattr(storage, "_backend", storage).engine.dispose()


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that used up a slot: trained, or failed by their own fault."""
    trials = study.get_trials(deepcopy=False)
    return [t for t in trials if t.state == TrialState.COMPLETE or t.user_attrs.get("outcome") == "failed"]
