"""What a search knows: one entry a candidate, whatever it is kept in.

The search reads this and nothing else, so a proposal and a promotion are functions of the seed, the
slot and what is known: a study in a database, a table in memory and a simulation are searched alike.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import numpy as np

# Of candidates that have been read at a rung and at the end: fewer say nothing of how the two hang together.
FEWEST_PAIRS = 3

State = Literal["running", "paused", "trained", "stopped", "infeasible", "failed"]


@dataclass(frozen=True)
class Reading:
    """What is read of a training at a rung, or at its end.

    Attributes:
        top1: share of validation images classified right.
        train_loss: cross-entropy over the last training images, nats; None if nobody tells.
    """

    top1: float
    train_loss: float | None = None


@dataclass(frozen=True)
class Observation:
    """One candidate.

    Attributes:
        slot: its place in the budget, from 0.
        identity: the same for equal architectures, whatever answers led to them.
        answers: what was chosen, by parameter name, in the order in which it was asked.
        choices: what could have been chosen, for the same names.
        family: the group within which it is compared at a rung; such as the family of an architecture.
        state: ``running`` in some process; ``paused`` at a rung; ``trained`` to the end; ``stopped`` at a
            rung for good; ``infeasible``; ``failed``.
        costs: the objectives beside accuracy, all minimised, in the order of the study; None where one
            is not measured yet.
        readings: rung by rung; of a trained candidate the last one is the end of its training.
        excess: cost minus limit, by limit; above 0 means too much.
        features: what else is known of it, such as its MACs; as many numbers for every candidate of a search.
    """

    slot: int
    identity: str
    answers: Mapping[str, Any]
    choices: Mapping[str, tuple[Any, ...]]
    family: str
    state: State
    costs: tuple[float | None, ...] = ()
    readings: tuple[Reading, ...] = ()
    excess: Mapping[str, float] | None = None
    features: tuple[float, ...] = ()

    @property
    def top1(self) -> float | None:
        """The accuracy at the end of its training."""
        return self.readings[-1].top1 if self.state == "trained" else None


def features_of(macs: float, params: float, activations: float, globality: float) -> tuple[float, ...]:
    """What a model of accuracy and latency knows of an architecture beside its choices.

    The logarithms of MACs, trainable parameters and activations; then globality.
    """
    return (math.log10(macs), math.log10(params), math.log10(activations), globality)


@dataclass(frozen=True)
class TrainingRow:
    """What a sampler learns from one candidate: a row without holes.

    Attributes:
        top1: measured at the end, or expected; see ``training_rows``.
        costs: measured; the median of the others where one is not known.
        excess: cost minus limit, by limit; empty without limits.
    """

    observation: Observation
    top1: float
    costs: tuple[float, ...]
    excess: Mapping[str, float]

    @property
    def feasible(self) -> bool:
        """Whether every limit is kept."""
        return all(excess <= 0 for excess in self.excess.values())


def training_rows(observations: Sequence[Observation]) -> list[TrainingRow]:
    """Everything that can be learned from them, in the order of the slots.

    A trained candidate teaches its accuracy. One that was read at a rung teaches the accuracy that is to
    be expected of it (``forecast_top1``). One that is running, or infeasible, teaches its costs and the median
    accuracy: a sampler that is told so does not propose its neighbourhood again at once (the constant
    liar of Ginsbourger et al. 2010). One that failed teaches nothing.
    """
    # Sorted first: sums are rounded differently in another order.
    known = sorted((k for k in observations if k.state != "failed"), key=lambda k: k.slot)
    trained = [k.readings[-1].top1 for k in known if k.state == "trained"]
    if not trained and not any(k.readings for k in known):
        return []
    forecasts = forecast_top1(known)
    middle = median(trained or list(forecasts.values()))
    middles = middle_costs(known)
    rows = []
    for k in known:
        top1 = k.top1 if k.top1 is not None else forecasts.get(k.slot, middle)
        if k.state == "infeasible":
            top1 = middle
        costs = tuple(m if c is None else c for c, m in zip(k.costs or middles, middles, strict=True))
        rows.append(TrainingRow(k, top1, costs, k.excess or {}))
    return rows


def middle_costs(observations: Sequence[Observation]) -> tuple[float, ...]:
    """The median of each cost, over the candidates that have it."""
    columns = zip(*(k.costs for k in observations if k.costs), strict=True)
    return tuple(median([c for c in column if c is not None] or [1.0]) for column in columns)


def forecast_top1(observations: Sequence[Observation]) -> dict[int, float]:
    """Forecasts of the accuracy at the end, by slot, of the candidates that were read at a rung.

    A straight line from what was read at the rung to the accuracy at the end, by least squares over the
    candidates that have both; with fewer than three of them the accuracy at the rung stands as it is. What
    was read is the accuracy or the training loss, whichever has followed the end more closely so far: on
    CIFAR-10 that is the loss, by far; elsewhere it may be the other.
    """
    whole = [k for k in observations if k.state == "trained"]
    lines: dict[int, Line] = {}
    forecasts = {}
    for k in observations:
        if k.state != "trained" and k.readings:
            rung = len(k.readings) - 1
            if rung not in lines:
                pairs = [(w.readings[rung], w.readings[-1].top1) for w in whole if len(w.readings) > rung + 1]
                lines[rung] = Line.through(pairs)
            forecasts[k.slot] = lines[rung].at(k.readings[-1])
    return forecasts


@dataclass(frozen=True)
class Line:
    """From a reading to the accuracy at the end: by its accuracy, or by its training loss."""

    slope: float = 1.0
    level: float = 0.0
    by_loss: bool = False

    @classmethod
    def through(cls, pairs: Sequence[tuple[Reading, float]]) -> "Line":
        """The line that follows ``pairs`` most closely; the accuracy as it is where there are too few."""
        if len(pairs) < FEWEST_PAIRS:
            return cls()
        lines = [cls.fit(pairs, by_loss=False)]
        if all(reading.train_loss is not None for reading, _ in pairs):
            lines.append(cls.fit(pairs, by_loss=True))
        return min(lines, key=lambda line: sum((line.at(reading) - end) ** 2 for reading, end in pairs))

    @classmethod
    def fit(cls, pairs: Sequence[tuple[Reading, float]], *, by_loss: bool) -> "Line":
        """By least squares; level where the end would fall with the accuracy, or rise with the loss."""
        x = np.array([cls(by_loss=by_loss).read(reading) for reading, _ in pairs])
        y = np.array([end for _, end in pairs])
        if np.ptp(x) == 0:
            return cls(0.0, float(y.mean()), by_loss)
        slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
        slope = min(0.0, slope) if by_loss else max(0.0, slope)
        return cls(slope, float(y.mean() - slope * x.mean()), by_loss)

    def read(self, reading: Reading) -> float:
        """What the line goes by; no number where it is not known."""
        if not self.by_loss:
            return reading.top1
        return reading.train_loss if reading.train_loss is not None else math.nan

    def at(self, reading: Reading) -> float:
        """The accuracy to be expected, in [0, 1]."""
        value = self.level + self.slope * self.read(reading)
        return float(np.clip(value if math.isfinite(value) else reading.top1, 0.0, 1.0))
