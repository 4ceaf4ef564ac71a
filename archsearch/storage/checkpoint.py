"""The checkpoint of a training: safetensors with a checksum, so that it resumes bit for bit.

A checkpoint that cannot be trusted is as good as none: the training then starts again, with the same result.
"""

import errno
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from archsearch.files import disk_faults, replacing
from archsearch.proxy import Training


@dataclass(frozen=True)
class Checkpoint:
    """The file of one candidate's training.

    Attributes:
        path: where it lies, or would.
        owner: what the training belongs to; another owner's file is none.
    """

    path: Path
    owner: str

    def save(self, state: Mapping[str, Tensor], rungs: list[dict[str, float]]) -> None:
        """Write ``Training.state()`` and the rungs read so far, whole or not at all.

        Raises:
            EnvironmentFaultError: the disk does not take it, which is no fault of the candidate.
        """
        tensors = {name: tensor.contiguous().cpu() for name, tensor in state.items()}
        notes = {"owner": self.owner, "torch": torch.__version__, "rungs": json.dumps(rungs)}
        with disk_faults(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as beside:
                write(tensors, beside, {**notes, "checksum": checksum(tensors, notes)})

    def resume(self, training: Training) -> list[dict[str, float]]:
        """Continue ``training`` from what was saved, and return the rungs read by then; none if nothing was saved."""
        kept = self.load()
        if kept is None:
            return []
        state, rungs = kept
        training.load(state)
        return rungs

    def load(self) -> tuple[dict[str, Tensor], list[dict[str, float]]] | None:
        """What was saved; None if nothing was, or if it is damaged, another owner's or another torch's."""
        try:
            with safe_open(self.path, framework="pt") as file:
                notes = dict(file.metadata() or {})
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError):
            return None
        if notes.pop("checksum", None) != checksum(tensors, notes):
            return None
        if (notes["owner"], notes["torch"]) != (self.owner, torch.__version__):
            return None
        return tensors, json.loads(notes["rungs"])


def write(tensors: dict[str, Tensor], path: Path, notes: dict[str, str]) -> None:
    """As safetensors, whose errors are of the disk here: they become those."""
    try:
        save_file(tensors, path, notes)
    except SafetensorError as error:
        raise OSError(errno.EIO, str(error), str(path)) from error


def checksum(tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> str:
    """SHA-256 of every name, type, shape and byte, and of the notes."""
    digest = hashlib.sha256(json.dumps(notes, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
