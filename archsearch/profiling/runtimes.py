"""The runtimes under which a network is timed, by name: one table, in which a new one is one entry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from archsearch.cuda_graph import warm_up_and_capture

Pass = Callable[[], object]


def run_eagerly(network: nn.Module, images: Tensor) -> Pass:
    """A pass that calls the network as it is."""
    return partial(network, images)


def run_compiled(network: nn.Module, images: Tensor) -> Pass:
    """A pass through what ``torch.compile`` makes of the network; the first one compiles."""
    torch.compiler.reset()  # which gives up on a module's code after some versions of it, and runs it eagerly
    return run_eagerly(torch.compile(network), images)  # type: ignore[arg-type]


def run_captured(network: nn.Module, images: Tensor) -> Pass:
    """A pass that replays a CUDA graph of the network."""
    return warm_up_and_capture(run_eagerly(network, images), images.device)


def launch_one_by_one(run: Pass, _device: torch.device) -> Pass:
    """The operators of ``run`` are launched one after another, as it stands."""
    return run


@dataclass(frozen=True)
class Runtime:
    """One way to run a network.

    Attributes:
        prepare: a network in eval mode and a batch, both on the device, to what runs one forward pass.
        launch: single operators, for the latency predictor, as this runtime would launch them.
        needs_gpu: whether it runs on CUDA devices only.
    """

    prepare: Callable[[nn.Module, Tensor], Pass]
    launch: Callable[[Pass, torch.device], Pass] = launch_one_by_one
    needs_gpu: bool = False


RUNTIMES: Mapping[str, Runtime] = {
    "eager": Runtime(run_eagerly),
    "compiled": Runtime(run_compiled),
    "cuda_graph": Runtime(run_captured, launch=warm_up_and_capture, needs_gpu=True),
}
