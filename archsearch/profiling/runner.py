"""A network made ready to run under given conditions, and the clock that times one pass of it."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from archsearch.profiling.conditions import Conditions
from archsearch.profiling.runtimes import RUNTIMES, Pass
from archsearch.shapes import FeatureShape

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def build_pass(network: nn.Module, image: FeatureShape, conditions: Conditions) -> Pass:
    """One forward pass of a batch under ``conditions``, on a copy of ``network`` in eval mode.

    The images are noise of a fixed seed: a GPU takes less power, and less time, for zeros.
    """
    return RUNTIMES[conditions.mode].prepare(*prepare(network, image, conditions))


def prepare(network: nn.Module, image: FeatureShape, conditions: Conditions) -> tuple[nn.Module, Tensor]:
    """A copy of ``network`` in eval mode and a batch for it, on the device, dtype and format of ``conditions``."""
    layout = FORMATS[conditions.memory_format]
    ready = copy.deepcopy(network).eval().to(torch.device(conditions.device), DTYPES[conditions.dtype])
    ready.to(memory_format=layout)  # type: ignore[call-overload]  # missing from torch's annotations
    return ready, noise(image, conditions).contiguous(memory_format=layout)


def noise(image: FeatureShape, conditions: Conditions) -> Tensor:
    """``(batch, C, H, W)`` normal noise, the same every time."""
    generator = torch.Generator().manual_seed(0)
    shape = (conditions.batch_size, image.channels, image.height, image.width)
    return torch.randn(shape, generator=generator).to(
        torch.device(conditions.device), DTYPES[conditions.dtype]
    )


def timer_of(device: torch.device) -> Callable[[Pass], float]:
    """What times one pass on ``device``, in ms."""
    return time_on_gpu if device.type == "cuda" else time_on_cpu


def time_on_cpu(run: Pass) -> float:
    """Milliseconds by the monotonic clock."""
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3


def time_on_gpu(run: Pass) -> float:
    """Milliseconds by the device's events, read when the device has finished."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    run()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))


@contextmanager
def measuring(conditions: Conditions) -> Iterator[None]:
    """No gradients, operators on as many CPU threads as ``conditions`` say, on the right GPU."""
    threads = torch.get_num_threads()
    torch.set_num_threads(conditions.threads)
    device = torch.device(conditions.device)
    try:
        with torch.inference_mode(), torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            yield
    finally:
        torch.set_num_threads(threads)
