"""The run folder: one search of one space, for one worker or several, resumable by the same command."""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsearch.errors import EnvironmentFaultError, InputError, Problem, RunFolderError, shown
from archsearch.files import disk_faults, file_lock, write_atomically
from archsearch.storage.storage_url import StorageLocation

PACKAGES = ("archsearch", "torch", "optuna", "fvcore", "numpy")


@dataclass(frozen=True)
class RunFolder:
    """Where everything about a run lies. Paths inside are relative: the folder can be moved."""

    path: Path

    @property
    def database(self) -> Path:
        """The Optuna storage, from which everything under results is derived."""
        return self.path / "study.db"

    @property
    def manifest(self) -> Path:
        """What the run belongs to, and on what it ran."""
        return self.path / "run.json"

    @property
    def workers(self) -> Path:
        """The locks of those who work on the run."""
        return self.path / "workers"

    @contextmanager
    def writing_results(self) -> Iterator[None]:
        """Workers that end together write one after the other, so that the last one has read everything.

        Raises:
            EnvironmentFaultError: the disk does not take what is written meanwhile.
        """
        lock = file_lock(self.workers / "results.lock") if self.manifest.is_file() else nullcontext()
        with lock, disk_faults(self.path):
            yield

    @property
    def predictor(self) -> Path:
        """The latency predictor that the run began with, if there was one."""
        return self.path / "latency_predictor.json"

    @property
    def weights(self) -> Path:
        """Trained weights of the candidates on the current frontier."""
        return self.path / "weights"

    def weights_of(self, architecture: str) -> Path:
        """The weights of one candidate, by its id."""
        return self.weights / f"{architecture}.safetensors"

    @property
    def finals(self) -> Path:
        """Weights of the finalists, one file a seed."""
        return self.path / "finals"

    @property
    def swaps(self) -> "RunFolder":
        """Weights and checkpoints of the networks that matched swaps train, in a folder of their own."""
        return RunFolder(self.path / "swaps")

    @property
    def checkpoints(self) -> Path:
        """Trainings that were stopped between two rungs."""
        return self.path / "checkpoints"

    def checkpoint_of(self, architecture: str) -> Path:
        """The checkpoint of one candidate, by its id."""
        return self.checkpoints / f"{architecture}.safetensors"

    def claim(self, identity: Mapping[str, Any], device: str, storage: str | None = None) -> None:
        """Write whose folder this is, or make sure that it is this run's; ``storage`` says where its record is.

        Raises:
            RunFolderError: it belongs to another space, study or seed, or was measured on another device.
        """
        wanted = json.loads(json.dumps({**identity, "device": device}))
        if not self.manifest.exists():
            content = {**manifest_of(wanted), "storage": storage}
            with disk_faults(self.manifest):
                self.path.mkdir(parents=True, exist_ok=True)
                write_atomically(self.manifest, json.dumps(content, indent=2) + "\n")
            return
        differences = list(differing(self.identity(), wanted))
        if self.storage != storage:
            differences.append(
                f"storage was {self.storage or 'in the folder'} and is {storage or 'in the folder'}"
            )
        if differences:
            raise RunFolderError(
                f"{self.path} belongs to another run: {'; '.join(differences)}; "
                "give this run its own folder with --out, or take back the change"
            )

    def identity(self) -> dict[str, Any]:
        """What the manifest says that the folder belongs to."""
        try:
            recorded: dict[str, Any] = json.loads(self.manifest.read_text())["identity"]
        except (ValueError, KeyError, TypeError) as error:
            raise EnvironmentFaultError(
                f"{self.manifest}: damaged; restore it, or give this run its own folder with --out"
            ) from error
        return recorded

    @property
    def storage(self) -> str | None:
        """The URL of the database that has the record; None if it lies in the folder."""
        recorded: str | None = json.loads(self.manifest.read_text()).get("storage")
        return recorded

    def record(self) -> tuple[StorageLocation, str | None]:
        """Where the run's record lies, and its name there: the folder's file has one study alone.

        Raises:
            InputError: there is no run in this folder.
        """
        if self.database.is_file():
            return self.database, None
        storage = self.storage if self.manifest.is_file() else None
        if storage is None:
            what = "no run lies here (there is no study.db)"
            raise InputError(str(self.path), [Problem("", what, "give the folder that archsearch run named")])
        return storage, study_name(self.identity())


def manifest_of(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a manifest: what the run belongs to, and on what it began."""
    return {
        "identity": identity,
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "git_revision": git_revision(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def study_name(belongs: Mapping[str, Any]) -> str:
    """What a run is called in a database that holds others: its space, and what it belongs to but for the device."""
    identity = {name: value for name, value in belongs.items() if name != "device"}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return f"{belongs['space']}-{digest[:12]}"


def differing(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """Each setting that changed, with its old and its new value."""
    for name in sorted(recorded.keys() | wanted.keys()):
        before, now = recorded.get(name), wanted.get(name)
        if before != now:
            yield f"{name} was {shown(before)} and is {shown(now)}"


def git_revision() -> str | None:
    """The commit of the working directory, if it is a git checkout."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except OSError:
        return None
    return done.stdout.strip() or None
