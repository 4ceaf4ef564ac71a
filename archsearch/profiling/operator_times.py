"""How long each distinct call of torch takes on a device, by replaying it there.

A space has few of them: 200 candidates of ``spaces/hybrid.yaml`` make 1,400 distinct calls, and measuring
all takes seconds. The finest of lookup tables (ProxylessNAS, Cai et al. 2019,
https://arxiv.org/abs/1812.00332, has one a block), so that it closes soonest: a candidate that was never
measured hardly ever brings a call that was not.
"""

import statistics
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from archsearch.architecture import Architecture
from archsearch.counting.meta_trace import Recorder, meta_trace
from archsearch.counting.op_counters import GROUPS
from archsearch.profiling.conditions import Conditions
from archsearch.profiling.runner import DTYPES, measuring, time_on_cpu, time_on_gpu
from archsearch.profiling.runtimes import RUNTIMES, Pass

CALL_GROUPS = (*GROUPS, "shape")
# Questions about a tensor start nothing on a device.
ASKS = frozenset(["__get__", "__len__", "dim", "size", "numel"])
MIN_REPEATS, MAX_REPEATS = 7, 60
SECONDS = 0.014
# Swept between two replays, so that a call finds its weights where it does inside a network: out of the first
# caches. Of 0.25, 2 and 6 MiB, 2 (a core's second-level cache) predicted best (studies/bench_profiling).
SWEPT_MIB = 2
GPU_CALLS = 20


@dataclass(frozen=True)
class Times:
    """Milliseconds of the calls of some blocks by group, each timed alone, and how many calls there are."""

    by_group: Mapping[str, float]
    calls: int


@dataclass
class OperatorTable:
    """Milliseconds of each call that was timed under ``conditions``, by its key; grows as calls are met."""

    conditions: Conditions
    ms: dict[str, float] = field(default_factory=dict)

    def times(self, architecture: Architecture) -> Times:
        """The calls of one pass of its network; those that are new are timed first.

        The network is taken as a whole: in which order channels and places lie in memory, and so which
        kernel is chosen, depends on what stands before a part.
        """
        transcript = Transcript()
        batch = self.conditions.batch_size
        meta_trace(architecture.build, architecture.image.shape, transcript, batch_size=batch)
        by_group: dict[str, float] = {}
        for group, call in transcript.calls:
            if call.key not in self.ms:
                self.ms[call.key] = time_call(call, self.conditions)
            by_group[group] = by_group.get(group, 0.0) + self.ms[call.key]
        return Times(by_group, len(transcript.calls))


@dataclass(frozen=True)
class Call:
    """One call of torch, with arguments on the meta device."""

    func: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]

    @property
    def key(self) -> str:
        """What makes it distinct: the operator, the shapes and strides of its tensors, its settings."""
        settings = [f"{name}={describe_argument(value)}" for name, value in self.kwargs.items()]
        return f"{self.func.__name__}({', '.join([*map(describe_argument, self.args), *settings])})"


class Transcript(Recorder):
    """Keeps every call that a device would be given."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, Call]] = []

    def seen(self, group: str, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """One call more, unless it only asks."""
        if func.__name__ not in ASKS:
            self.calls.append((group, Call(func, args, kwargs)))


def describe_argument(argument: Any) -> str:
    """An argument as part of a key."""
    if isinstance(argument, Tensor):
        dtype = str(argument.dtype).removeprefix("torch.")
        # A stride along an axis of one element says nothing.
        strides = [
            stride if size > 1 else 0 for size, stride in zip(argument.shape, argument.stride(), strict=True)
        ]
        return f"{dtype}{list(argument.shape)}/{strides}"
    if isinstance(argument, tuple | list):
        return f"[{', '.join(map(describe_argument, argument))}]"
    return repr(argument)


def time_call(call: Call, conditions: Conditions) -> float:
    """Milliseconds of one call on tensors of noise, on the device of ``conditions``."""
    kwargs = {name: materialize(argument, conditions) for name, argument in call.kwargs.items()}
    run = partial(call.func, *materialize(list(call.args), conditions), **kwargs)
    with measuring(conditions):
        run()
        return replay_on_cpu(run) if conditions.device == "cpu" else replay_on_gpu(run, conditions)


def materialize(argument: Any, conditions: Conditions) -> Any:
    """A tensor on the device for one on the meta device, of the same shape and strides; anything else as it is."""
    if isinstance(argument, tuple | list):
        return type(argument)(materialize(inner, conditions) for inner in argument)
    if not isinstance(argument, Tensor):
        return argument
    device = torch.device(conditions.device)
    if not argument.dtype.is_floating_point:
        return torch.zeros(argument.shape, dtype=argument.dtype, device=device)
    shape, strides = argument.shape, argument.stride()
    places = 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    drawn = torch.randn(max(places, 1), generator=torch.Generator().manual_seed(0))
    tensor = drawn.to(device, DTYPES[conditions.dtype]).as_strided(shape, strides)
    if conditions.memory_format == "channels_last" and tensor.ndim == 4 and tensor.is_contiguous():
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor


def replay_on_cpu(run: Pass) -> float:
    """The lower quartile of some replays, other memory being swept between each two: neighbours only add to it."""
    swept = torch.zeros(SWEPT_MIB * 2**18)
    run()
    timings: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(timings) < MIN_REPEATS or (time.perf_counter() < end and len(timings) < MAX_REPEATS):
        swept.add_(1)
        timings.append(time_on_cpu(run))
    return statistics.quantiles(timings, n=4, method="inclusive")[0]


def replay_on_gpu(run: Pass, conditions: Conditions) -> float:
    """The median of some rows of replays, launched as the runtime of ``conditions`` launches them."""

    def row() -> None:
        for _ in range(GPU_CALLS):
            run()

    with warnings.catch_warnings():
        # A view launches nothing: its graph is empty, and takes the time of an empty one.
        warnings.filterwarnings("ignore", message="The CUDA Graph is empty")
        rows = RUNTIMES[conditions.mode].launch(row, torch.device(conditions.device))
    rows()
    return statistics.median(time_on_gpu(rows) for _ in range(MIN_REPEATS)) / GPU_CALLS
