"""A worker beside the test, which does what its standard input says and answers each line with one.

``where`` is a run folder or the URL of a database. The first line that it prints is the worker's name.
"""

import os
import sys
import time
from pathlib import Path

from archsearch.storage.open import close, open_for_work
from archsearch.workers.folder_locks import FolderLocks
from archsearch.workers.postgres_locks import PostgresLocks


def locks_of(where):
    return PostgresLocks(where, "one") if "://" in where else FolderLocks(Path(where))


def count(locks, path, times):
    """A number in a file, raised so slowly that two at a time would lose some."""
    for _ in range(int(times)):
        with locks.locked():
            number = int(Path(path).read_text())
            time.sleep(0.002)
            Path(path).write_text(str(number + 1))


def hold(locks):
    """The lock, until the process ends."""
    with locks.locked():
        print("held", flush=True)
        time.sleep(600)


def fork(locks):
    """A child that outlives its parent, if somebody kills that."""
    if os.fork() == 0:
        print(os.getpid(), flush=True)
    time.sleep(600)


def join(_locks, where):
    """One more worker of a record that may be empty."""
    with locks_of(where) as locks:
        with locks.locked():
            study = open_for_work(where, "one", ("top1", "macs"))
            number = study.ask().number
        close(study)
    print(number, flush=True)


def main(where):
    commands = {"count": count, "hold": hold, "fork": fork, "join": join}
    with locks_of(where) as locks:
        print(locks.worker, flush=True)
        for line in sys.stdin:
            command, *words = line.split()
            commands[command](locks, *words)
            print("done", flush=True)
