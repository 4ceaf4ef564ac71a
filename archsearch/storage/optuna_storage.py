"""The record of a study in Optuna's own storage, opened so that it survives crashes and company.

The record is a SQLite file, or a PostgreSQL database that several machines share.

Stock Optuna on SQLite hands one queued trial to two workers and gives up on a lock after 5 seconds:
pysqlite begins a transaction only at the first write. Here every transaction begins IMMEDIATE, the
journal is write-ahead, and a lock is waited for up to a minute.
"""

import re
import sqlite3
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL, event
from sqlalchemy.exc import SQLAlchemyError

from archsearch.errors import EnvironmentFaultError, InputError, Problem, one_of
from archsearch.objectives import objective_of
from archsearch.storage.storage_url import StorageLocation, display_location, parse_storage_url, shown_place

T = TypeVar("T")

LOCK_TIMEOUT_S = 60
RESUME = "what is recorded is kept: mend the cause and start the same command again"
# libpq waits for ever by itself; a server that vanished is noticed in about a minute.
CONNECTION = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 4,
    "tcp_user_timeout": 60_000,
}
NETWORK_FILE_SYSTEMS = {
    *(
        "nfs",
        "nfs4",
        "cifs",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
        "ncpfs",
        "afs",
        "coda",
        "lustre",
        "gpfs",
        "ceph",
    ),
    *("beegfs", "orangefs", "pvfs2", "panfs", "wekafs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph"),
    *("fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "fuse.juicefs", "fuse.moosefs", "fuse.davfs2", "davfs"),
}
REMEDIES = {
    "password": "write the password into PGPASSWORD or ~/.pgpass",
    "too many clients": "start fewer workers, or raise the server's max_connections",
    "connection slots": "start fewer workers, or raise the server's max_connections",
    "too many connections": "start fewer workers, or raise the connection limit of the role or database",
}
# A connection that failed has no error code; waiting mends none of these.
REFUSED = re.compile("password|does not exist|pg_hba|permission|not permitted")
optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_study(where: StorageLocation, name: str, objectives: tuple[str, ...]) -> optuna.Study:
    """Create or load the study in the record ``where``. Workers that may be first take turns here.

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
            storage=open_storage(place),
            study_name=name,
            directions=[objective_of(name).direction for name in objectives],
            load_if_exists=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            if study.metric_names != list(objectives):
                study.set_metric_names(list(objectives))
        return study


def load_study_record(where: StorageLocation, name: str | None = None) -> optuna.Study:
    """The study of that name in an existing record, or its only one; InputError if it is not there."""
    with storage_faults(where):
        storage = open_storage(parse_storage_url(where))
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


def open_storage(place: Path | URL) -> RDBStorage:
    """SQLite with a write-ahead log, immediate transactions and patience; or a few connections to a server."""
    if isinstance(place, URL):
        return RDBStorage(
            text_of(place),
            engine_kwargs={
                "pool_pre_ping": True,
                "pool_size": 1,
                "max_overflow": 4,
                "connect_args": {**CONNECTION, "application_name": "archsearch"},
            },
        )
    storage = RDBStorage(
        text_of(URL.create("sqlite", database=str(place))),
        engine_kwargs={"connect_args": {"timeout": LOCK_TIMEOUT_S}},
    )
    event.listen(storage.engine, "connect", write_ahead)
    event.listen(storage.engine, "begin", begin_immediately)
    storage.engine.dispose()
    return storage


def text_of(url: URL) -> str:
    """A URL for Optuna, which fills in what stands in braces."""
    return url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")


def write_ahead(connection: Any, _record: object) -> None:
    """Readers such as the dashboard do not block the writer, nor it them."""
    connection.execute(f"PRAGMA busy_timeout = {LOCK_TIMEOUT_S * 1000}")
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


@contextmanager
def storage_faults(where: StorageLocation) -> Iterator[None]:
    """Faults of the disk or the database become an error that says that nothing is lost."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise storage_fault(where, error) from error


def storage_fault(where: StorageLocation, error: BaseException) -> EnvironmentFaultError:
    """What the user is told about a fault of the record."""
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


def close(study: optuna.Study) -> None:
    """Let go of the file or the server."""
    storage: Any = study._storage  # noqa: SLF001 - Optuna has no public way to its connections
    getattr(storage, "_backend", storage).engine.dispose()


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that used up a slot: trained, or failed by their own fault."""
    trials = study.get_trials(deepcopy=False)
    return [t for t in trials if t.state == TrialState.COMPLETE or t.user_attrs.get("outcome") == "failed"]
