"""Under which conditions a cost was measured: a latency without its device is no number."""

import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from archsearch.errors import InputError, Problem


@dataclass(frozen=True)
class Conditions:
    """Everything that a measured cost depends on beside the architecture."""

    device: str
    device_name: str
    batch_size: int
    dtype: str
    memory_format: str
    compiled: bool
    threads: int
    torch_version: str


def conditions_of(device: torch.device, batch_size: int) -> Conditions:
    """The conditions of an eager float32 measurement here and now."""
    return Conditions(
        device=str(device),
        device_name=device_name(device),
        batch_size=batch_size,
        dtype="float32",
        memory_format="contiguous",
        compiled=False,
        threads=1,
        torch_version=torch.__version__,
    )


def device_name(device: torch.device) -> str:
    """The model of the GPU, or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor_name()


def processor_name() -> str:
    """What the processor calls itself, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def pick_device(wanted: str) -> torch.device:
    """``auto`` (the GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        InputError: there is no such device here.
    """
    if wanted == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    known = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    name = "cuda:0" if wanted == "cuda" else wanted
    if name not in known:
        raise InputError(
            "--device", [Problem("", f"{wanted} is not here", f"use one of auto, {', '.join(known)}")]
        )
    return torch.device(name)
