"""A limit on what a training may allocate, so that one candidate cannot take the machine with it."""

import resource
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch

from archsearch.errors import FailedTrialError

MIB = 2**20
# Elements that torch gives a thread at least (at::internal::GRAIN_SIZE).
GRAIN = 2**15
# What oneDNN and the C++ library say of a refused allocation.
MEMORY_WORDS = ("could not create a primitive", "could not create a memory", "bad_alloc")


def limited_memory(mib: int | None, device: torch.device) -> AbstractContextManager[None]:
    """Within it, allocations beyond ``mib`` MiB more than there are now fail, as if the memory were used up.

    On a GPU it is torch's own allocator that refuses; on Linux the kernel, for this process as a whole.
    Elsewhere nothing is limited. None is no limit.

    Raises:
        FailedTrialError: oneDNN or the C++ library had no memory left, which they do not say in these words.
    """
    if mib is not None and device.type == "cuda":
        return limited_gpu(mib, device)
    if mib is not None and sys.platform == "linux":
        return limited_process(mib)
    return nullcontext()


@contextmanager
def limited_gpu(mib: int, device: torch.device) -> Iterator[None]:
    """A fraction of the GPU's memory for this process; afterwards all of it."""
    torch.cuda.empty_cache()  # what an earlier candidate left in torch's cache would be allowed twice
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
    start_threads()
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = private_bytes() + mib * MIB
    within = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([wanted, *within]), hard))
    try:
        yield
    except RuntimeError as error:
        if not any(words in str(error) for words in MEMORY_WORDS):
            raise
        reason = f"out of memory ({str(error).splitlines()[0]}); candidate_memory_mib is {mib}"
        raise FailedTrialError("train", reason) from error
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def start_threads() -> None:
    """Have OpenMP start its threads now: where it cannot start one, it ends the process."""
    torch.zeros(GRAIN * torch.get_num_threads()).add_(1)


def private_bytes() -> int:
    """What the kernel counts against RLIMIT_DATA now (``VmData`` in proc(5))."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData"))
