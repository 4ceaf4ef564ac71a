"""Latency of one forward pass: median and spread over many repeats, after a warm-up.

On a GPU the device's own events are read, behind a synchronisation; on a CPU a monotonic clock, with
one thread: two threads that wait for each other beside a busy neighbour tell more of the neighbour.
Repeats go on until the interval of the median is narrow or the time is spent, as the benchmark
guide of Hoefler and Belli 2015 (SC15, "Scientific benchmarking of parallel computing systems",
section 4.2) recommends for skewed timings: order statistics, no mean, no normal assumption.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from archsearch.shapes import FeatureShape

MIN_REPEATS = 11
NARROW = 0.02


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one forward pass of a whole batch: median, quartiles and number of repeats."""

    median_ms: float
    lower_quartile_ms: float
    upper_quartile_ms: float
    repeats: int

    @property
    def iqr_ms(self) -> float:
        """Distance between the quartiles."""
        return self.upper_quartile_ms - self.lower_quartile_ms


def measure_latency(
    network: nn.Module,
    image: FeatureShape,
    device: torch.device,
    *,
    batch_size: int = 1,
    seconds: float = 0.5,
) -> Latency:
    """Time ``network`` in eval mode on zeros ``(batch_size, *image)``, for about ``seconds``.

    The network is moved to ``device`` and stays there.
    """
    network = network.eval().to(device)
    images = torch.zeros(batch_size, image.channels, image.height, image.width, device=device)
    timer = time_on_gpu if device.type == "cuda" else time_on_cpu

    def forward() -> None:
        network(images)

    with torch.inference_mode(), one_thread():
        warm_up(forward, timer, seconds / 5)
        return summarise(repeat(forward, timer, seconds))


@contextmanager
def one_thread() -> Iterator[None]:
    """Operators run on one CPU thread; as many as before afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def warm_up(
    forward: Callable[[], None], timer: Callable[[Callable[[], None]], float], seconds: float
) -> None:
    """Run until caches, clocks and the allocator have settled: some passes, and some time."""
    end = time.perf_counter() + seconds
    passes = 0
    while passes < 3 or (time.perf_counter() < end and passes < 100):
        timer(forward)
        passes += 1


def repeat(
    forward: Callable[[], None], timer: Callable[[Callable[[], None]], float], seconds: float
) -> list[float]:
    """Timings in ms, until the median is known to 2 % or the time is spent; at least eleven."""
    end = time.perf_counter() + seconds
    timings: list[float] = []
    while len(timings) < MIN_REPEATS or (time.perf_counter() < end and median_interval(timings) > NARROW):
        timings.append(timer(forward))
    return timings


def median_interval(timings: list[float]) -> float:
    """Width of the median's 95 % interval by order statistics, as a share of the median."""
    ordered = sorted(timings)
    n = len(ordered)
    margin = 1.96 * math.sqrt(n) / 2
    low, high = max(0, math.floor(n / 2 - margin)), min(n - 1, math.ceil(n / 2 + margin))
    return (ordered[high] - ordered[low]) / statistics.median(ordered)


def summarise(timings: list[float]) -> Latency:
    """Median and quartiles."""
    lower, median, upper = statistics.quantiles(timings, n=4, method="inclusive")
    return Latency(median, lower, upper, len(timings))


def time_on_cpu(forward: Callable[[], None]) -> float:
    """Milliseconds by the monotonic clock."""
    start = time.perf_counter()
    forward()
    return (time.perf_counter() - start) * 1e3


def time_on_gpu(forward: Callable[[], None]) -> float:
    """Milliseconds by the device's events, read when the device has finished."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    forward()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))
