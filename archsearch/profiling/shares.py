"""Which share of a forward pass's time goes into mixing globally."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import Any

import torch
from torch import nn

from archsearch.profiling.conditions import Conditions
from archsearch.profiling.runner import measuring, prepare, timer_of
from archsearch.shapes import FeatureShape
from archsearch.stages import SpatialMixer
from archsearch.stages.mixers import mixer_of

# The median of so many passes; the first two warm up and are not looked at.
PASSES = 9
WARM_UP = 2


def global_latency_share(network: nn.Module, image: FeatureShape, conditions: Conditions) -> float:
    """The share of a forward pass that global mixers take, in [0, 1]: attentions with their projections.

    Timed pass by pass, module by module, on a copy; always eager, since neither a compiled network nor a
    captured graph has modules whose time could be told apart. 0 for a network without global mixers.
    """
    if not any(isinstance(module, SpatialMixer) for module in network.modules()):
        return 0.0
    device = torch.device(conditions.device)
    with measuring(conditions):
        ready, images = prepare(network, image, conditions)
        watch = Stopwatch(device)
        with watch.on(ready):
            shares = [watch.share(lambda: ready(images)) for _ in range(WARM_UP + PASSES)]
    return min(1.0, median(shares[WARM_UP:]))


class Stopwatch:
    """Runs while a global mixer does."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.marks: list[Any] = []

    def on(self, network: nn.Module) -> ExitStack:
        """Listen to the mixers of ``network`` until the context is left."""
        stack = ExitStack()
        for module in network.modules():
            if isinstance(module, SpatialMixer):
                stack.callback(module.register_forward_pre_hook(self._mark).remove)
                stack.callback(module.register_forward_hook(self._mark).remove)
        return stack

    def share(self, run: Callable[[], object]) -> float:
        """The share of one pass."""
        self.marks.clear()
        whole = timer_of(self.device)(run)
        return sum(map(self._between, self.marks[::2], self.marks[1::2])) / whole

    def _mark(self, module: nn.Module, arguments: Any, _out: Any = None) -> None:
        if not mixer_of(module, arguments[0]).is_global:
            return
        if self.device.type != "cuda":
            self.marks.append(time.perf_counter())
            return
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        self.marks.append(event)

    def _between(self, start: Any, end: Any) -> float:
        """Milliseconds."""
        return float(start.elapsed_time(end)) if self.device.type == "cuda" else float(end - start) * 1e3
