"""The proxy: one short training of one candidate, and its score on the validation split.

A training can stop at rungs, be evaluated there, be saved, and continue. Two trainings with the same
initial weights, recipe, data and number of threads give the same bits on a CPU, wherever they stopped.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from archsearch.data import ImageData
from archsearch.errors import FailedTrialError
from archsearch.proxy.augment import plan_batches
from archsearch.proxy.ema import WeightAverage
from archsearch.proxy.evaluate import evaluate
from archsearch.proxy.optimizer import build_optimizer, set_learning_rate
from archsearch.proxy.recipe import Recipe
from archsearch.proxy.schedule import learning_rate, rung_end
from archsearch.proxy.step import CapturedStep, Step

CURVE_POINTS = 10
STEPS_BETWEEN_CHECKS = 10
CPU_MEMORY_WORDS = ("DefaultCPUAllocator", "not enough memory", "can't allocate memory")

Result = TypeVar("Result")
OnStep = Callable[[int, int, Tensor], None]


@dataclass(frozen=True)
class ProxyScore:
    """The result of a short training.

    Attributes:
        top1: share of validation images whose largest logit is the label; 0 to 1.
        loss: mean cross-entropy on the validation images, without smoothing; nats.
        train_loss: mean training loss of the last tenth of the steps, with smoothing; nats.
        samples: images shown, in whole batches.
        seconds: training and validation together, by a clock that never goes back.
        curve: mean training loss of each tenth of the steps; nats.
        captured: whether the steps were one CUDA graph; None where there is none to capture.
    """

    top1: float
    loss: float
    train_loss: float
    samples: int
    seconds: float
    curve: tuple[float, ...]
    captured: bool | None = None


class Training:
    """The training of one network, in place: to the end, or from rung to rung.

    Attributes:
        network: what is trained, on the device, its kernels in the order of the images meanwhile.
        steps: how many there are in all.
        done: how many are taken.
        seconds: spent so far.
    """

    def __init__(
        self,
        network: nn.Module,
        data: ImageData,
        recipe: Recipe,
        device: torch.device,
        on_step: OnStep | None = None,
        *,
        capture: bool = True,
    ) -> None:
        """A training that has not begun; ``network`` is moved to ``device`` and stays there.

        ``on_step`` is called with the steps done, the steps in all and the loss, still on the device; what it
        raises ends the training. With ``capture``, the steps on a GPU are one CUDA graph where they can be.
        """
        self.network, self._recipe, self._device, self._on_step = network.to(device), recipe, device, on_step
        # Kernels in the order of the images are 1.0 to 1.7 times as fast on a CPU.
        lay_out(network, torch.channels_last)
        self._validation = data.validation.first(recipe.validation_images)
        self._normalisation = data.normalisation
        self._plan = plan_batches(len(data.train), recipe).to(device)
        self.steps, self.batch = self._plan.rows.shape
        self._optimizer = build_optimizer(network, recipe, device)
        step = Step(network, data, recipe, self._optimizer, device)
        self._step = CapturedStep(step) if capture and device.type == "cuda" else step
        self._average = WeightAverage(network, recipe.ema)
        self._losses = Losses(self.steps, recipe.learning_rate)
        self._random = seeded_generators(recipe.seed, device)
        self.seconds = 0.0

    @property
    def done(self) -> int:
        """How many steps are taken."""
        return len(self._losses.finite)

    def finish(self) -> ProxyScore:
        """Train to the last step and evaluate; the network then has the weights that were evaluated, contiguous in memory.

        Weights files refuse tensors that are not contiguous.
        """
        self.advance(self.steps)
        score = self.score()
        self._average.swap()
        lay_out(self.network, torch.contiguous_format)
        return score

    def rung(self, share: float) -> ProxyScore:
        """Evaluate the candidate at ``share`` of its whole training, and leave it ready to continue.

        So candidates are compared at equal schedule position. Copies that were annealed before they were
        evaluated cost a fifth more and ranked no better; their ``train_loss`` ranked better than their ``top1``
        (studies/proxy_fairness).
        """
        self.advance(rung_end(share, self.steps))
        return self.score()

    def advance(self, until: int, end: int | None = None) -> None:
        """Take the steps up to ``until``, in a training that ends at ``end`` (by default at its last step).

        An earlier ``end`` anneals under ``wsd``: take the ``state`` before, and ``load`` it to go on.

        Raises:
            FailedTrialError: the loss is no number, or the memory does not suffice.
        """
        start = time.monotonic()
        self.network.train()
        with self._own_randomness():
            catch_out_of_memory("train", self.batch, lambda: self._take(until, end))
        self.seconds += time.monotonic() - start

    def _take(self, until: int, end: int | None) -> None:
        for step in range(self.done, until):
            set_learning_rate(self._optimizer, learning_rate(step, self.steps, self._recipe, end))
            loss = self._step(self._plan.at(step))
            self._losses.add(loss, last=step == until - 1)
            self._average.update(step + 1)
            if self._on_step is not None:
                self._on_step(step + 1, self.steps, loss)

    def score(self) -> ProxyScore:
        """Evaluate the network as it is now, by its average weights if the recipe keeps them."""
        start = time.monotonic()
        with self._average.apply():
            top1, loss = catch_out_of_memory(
                "validate",
                256,
                lambda: evaluate(self.network, self._validation, self._normalisation, self._device, 256),
            )
        if not math.isfinite(loss):
            raise FailedTrialError("validate", f"loss is {loss} on {len(self._validation)} validation images")
        self.seconds += time.monotonic() - start
        curve = tenths(self._losses.finite)
        captured = getattr(self._step, "captured", None)
        return ProxyScore(top1, loss, curve[-1], self.done * self.batch, self.seconds, curve, captured)

    def state(self) -> dict[str, Tensor]:
        """All that the rest of the training depends on, as copies: weights, moments, means, generators, losses."""
        tensors = {name: tensor.detach() for name, tensor in self._state_tensors().items()}
        random = {f"random.{name}": state for name, state in self._random.items()}
        losses = torch.tensor(self._losses.finite, dtype=torch.float64)
        spent = torch.tensor(self.seconds, dtype=torch.float64)
        state = {**tensors, **random, "losses": losses, "seconds": spent}
        return {name: tensor.clone() for name, tensor in state.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore a ``state`` of this network under this recipe.

        Raises:
            ValueError: the names or shapes are not those of this network.
        """
        places = self._state_tensors()
        random = {f"random.{name}" for name in self._random}
        if state.keys() != places.keys() | random | {"losses", "seconds"}:
            raise ValueError(f"no state of this training: {sorted(state.keys() ^ places.keys())[:3]}")
        for name, place in places.items():
            if place.shape != state[name].shape:
                raise ValueError(f"{name} is {tuple(state[name].shape)} and not {tuple(place.shape)}")
        with torch.no_grad():
            for name, place in places.items():
                place.copy_(state[name])
        self._random = {name: state[f"random.{name}"].cpu().clone() for name in self._random}
        self._losses.finite[:] = state["losses"].tolist()
        self.seconds = float(state["seconds"])

    def _state_tensors(self) -> dict[str, Tensor]:
        """Every tensor that a step changes, by name."""
        places = {
            f"network.{name}": tensor for name, tensor in self.network.state_dict(keep_vars=True).items()
        }
        for name, parameter in self.network.named_parameters():
            for moment, tensor in self._optimizer.state.get(parameter, {}).items():
                places[f"optimiser.{moment}.{name}"] = tensor
        return places | {f"average.{name}": tensor for name, tensor in self._average.means.items()}

    @contextmanager
    def _own_randomness(self) -> Iterator[None]:
        """On the right GPU, dropout by the recipe's seed; torch's global generators are afterwards as they were."""
        on_gpu = self._device.type == "cuda"
        here = torch.cuda.device(self._device) if on_gpu else nullcontext()
        with here, torch.random.fork_rng([self._device] if on_gpu else []):
            torch.set_rng_state(self._random["cpu"])
            if on_gpu:
                torch.cuda.set_rng_state(self._random["cuda"], self._device)
            yield
            self._random = generators(self._device)


