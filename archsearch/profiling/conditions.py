"""Under which conditions a cost is measured: a latency without them is no number."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import torch

from archsearch.errors import InputError, Problem, one_of
from archsearch.profiling.runtimes import RUNTIMES

if TYPE_CHECKING:
    Mode = str
else:
    Mode = Literal[tuple(RUNTIMES)]
Dtype = Literal["float32", "bfloat16", "float16"]
MemoryFormat = Literal["contiguous", "channels_last"]


@dataclass(frozen=True)
class Conditions:
    """Everything that a measured cost depends on beside the architecture.

    Attributes:
        device: ``cpu`` or ``cuda:N``; ``device_name`` is the model.
        batch_size: images in the batch that is timed as a whole.
        dtype: of weights and images.
        memory_format: of weights and images; ``contiguous`` is batch, channels, height, width.
        mode: the runtime, one of ``profiling.runtimes.RUNTIMES``.
        threads: CPU threads of an operator.
        torch_version, cuda_version: the latter None where there is no GPU.
    """

    device: str
    device_name: str
    batch_size: int
    dtype: Dtype
    memory_format: MemoryFormat
    mode: Mode
    threads: int
    torch_version: str
    cuda_version: str | None

    def __str__(self) -> str:
        threads = "" if self.device != "cpu" else f", {self.threads} CPU thread{'s'[: self.threads > 1]}"
        cuda = f", CUDA {self.cuda_version}" if self.cuda_version else ""
        return (
            f"batch {self.batch_size}, {self.dtype}, {self.memory_format}, {self.mode}, {self.device_name}{threads}, "
            f"torch {self.torch_version}{cuda}"
        )


def conditions_of(
    device: torch.device | str,
    *,
    batch_size: int = 1,
    dtype: Dtype = "float32",
    memory_format: MemoryFormat = "contiguous",
    mode: Mode = "eager",
    threads: int = 1,
) -> Conditions:
    """The conditions of a measurement here and now.

    One CPU thread is the default: two that wait for each other beside a busy neighbour tell more of the
    neighbour.

    Raises:
        InputError: there is no such mode, dtype or memory format, or not on this device; no image, no thread.
    """
    device = with_index(torch.device(device))
    on_gpu = device.type == "cuda"
    amounts = {"batch_size": batch_size, "threads": threads}
    problems = [Problem(n, f"{a} is below 1", "use 1 or more") for n, a in amounts.items() if a < 1]
    for name, value, known in (
        ("dtype", dtype, get_args(Dtype)),
        ("memory_format", memory_format, get_args(MemoryFormat)),
        ("mode", mode, tuple(RUNTIMES)),
    ):
        if value not in known:
            problems.append(Problem(name, f"{value} is not known", one_of(known, value)))
    if mode in RUNTIMES and RUNTIMES[mode].needs_gpu and not on_gpu:
        others = " or ".join(name for name, runtime in RUNTIMES.items() if not runtime.needs_gpu)
        problems.append(Problem("mode", f"{mode} needs a CUDA device, not {device}", f"use {others}"))
    if problems:
        raise InputError("conditions", problems)
    return Conditions(
        device=str(device),
        device_name=device_name(device),
        batch_size=batch_size,
        dtype=dtype,
        memory_format=memory_format,
        mode=mode,
        threads=threads,
        torch_version=torch.__version__,
        cuda_version=torch.version.cuda if on_gpu else None,
    )


def with_index(device: torch.device) -> torch.device:
    """``cpu`` or ``cuda:N``; InputError for a device of another kind."""
    if device.type == "cuda":
        return torch.device("cuda", device.index or 0)
    if device.type != "cpu":
        raise InputError("conditions", [Problem("device", f"{device} is not measured", "use cpu or cuda:N")])
    return torch.device("cpu")


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


def cores() -> set[int]:
    """The CPU cores that this process may use, by number."""
    affinity = getattr(os, "sched_getaffinity", None)
    return set(affinity(0)) if affinity else set(range(os.cpu_count() or 1))


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
