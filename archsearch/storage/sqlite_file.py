"""A SQLite file as the record of a study: for workers that write into it together, or for somebody who only reads.

Stock Optuna on SQLite hands one queued trial to two workers and gives up on a lock after 5 seconds:
pysqlite begins a transaction only at the first write. For a worker, every transaction begins IMMEDIATE, the
journal is write-ahead, and a lock is waited for up to a minute. A reader sees the last commit, and neither waits for
the writer nor the writer for it.
"""

import os
import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage
from sqlalchemy import URL, event

from archsearch.errors import EnvironmentFaultError
from archsearch.storage.storage_url import optuna_url

LOCK_TIMEOUT_S = 60
NETWORK_FILE_SYSTEMS = {
    *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs"),
    *("afs", "coda", "lustre", "gpfs", "ceph"),
    *("beegfs", "orangefs", "pvfs2", "panfs", "wekafs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph"),
    *("fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "fuse.juicefs", "fuse.moosefs", "fuse.davfs2", "davfs"),
}


def writable_file(path: Path) -> RDBStorage:
    """The file with a write-ahead log and immediate transactions, which wait for a lock."""
    storage = RDBStorage(
        optuna_url(URL.create("sqlite", database=str(path))),
        engine_kwargs={"connect_args": {"timeout": LOCK_TIMEOUT_S}},
    )
    event.listen(storage.engine, "connect", write_ahead)
    event.listen(storage.engine, "begin", begin_immediately)
    storage.engine.dispose()
    return storage


def read_only_file(path: Path) -> RDBStorage:
    """The file opened so that even a mistake of ours cannot change it; it may lie where nothing can be written."""
    url = f"{path.resolve().as_uri()}?mode=ro"
    if not has_journal(path) and not os.access(path.parent, os.W_OK):
        # SQLite cannot make the files that readers and writers meet in, and nobody can write either.
        url += "&immutable=1"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(url, uri=True, timeout=LOCK_TIMEOUT_S, check_same_thread=False)

    return RDBStorage(
        optuna_url(URL.create("sqlite", database=str(path))),
        engine_kwargs={"creator": connect},
        skip_table_creation=True,
    )


def has_journal(path: Path) -> bool:
    """Whether commits wait beside the file to be put into it: somebody works on it, or was killed."""
    journal = path.with_name(f"{path.name}-wal")
    return journal.exists() and journal.stat().st_size > 0


def remove_side_files(path: Path) -> None:
    """What a reader leaves beside a file that nobody writes: the next one who may write and closes it tidies up."""
    if path.with_name(f"{path.name}-shm").exists() and not has_journal(path):
        with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=0)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def write_ahead(connection: Any, _record: object) -> None:
    """Readers such as the dashboard do not block the writer, nor it them."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.isolation_level = None


def begin_immediately(connection: Any) -> None:
    """Take the write lock before the first read of a transaction."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def refuse_damage(path: Path) -> None:
    """EnvironmentFaultError for a SQLite file whose structure is broken; the file is left as it is."""
    if not path.exists():
        return
    with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT_S)) as connection:
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise EnvironmentFaultError(
            f"{path}: damaged ({found.splitlines()[-1]}); put a copy of the file in its place, "
            "or give this run its own folder with --out"
        )


def refuse_network_file_system(path: Path, mounts: str | None = None) -> None:
    """EnvironmentFaultError for a SQLite file where machines cannot rely on each other's locks."""
    kind = file_system_of(path.resolve(), mounts if mounts is not None else mounted())
    if kind in NETWORK_FILE_SYSTEMS:
        raise EnvironmentFaultError(
            f"{path}: lies on a network file system ({kind}), where SQLite's locks do not hold; keep the record "
            "in PostgreSQL (--storage postgresql://USER@HOST/DATABASE), or choose a local folder with --out"
        )


def mounted() -> str:
    """The table of mounts; empty where the system has none to read."""
    table = Path("/proc/mounts")
    return table.read_text(encoding="utf-8", errors="replace") if table.exists() else ""


def file_system_of(path: Path, mounts: str) -> str | None:
    """The file system type of the innermost mount around ``path``; of two at one place the later one."""
    inner: tuple[int, str | None] = (-1, None)
    for line in mounts.splitlines():
        _device, point, kind = line.split()[:3]
        folder = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), point))
        if path.is_relative_to(folder) and len(folder.parts) >= inner[0]:
            inner = (len(folder.parts), kind)
    return inner[1]
