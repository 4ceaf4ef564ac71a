"""The anchor: a fixed network that is timed between the passes of every other, and tells of the machine.

It does the same work every time, so what changes about it is the machine: clocks that drift or are
throttled, a neighbour on the same core or cache. Nothing is corrected by it; what it shows is flagged.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from archsearch.profiling.conditions import Conditions, cores
from archsearch.profiling.runner import build_pass
from archsearch.profiling.runtimes import Pass
from archsearch.shapes import FeatureShape

# Beyond these shares the anchor says that a measurement is not what it would be on a quiet machine.
DRIFT = 0.10
SLOWER = 0.10
# Of one core, used by others while a measurement ran.
OTHERS = 0.25
CPU_IMAGE, CPU_BATCH = FeatureShape(32, 24, 24), 1
GPU_IMAGE, GPU_BATCH = FeatureShape(256, 56, 56), 8
PROC_STAT = Path("/proc/stat")
TICKS_PER_SECOND = 100
# The fastest median of the anchor that this process has seen, under each conditions.
best: dict[Conditions, float] = {}


def busy_seconds() -> float | None:
    """CPU seconds spent since the machine started, on the cores of this process; None where nothing tells."""
    if not PROC_STAT.exists():
        return None
    ours = {f"cpu{core}" for core in cores()}
    lines = [line.split() for line in PROC_STAT.read_text().splitlines()]
    cpus = [fields for fields in lines if fields and fields[0] in ours]
    # user, nice, system, (idle, iowait,) irq, softirq, steal
    ticks = sum(int(fields[place]) for fields in cpus for place in (1, 2, 3, 6, 7, 8))
    return ticks / TICKS_PER_SECOND


def anchor_conditions(conditions: Conditions) -> Conditions:
    """Under which the anchor runs beside a network under ``conditions``: the same device and threads, else fixed."""
    batch = CPU_BATCH if conditions.device == "cpu" else GPU_BATCH
    return replace(conditions, batch_size=batch, dtype="float32", memory_format="contiguous", mode="eager")


@lru_cache(maxsize=8)
def anchor(conditions: Conditions) -> Pass:
    """The anchor's pass: two 3x3 convolutions, of 11M MACs on a CPU and of 3.7G an image on a GPU."""
    image = CPU_IMAGE if conditions.device == "cpu" else GPU_IMAGE
    width = image.channels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(*(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2)))
    return build_pass(network, image, conditions)


@dataclass
class MachineWatch:
    """What was seen of the machine while something was measured: the anchor's timings, others' use of the CPU.

    ``conditions`` are the anchor's.
    """

    conditions: Conditions
    timings: list[float] = field(default_factory=list)
    cpu_before: float | None = field(default_factory=busy_seconds)

    @property
    def anchor_ms(self) -> float:
        """The anchor's median."""
        return statistics.median(self.timings)

    def flags(self, wall_seconds: float, own_seconds: float) -> tuple[str, ...]:
        """What is wrong with the machine, in words; empty if nothing is."""
        found = [drift_flag(self.timings), self.slow_flag()]
        after = busy_seconds()
        if self.cpu_before is not None and after is not None and wall_seconds > 0:
            found.append(busy_flag((after - self.cpu_before - own_seconds) / wall_seconds))
        return tuple(flag for flag in found if flag)

    def slow_flag(self) -> str:
        """The anchor against the best that this process has seen of it."""
        known = best[self.conditions] = min(self.anchor_ms, best.get(self.conditions, self.anchor_ms))
        ratio = self.anchor_ms / known
        return f"the anchor takes {ratio:.2f} times its best here" if ratio > 1 + SLOWER else ""


def drift_flag(timings: Sequence[float]) -> str:
    """The last third of the anchor's timings against the first."""
    third = len(timings) // 3
    if not third:
        return ""
    change = statistics.median(timings[-third:]) / statistics.median(timings[:third]) - 1
    return f"the anchor's time changed by {change:+.0%} meanwhile" if abs(change) > DRIFT else ""


def busy_flag(others: float) -> str:
    """Cores that other processes used on average."""
    return f"other processes used {others:.1f} of {len(cores())} CPU cores" if others > OTHERS else ""
