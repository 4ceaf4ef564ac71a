"""The proxy: one short training of one candidate, and its score on the validation split.

Two runs with the same initial weights, recipe, data and number of threads give the same bits on a CPU.
AdamW with decoupled decay: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101; warm-up and
cosine to zero: Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, without restarts.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional

from archsearch.errors import FailedTrialError
from archsearch.proxy.batches import Plan, augmented, plan_batches
from archsearch.proxy.data import ImageData, Normalisation, Split
from archsearch.proxy.recipe import Recipe

CURVE_POINTS = 10
STEPS_BETWEEN_CHECKS = 10
CPU_MEMORY_WORDS = ("DefaultCPUAllocator", "not enough memory", "can't allocate memory")

Result = TypeVar("Result")
OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class ProxyScore:
    """What a short training says of a candidate.

    Attributes:
        top1: share of validation images whose largest logit is the label; 0 to 1.
        loss: mean cross-entropy on the validation images, without smoothing; nats.
        train_loss: mean training loss of the last tenth of the steps, with smoothing; nats.
        samples: images shown, which is the recipe's, rounded down to whole batches.
        seconds: training and validation together, by a clock that never goes back.
        curve: mean training loss of each tenth of the steps; nats.
    """

    top1: float
    loss: float
    train_loss: float
    samples: int
    seconds: float
    curve: tuple[float, ...]


def train_proxy(
    network: nn.Module,
    data: ImageData,
    recipe: Recipe,
    device: torch.device,
    on_step: OnStep | None = None,
) -> ProxyScore:
    """Trains ``network`` in place and scores it on the validation images; it stays on ``device``.

    ``on_step`` is told the steps done and the steps in all. What it raises ends the training.
    """
    start = time.monotonic()
    plan = plan_batches(len(data.train), recipe)
    judged = data.validation.first(recipe.validation_images)
    with _own_randomness(recipe.seed, device), _channels_last(network):
        losses = _within_memory(
            "train", plan.rows.shape[1], lambda: _fit(network, data, recipe, plan.to(device), on_step)
        )
        top1, loss = _within_memory(
            "validate", 256, lambda: evaluate(network, judged, data.normalisation, device, 256)
        )
    if not math.isfinite(loss):
        raise FailedTrialError("validate", f"loss is {loss} on {len(judged)} validation images")
    curve = tenths(losses)
    return ProxyScore(top1, loss, curve[-1], plan.rows.numel(), time.monotonic() - start, curve)


def _fit(
    network: nn.Module, data: ImageData, recipe: Recipe, plan: Plan, on_step: OnStep | None
) -> list[float]:
    """The training loss of each step."""
    device, steps = plan.rows.device, len(plan.rows)
    network.to(device).train()
    train, losses = data.train.to(device), _Losses(steps, recipe.learning_rate)
    optimiser = torch.optim.AdamW(decay_groups(network, recipe.weight_decay), fused=True)
    for step in range(steps):
        rows = plan.rows[step]
        images = augmented(train.images[rows], plan.shifts[step], plan.flips[step], recipe.crop)
        loss = _loss(network, data, images, train.labels[rows], recipe.label_smoothing)
        _update(optimiser, loss, learning_rate(step, steps, recipe))
        losses.add(loss.detach())
        if on_step is not None:
            on_step(step + 1, steps)
    return losses.finite


def _loss(
    network: nn.Module, data: ImageData, images: torch.Tensor, labels: torch.Tensor, smoothing: float
) -> torch.Tensor:
    """The smoothed cross-entropy of one batch of uint8 images, once the network is known to classify."""
    with _autocast(images.device):
        logits = network(data.normalisation.apply(images))
    wanted = (len(images), data.classes)
    if not isinstance(logits, torch.Tensor) or logits.shape != wanted:
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise FailedTrialError(
            "train", f"the network gives {got} for images {tuple(images.shape)}; wanted {wanted}"
        )
    return functional.cross_entropy(logits.float(), labels, label_smoothing=smoothing)


def _update(optimiser: torch.optim.Optimizer, loss: torch.Tensor, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()


class _Losses:
    """Losses that are read ten at a time: reading one makes the host wait for a GPU."""

    def __init__(self, steps: int, rate: float) -> None:
        self.finite: list[float] = []
        self._unread: list[torch.Tensor] = []
        self._steps, self._rate = steps, rate

    def add(self, loss: torch.Tensor) -> None:
        self._unread.append(loss)
        if len(self._unread) == STEPS_BETWEEN_CHECKS or len(self.finite) + len(self._unread) == self._steps:
            self._read()

    def _read(self) -> None:
        for loss in torch.stack(self._unread).tolist():
            if not math.isfinite(loss):
                at = f"step {len(self.finite) + 1} of {self._steps}, learning rate {self._rate:g}"
                raise FailedTrialError("train", f"loss is {loss} at {at}")
            self.finite.append(loss)
        self._unread.clear()


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """The rate of ``step``, from 0: a line up to the peak, then half a cosine that would reach 0 at ``steps``."""
    rising = round(recipe.warmup * steps)
    if step < rising:
        return recipe.learning_rate * (step + 1) / rising
    return recipe.learning_rate * (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2


def decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """AdamW's groups: matrices and kernels decay; norms, biases, scales and position tables do not.

    What decays is told by torch's own naming: a parameter that is called ``weight``, has two dimensions or
    more, and is no embedding. A table or token that a stage declares for itself bears another name.
    """
    tables = {id(module.weight) for module in network.modules() if isinstance(module, nn.Embedding)}
    decaying: list[nn.Parameter] = []
    other: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            decays = name.endswith("weight") and parameter.ndim >= 2 and id(parameter) not in tables
            (decaying if decays else other).append(parameter)
    return [{"params": decaying, "weight_decay": weight_decay}, {"params": other, "weight_decay": 0.0}]


def tenths(losses: list[float]) -> tuple[float, ...]:
    """The mean loss of each tenth of the steps; with fewer than ten steps, some count more than once."""
    steps = len(losses)
    starts = [steps * point // CURVE_POINTS for point in range(CURVE_POINTS + 1)]
    parts = [losses[start : max(end, start + 1)] for start, end in itertools.pairwise(starts)]
    return tuple(sum(part) / len(part) for part in parts)


@torch.no_grad()
def evaluate(
    network: nn.Module,
    split: Split,
    normalisation: Normalisation,
    device: torch.device,
    batch_size: int = 256,
) -> tuple[float, float]:
    """Top-1 in [0, 1] and mean cross-entropy in nats on ``split``; the network's mode is left as it was."""
    training = network.training
    network.to(device).eval()
    right = torch.zeros((), dtype=torch.int64, device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    for images, labels in _batches(split, batch_size):
        with _autocast(device):
            logits = network(normalisation.apply(images.to(device))).float()
        right += (logits.argmax(1) == labels.to(device)).sum()
        loss += functional.cross_entropy(logits, labels.to(device), reduction="sum").double()
    network.train(training)
    return int(right) / len(split), float(loss) / len(split)


def _batches(split: Split, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for start in range(0, len(split), size):
        yield split.images[start : start + size], split.labels[start : start + size]


def _autocast(device: torch.device) -> torch.autocast:
    """bfloat16 on CUDA; single precision everywhere else."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


@contextmanager
def _own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout by ``seed``; torch's global generators are afterwards as they were found."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def _channels_last(network: nn.Module) -> Iterator[None]:
    """Kernels in the order of the images, 1.0 to 1.7 times as fast on a CPU; afterwards contiguous again.

    Weights files refuse tensors that are not contiguous.
    """
    _lay_out(network, torch.channels_last)
    try:
        yield
    finally:
        _lay_out(network, torch.contiguous_format)


def _lay_out(network: nn.Module, order: torch.memory_format) -> None:
    network.to(memory_format=order)  # type: ignore[call-overload]  # missing from torch's annotations


def _within_memory(phase: str, batch_size: int, work: Callable[[], Result]) -> Result:
    """What ``work`` gives; running out of memory loses the candidate and not the study."""
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
    # Raised out here, because the traceback of the first error keeps the memory from being freed.
    raise FailedTrialError(phase, f"out of memory with batches of {batch_size} images")


def _is_out_of_memory(error: Exception) -> bool:
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or any(words in str(error) for words in CPU_MEMORY_WORDS)
