"""A measurement and the workers beside it: while one is timed, the trainings of the others on that device wait."""

import fcntl
import re
from contextlib import AbstractContextManager
from pathlib import Path

from archsearch.files import file_lock


class DeviceLock:
    """One device of one machine, for the workers that share a run folder.

    Latency is measured while nobody else works on the device: two workers on one CPU would time each other.
    A training asks after each step, which takes some microseconds, and waits while another worker measures.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self.path = folder / "workers" / f"measuring-{re.sub(r'[^A-Za-z0-9]+', '-', device)}.lock"

    def exclusive(self) -> AbstractContextManager[None]:
        """Alone on the device, for as long as the context lasts."""
        return file_lock(self.path)

    def wait(self) -> None:
        """Return when nobody measures."""
        with file_lock(self.path, fcntl.LOCK_SH):
            pass
