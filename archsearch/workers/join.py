"""One more worker of a run: several processes on one folder, or several machines on one PostgreSQL database."""

from pathlib import Path

from archsearch.workers.folder_locks import FolderLocks
from archsearch.workers.postgres_locks import PostgresLocks
from archsearch.workers.worker_lock import WorkerLock


def join(folder: Path, storage: str | None, name: str) -> WorkerLock:
    """This worker's lock: in the run folder, or for the study ``name`` at the database that is its record."""
    return FolderLocks(folder) if storage is None else PostgresLocks(storage, name)
