"""A worker beside the test that takes its turn when it is told to."""

import subprocess
import sys
from contextlib import contextmanager

from paths import HELPERS


@contextmanager
def worker(where):
    """Another process, and its name."""
    command = [sys.executable, HELPERS / "worker_process.py", where]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def tell(process, command):
    process.stdin.write(command + "\n")
    process.stdin.flush()


def holding(process):
    """The process has its turn when this returns."""
    tell(process, "hold")
    assert process.stdout.readline() == "held\n"
