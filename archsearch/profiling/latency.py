"""Latency of one forward pass: median and spread over many repeats, beside an anchor that watches the machine.

On a GPU the device's own events are read, behind a synchronisation; on a CPU a monotonic clock. Warm-up
goes on until the passes have stopped getting faster. Repeats go on until the interval of the median is
narrow or the time is spent, as Hoefler and Belli 2015 recommend for skewed timings (SC15, "Scientific
benchmarking of parallel computing systems", section 4.2): order statistics, no mean, no normal assumption.
"""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from archsearch.profiling.anchor import MachineWatch, anchor, anchor_conditions
from archsearch.profiling.conditions import Conditions
from archsearch.profiling.runner import build_pass, measuring, timer_of
from archsearch.profiling.runtimes import Pass
from archsearch.shapes import FeatureShape

MIN_REPEATS = 11
NARROW = 0.02
# An interval of the median, as a share of it, that is worth a word.
WIDE = 0.10
WINDOW = 5
# The anchor's share of the time.
ANCHOR_SHARE = 0.15
ANCHOR_PASSES = 3


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one forward pass of a whole batch: median, quartiles and number of repeats.

    Attributes:
        interval: width of the median's 95 % interval, as a share of the median.
        anchor_ms: median of the anchor, timed between the passes.
        flags: what was wrong with the machine meanwhile, in words; empty if nothing was seen.
    """

    median_ms: float
    lower_quartile_ms: float
    upper_quartile_ms: float
    repeats: int
    interval: float | None = None
    anchor_ms: float | None = None
    flags: tuple[str, ...] = ()

    @property
    def iqr_ms(self) -> float:
        """Distance between the quartiles."""
        return self.upper_quartile_ms - self.lower_quartile_ms


def measure_latency(
    network: nn.Module, image: FeatureShape, conditions: Conditions, *, seconds: float = 0.5
) -> Latency:
    """Time ``network`` in eval mode on noise ``(batch_size, *image)``, for about ``seconds``.

    The network itself is left as it is: a copy of it is measured.
    """
    timer = timer_of(torch.device(conditions.device))
    with measuring(conditions):
        fixed = anchor_conditions(conditions)
        run, steady = build_pass(network, image, conditions), anchor(fixed)
        warm_up(steady, timer, seconds / 10)
        warm_up(run, timer, seconds / 2)
        watch = MachineWatch(fixed)
        wall, own = time.perf_counter(), time.process_time()
        timings = repeat(run, steady, timer, seconds, watch)
        flags = watch.flags(time.perf_counter() - wall, time.process_time() - own)
    return summarise(timings, watch.anchor_ms, flags)


def warm_up(run: Pass, timer: Callable[[Pass], float], seconds: float) -> None:
    """Run until caches, clocks and the allocator have settled: five passes as fast as the five before."""
    end = time.perf_counter() + seconds
    before, now = math.inf, statistics.median(timer(run) for _ in range(WINDOW))
    while now < before * (1 - NARROW) and time.perf_counter() < end:
        before, now = now, statistics.median(timer(run) for _ in range(WINDOW))


def repeat(
    run: Pass, steady: Pass, timer: Callable[[Pass], float], seconds: float, watch: MachineWatch
) -> list[float]:
    """Timings in ms, until the median is known to 2 % or the time is spent; at least eleven.

    The anchor is timed first, last, and in between whenever it has had less than its share.
    """
    end = time.perf_counter() + seconds
    timings: list[float] = []
    spent = 0.0
    watch.timings += [anchor_time(steady, timer) for _ in range(WINDOW)]
    while len(timings) < MIN_REPEATS or (time.perf_counter() < end and median_interval(timings) > NARROW):
        timings.append(timer(run))
        spent += timings[-1]
        if ANCHOR_PASSES * sum(watch.timings) < ANCHOR_SHARE * spent:
            watch.timings.append(anchor_time(steady, timer))
    watch.timings += [anchor_time(steady, timer) for _ in range(WINDOW)]
    return timings


def anchor_time(steady: Pass, timer: Callable[[Pass], float]) -> float:
    """The best of a few passes in a row: the first ones find the caches full of another network."""
    return min(timer(steady) for _ in range(ANCHOR_PASSES))


def median_interval(timings: list[float]) -> float:
    """Width of the median's 95 % interval by order statistics, as a share of the median."""
    ordered = sorted(timings)
    n = len(ordered)
    margin = 1.96 * math.sqrt(n) / 2
    low, high = max(0, math.floor(n / 2 - margin)), min(n - 1, math.ceil(n / 2 + margin))
    return (ordered[high] - ordered[low]) / statistics.median(ordered)


def summarise(timings: list[float], anchor_ms: float | None = None, flags: tuple[str, ...] = ()) -> Latency:
    """Median, quartiles and the interval of the median."""
    lower, median, upper = statistics.quantiles(timings, n=4, method="inclusive")
    interval = median_interval(timings)
    wide = (f"the median is known to {interval:.0%} only",) if interval > WIDE else ()
    return Latency(median, lower, upper, len(timings), interval, anchor_ms, (*wide, *flags))
