"""What a search knows: one entry a candidate, whatever it is kept in.

The search reads this and nothing else, so a proposal and a promotion are functions of the seed, the
slot and what is known: a study in a database, a table in memory and a simulation are searched alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import numpy as np

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
class Known:
    """One candidate.

    Attributes:
        slot: its place in the budget, from 0.
        identity: the same for equal architectures, whatever answers led to them.
        answers: what was chosen, by parameter name, in the order in which it was asked.
        choices: what could have been chosen, for the same names.
        stratum: the group within which it is compared at a rung.
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
    stratum: str
    state: State
    costs: tuple[float | None, ...] = ()
    readings: tuple[Reading, ...] = ()
    excess: Mapping[str, float] | None = None
    features: tuple[float, ...] = ()

    @property
    def top1(self) -> float | None:
        """The accuracy at the end of its training."""
        return self.readings[-1].top1 if self.state == "trained" else None


@dataclass(frozen=True)
class Lesson:
    """What a sampler learns from one candidate: a row without holes.

    Attributes:
        top1: measured at the end, or expected; see ``lessons``.
        costs: measured; the median of the others where one is not known.
        over: the excess of the limits that are exceeded or kept, by limit; empty without limits.
        certain: whether the candidate was trained to the end.
    """

    known: Known
    top1: float
    costs: tuple[float, ...]
    over: Mapping[str, float]
    certain: bool

    @property
    def feasible(self) -> bool:
        """Whether every limit is kept."""
        return all(excess <= 0 for excess in self.over.values())


def lessons(known: Sequence[Known]) -> list[Lesson]:
    """Everything that can be learned from ``known``, in the order of the slots.

    A trained candidate teaches its accuracy. One that was read at a rung teaches the accuracy that is to
    be expected of it (``expected``). One that is running, or infeasible, teaches its costs and the median
    accuracy: a sampler that is told so does not propose its neighbourhood again at once (the constant
    liar of Ginsbourger et al. 2010). One that failed teaches nothing.
    """
    trained = [k.readings[-1].top1 for k in known if k.state == "trained"]
    if not trained and not any(k.readings for k in known):
        return []
    forecasts = expected(known)
    middle = median(trained or list(forecasts.values()))
    middles = middle_costs(known)
    rows = []
    for k in sorted(known, key=lambda k: k.slot):
        if k.state == "failed":
            continue
        top1 = k.top1 if k.top1 is not None else forecasts.get(k.slot, middle)
        if k.state == "infeasible":
            top1 = middle
        costs = tuple(m if c is None else c for c, m in zip(k.costs or middles, middles, strict=True))
        rows.append(Lesson(k, top1, costs, dict(k.excess or {}), k.state == "trained"))
    return rows


def middle_costs(known: Sequence[Known]) -> tuple[float, ...]:
    """The median of each cost, over the candidates that have it."""
    columns = zip(*(k.costs for k in known if k.costs), strict=True)
    return tuple(median([c for c in column if c is not None] or [1.0]) for column in columns)


def expected(known: Sequence[Known]) -> dict[int, float]:
    """The accuracy to be expected at the end, by slot, of the candidates that were read at a rung.

    A straight line from the accuracy at the rung to that at the end, by least squares over the candidates
    that have both, never falling; with fewer than three of them the accuracy at the rung stands as it is.
    """
    pairs: dict[int, list[tuple[float, float]]] = {}
    for k in known:
        if k.state == "trained":
            for rung, reading in enumerate(k.readings[:-1]):
                pairs.setdefault(rung, []).append((reading.top1, k.readings[-1].top1))
    lines = {rung: line(both) for rung, both in pairs.items()}
    waiting = [k for k in known if k.state != "trained" and k.readings]
    forecasts = {}
    for k in waiting:
        slope, level = lines.get(len(k.readings) - 1, (1.0, 0.0))
        forecasts[k.slot] = float(np.clip(slope * k.readings[-1].top1 + level, 0.0, 1.0))
    return forecasts


def line(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope and level of the line through ``pairs``; the identity where there are too few of them."""
    x, y = np.array(pairs, dtype=float).T
    if len(pairs) < 3 or np.ptp(x) == 0:
        return 1.0, 0.0
    slope = max(0.0, float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()))
    return slope, float(y.mean() - slope * x.mean())
