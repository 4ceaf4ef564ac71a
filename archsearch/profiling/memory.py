"""Peak memory of a forward pass and of a training step, on a GPU: the CPU's allocator does not tell."""

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from archsearch.profiling.conditions import Conditions
from archsearch.profiling.runner import build_pass, measuring, noise
from archsearch.shapes import FeatureShape


def inference_memory_mib(network: nn.Module, image: FeatureShape, conditions: Conditions) -> float | None:
    """MiB that tensors occupy at most during inference, weights included; None on a CPU."""
    if conditions.device == "cpu":
        return None

    def forward() -> None:
        build_pass(network, image, conditions)()

    with measuring(conditions):
        return peak_mib(forward, conditions)


def training_memory_mib(
    network: nn.Module, image: FeatureShape, classes: int, conditions: Conditions
) -> float | None:
    """MiB at most during one step of training with AdamW in float32: weights, gradients, moments, activations.

    None on a CPU.
    """
    if conditions.device == "cpu":
        return None
    device = torch.device(conditions.device)

    def step() -> None:
        learner = copy.deepcopy(network).train().to(device)
        optimiser = torch.optim.AdamW(learner.parameters(), fused=True)
        images = noise(image, conditions).float()
        labels = torch.arange(len(images), device=device) % classes
        F.cross_entropy(learner(images), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return peak_mib(step, conditions)


def peak_mib(work: Callable[[], object], conditions: Conditions) -> float:
    """MiB that ``work`` adds, at most, to what is allocated already."""
    device = torch.device(conditions.device)
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    return (torch.cuda.max_memory_allocated(device) - before) / 2**20
