"""A limit on what a training may allocate, so that one candidate cannot take the machine with it."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

MIB = 2**20


@contextmanager
def limited_memory(mib: int | None, device: torch.device) -> Iterator[None]:
    """Allocations beyond ``mib`` MiB more than there are now fail, as if the memory were used up.

    On a GPU it is torch's own allocator that refuses; on Linux the kernel, for this process as a whole.
    Elsewhere nothing is limited. None is no limit.
    """
    if mib is None:
        yield
    elif device.type == "cuda":
        with limited_gpu(mib, device):
            yield
    elif sys.platform == "linux":
        with limited_process(mib):
            yield
    else:
        yield


@contextmanager
def limited_gpu(mib: int, device: torch.device) -> Iterator[None]:
    """A fraction of the GPU's memory for this process; afterwards all of it."""
    total = torch.cuda.get_device_properties(device).total_memory
    allowed = torch.cuda.memory_reserved(device) + mib * MIB
    torch.cuda.set_per_process_memory_fraction(min(1.0, allowed / total), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


@contextmanager
def limited_process(mib: int) -> Iterator[None]:
    """The kernel's limit on private writable memory; afterwards as it was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = private_bytes() + mib * MIB
    within = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([wanted, *within]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def private_bytes() -> int:
    """What the kernel counts against RLIMIT_DATA now (``VmData`` in proc(5))."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData"))
