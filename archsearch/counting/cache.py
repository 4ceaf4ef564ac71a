"""Counts that are remembered on the disk: a file that may be deleted, copied and shared at any time.

One line a count, appended whole, with a checksum: a line that was cut off, or that is not what was
written, is left out and counted again. The file's name holds a fingerprint of the code and of the
versions that counted, so that no other code reads it. A disk that takes nothing costs the memory of
the next process and nothing else.

``ARCHSEARCH_CACHE`` names another folder than ``~/.cache/archsearch``, or none if it is empty.
"""

import hashlib
import importlib.metadata
import json
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

COUNTING = ("shapes.py", "stages", "counting")
VERSIONS = ("torch", "fvcore")


@dataclass
class CountCache:
    """The counts of one file, as far as they are known here. ``None`` for a file keeps them to this process."""

    file: Path | None
    counts: dict[str, Any] = field(default_factory=dict)

    def read(self) -> None:
        """Take in what the file holds."""
        if self.file is None or not self.file.exists():
            return
        entries = map(checked, self.file.read_bytes().splitlines())
        self.counts.update(entry for entry in entries if entry is not None)

    def add(self, key: str, value: Any) -> None:
        """Remember one count more; other processes may append to the file at the same time."""
        self.counts[key] = value
        if self.file is None:
            return
        body = json.dumps([key, value], separators=(",", ":")).encode()
        line = b"\n%08x %s\n" % (zlib.crc32(body), body)
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)
        except OSError:
            self.file = None  # a cache that cannot be written is no fault of the count


def remembered(text: str, compute: Callable[[], Any]) -> Any:
    """What ``compute`` gave for ``text`` at some time, here or in another process: data that JSON holds."""
    memory = memory_in(cache_folder())
    key = hashlib.sha256(text.encode()).hexdigest()[:24]
    if key not in memory.counts:
        memory.add(key, compute())
    return memory.counts[key]


def cache_folder() -> Path | None:
    """Where things are kept that may be deleted at any time; None if the user wants nothing kept."""
    named = os.environ.get("ARCHSEARCH_CACHE")
    if named is not None:
        return Path(named) if named else None
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "archsearch"
    except RuntimeError:  # a user without a home
        return None


@lru_cache(maxsize=8)
def memory_in(folder: Path | None) -> CountCache:
    """The counts that are remembered in ``folder``."""
    memory = CountCache(folder / f"counts-{fingerprint()}.jsonl" if folder is not None else None)
    try:
        memory.read()
    except OSError:
        memory.file = None
    return memory


def checked(line: bytes) -> tuple[str, Any] | None:
    """Key and value of a line that is whole; None for any other."""
    checksum, _, body = line.partition(b" ")
    if not body or checksum != b"%08x" % zlib.crc32(body):
        return None
    key, value = json.loads(body)
    return key, value


@lru_cache(maxsize=1)
def fingerprint() -> str:
    """Twelve hex digits of the code that counts and of the versions that it runs on."""
    package = Path(__file__).parent.parent
    sources = (path for name in COUNTING for path in sorted([package / name, *package.glob(f"{name}/*.py")]))
    digest = hashlib.sha256()
    for source in sources:
        if source.is_file():
            digest.update(source.name.encode() + source.read_bytes())
    digest.update("".join(importlib.metadata.version(name) for name in VERSIONS).encode())
    return digest.hexdigest()[:12]
