"""A real PostgreSQL for the tests: started from its own binaries, killed and started again.

It runs below a temporary folder, listens on a free port of this machine only, and asks for passwords
nowhere but from the role ``guarded``, whose password is ``SECRET``.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SECRET = "S3cret-of-the-tests"
ACCESS = """\
host all guarded 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""


def binaries():
    """The folder of PostgreSQL's programs; a machine without them skips, unless it has promised to have them."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    installed = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    folders += sorted(installed, key=lambda path: -float(path.parent.name))
    if not folders and not os.environ.get("ARCHSEARCH_REQUIRE_POSTGRES"):
        pytest.skip("no PostgreSQL here")
    assert folders, "ARCHSEARCH_REQUIRE_POSTGRES is set and there is no PostgreSQL"
    return folders[0]


def drivers():
    """psycopg, on the same terms."""
    if os.environ.get("ARCHSEARCH_REQUIRE_POSTGRES"):
        import psycopg

        return psycopg
    return pytest.importorskip("psycopg", reason="archsearch[postgres] is not installed")


def unprivileged():
    """What stands before a command so that root does not run it: PostgreSQL refuses root."""
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """One PostgreSQL cluster, started or not."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.programs = binaries()
        self.psycopg = drivers()
        self.port = free_port()
        # What the kernel has been given outlives a kill: only a power cut needs fsync, which waits for the disk.
        quick = {"fsync": "off", "full_page_writes": "off", "max_connections": 60, "shared_buffers": "16MB"}
        self.settings = {**quick, **settings}
        self.process = None

    def create(self):
        initdb = [self.programs / "initdb", "-D", self.folder / "data", "-U", "tester", "-A", "trust"]
        initdb += ["--no-sync", "--no-locale", "-E", "UTF8"]
        subprocess.run([*unprivileged(), *initdb], check=True, capture_output=True, cwd=self.folder)
        (self.folder / "data" / "pg_hba.conf").write_text(ACCESS)
        self.await_answer()
        self.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{SECRET}'")

    def start(self):
        settings = {**self.settings, "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        postgres = [self.programs / "postgres", "-D", self.folder / "data", "-p", str(self.port)]
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [*unprivileged(), *postgres, *options], stdout=log, stderr=log, cwd=self.folder
            )

    def await_answer(self):
        """Start it until it runs: after a kill, processes of the former server are in the way for a moment."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                self.start()
            with suppress(self.psycopg.OperationalError):
                return self.execute("SELECT 1")
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def kill(self):
        """Nothing is said to anybody."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=30)

    def execute(self, command, database="postgres"):
        with self.psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(command)
            return cursor.fetchall() if cursor.description else None

    def url(self, database, user="tester"):
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def new_database(self):
        """The URL of an empty database."""
        name = f"test_{uuid.uuid4().hex[:8]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY wal_log")
        return self.url(name)


@contextmanager
def running(**settings):
    """A server while the context lasts."""
    with tempfile.TemporaryDirectory(prefix="archsearch-postgres-", dir="/tmp") as name:
        folder = Path(name)
        server = Server(folder, **settings)
        if unprivileged():
            shutil.chown(folder, "nobody")
        try:
            server.create()
            yield server
        finally:
            server.stop()