def seeded_generators(seed: int, device: torch.device) -> dict[str, Tensor]:
    """The states of new generators with this seed, by the type of their device."""
    devices = {torch.device("cpu"), device}
    return {one.type: torch.Generator(one).manual_seed(seed).get_state() for one in devices}


def generators(device: torch.device) -> dict[str, Tensor]:
    """The states of torch's generators that a training on ``device`` draws from."""
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


class Losses:
    """Losses that are read ten at a time: reading one makes the host wait for a GPU."""

    def __init__(self, steps: int, rate: float) -> None:
        self.finite: list[float] = []
        self._unread: list[Tensor] = []
        self._steps, self._rate = steps, rate

    def add(self, loss: Tensor, *, last: bool) -> None:
        """One more; the ``last`` before a stop is read at once.

        Raises:
            FailedTrialError: one of those read is no finite number.
        """
        self._unread.append(loss)
        if last or len(self._unread) == STEPS_BETWEEN_CHECKS:
            self._read()

    def _read(self) -> None:
        for loss in torch.stack(self._unread).tolist():
            if not math.isfinite(loss):
                at = f"step {len(self.finite) + 1} of {self._steps}, learning rate {self._rate:g}"
                raise FailedTrialError("train", f"loss is {loss} at {at}")
            self.finite.append(loss)
        self._unread.clear()


def tenths(losses: list[float]) -> tuple[float, ...]:
    """The mean loss of each tenth of the steps; with fewer than ten steps, some count more than once."""
    steps = len(losses)
    starts = [steps * point // CURVE_POINTS for point in range(CURVE_POINTS + 1)]
    parts = [losses[start : max(end, start + 1)] for start, end in itertools.pairwise(starts)]
    return tuple(sum(part) / len(part) for part in parts)


def lay_out(network: nn.Module, order: torch.memory_format) -> None:
    """The network's kernels in another order in memory, in place."""
    network.to(memory_format=order)  # type: ignore[call-overload]  # missing from torch's annotations


def catch_out_of_memory(phase: str, batch_size: int, work: Callable[[], Result]) -> Result:
    """What ``work`` gives; running out of memory loses the candidate and not the study."""
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # Raised out here, because the traceback of the first error keeps the memory from being freed.
    raise FailedTrialError(phase, f"out of memory with batches of {batch_size} images")


def is_out_of_memory(error: Exception) -> bool:
    """Whether torch or Python say so, in their several ways."""
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or any(words in str(error) for words in CPU_MEMORY_WORDS)
