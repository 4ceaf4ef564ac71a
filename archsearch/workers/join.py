"""One more worker of a run: several processes on one folder, or several machines on one PostgreSQL database."""

from contextlib import AbstractContextManager
from pathlib import Path

from archsearch.workers.folder_locks import folder_locks
from archsearch.workers.postgres_locks import postgres_locks
from archsearch.workers.worker_lock import WorkerLock

__all__ = ["WorkerLock", "join"]


def join(folder: Path, storage: str | None, name: str) -> AbstractContextManager[WorkerLock]:
    """Hold this worker's lock: in the run folder, or for the study ``name`` at the database that is its record."""
    return folder_locks(folder) if storage is None else postgres_locks(storage, name)
