"""Which candidates are promoted from a rung: asynchronous successive halving by non-dominated rank, within families.

Li et al. 2020 (A system for massively parallel hyperparameter tuning, MLSys, algorithm 2) for many
objectives: at each rung the best share of a family is promoted, best by non-dominated rank on (error, costs),
within a rank by crowding distance. Costs do not change from rung to rung, the error does. Compared with
others, families that start slowly would all end at the first rung. A random share is promoted regardless: it
shows, afterwards, how well the rungs rank.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from archsearch.search.observations import Observation
from archsearch.stats.pareto import positions


@dataclass(frozen=True)
class SuccessiveHalving:
    """The rungs of a search.

    Attributes:
        shares: of the whole training, rising, each below 1; the end of the training is no rung.
        reduction_factor: at each rung, one in so many of a family is promoted.
        random_promotion: the share of the candidates that is promoted whatever its rank; 0 to 1.
        seed: decides which those are.
    """

    shares: tuple[float, ...]
    reduction_factor: int = 3
    random_promotion: float = 0.1
    seed: int = 0

    def promotes_by_chance(self, slot: int, rung: int) -> bool:
        """Whether the candidate of this slot is promoted from this rung by chance: a function of the seed alone."""
        digest = hashlib.sha256(f"audit:{self.seed}:{slot}:{rung}".encode()).digest()
        return int.from_bytes(digest[:8], "big") < self.random_promotion * 2**64

    def quota(self, entries: int, *, complete: bool) -> int:
        """How many of ``entries`` at a rung are promoted: rounded up once no other can arrive, down before."""
        share = entries / self.reduction_factor
        return math.ceil(share) if complete else math.floor(share)


@dataclass(frozen=True)
class Rung:
    """The candidates of one family that were read at one rung, in the order of their slots."""

    number: int
    entries: tuple[Observation, ...]
    complete: bool

    def errors(self) -> np.ndarray:
        """What the candidates are compared by beside their costs: lower is better.

        The training loss if all have one. At a third of the training it ranked 64 candidates as their final
        accuracy does with a Kendall tau of 0.76, accuracy itself with 0.60 (``studies/proxy_fairness``).
        """
        readings = [entry.readings[self.number] for entry in self.entries]
        losses = [reading.train_loss for reading in readings]
        if all(loss is not None for loss in losses):
            return np.array(losses, dtype=float)
        return np.array([1 - reading.top1 for reading in readings])

    def promotions(self, halving: SuccessiveHalving) -> dict[int, bool]:
        """The slots that are promoted from here, and whether by chance alone."""
        costs = np.array([entry.costs for entry in self.entries], dtype=float)
        places = positions(np.column_stack([self.errors(), costs]))
        quota = halving.quota(len(self.entries), complete=self.complete)
        by_place = {e.slot for e, place in zip(self.entries, places, strict=True) if place < quota}
        by_chance = {e.slot for e in self.entries if halving.promotes_by_chance(e.slot, self.number)}
        return {slot: slot not in by_place for slot in sorted(by_place | by_chance)}

    def waiting(self, halving: SuccessiveHalving) -> dict[int, bool]:
        """Those of them that are still paused here."""
        paused = {e.slot for e in self.entries if e.state == "paused" and len(e.readings) == self.number + 1}
        if not paused:
            return {}
        return {slot: chance for slot, chance in self.promotions(halving).items() if slot in paused}


def rungs(
    observations: Sequence[Observation], halving: SuccessiveHalving, *, more_to_come: bool
) -> Iterator[Rung]:
    """Every family of every rung, from the first rung up.

    A rung is complete when no candidate can still arrive at it: none is to be started or on its way there,
    and the rung before has no promotion left to make.
    """
    families = sorted({k.family for k in observations})
    complete = not more_to_come
    for number in range(len(halving.shares)):
        complete &= not any(k.state == "running" and len(k.readings) == number for k in observations)
        sent_on = True
        for family in families:
            entries = [k for k in observations if k.family == family and arrived(k, number)]
            if entries:
                rung = Rung(number, tuple(sorted(entries, key=lambda k: k.slot)), complete)
                sent_on &= not rung.waiting(halving)
                yield rung
        complete &= sent_on


def arrived(candidate: Observation, rung: int) -> bool:
    """Whether it was read at this rung, and still counts: one that failed later on is nobody's rival."""
    return len(candidate.readings) > rung and candidate.state not in ("failed", "infeasible")


def next_promotion(
    observations: Sequence[Observation], halving: SuccessiveHalving, *, more_to_come: bool
) -> tuple[int, bool] | None:
    """The slot to promote next, and whether by chance alone; None if there is none for now.

    The highest rung is served first. ``more_to_come`` says whether candidates are still to be started. Once
    none is, and none is running, the paused ones that are left stay where they are.
    """
    waiting = [rung.waiting(halving) for rung in rungs(observations, halving, more_to_come=more_to_come)]
    return next((choice for found in reversed(waiting) for choice in found.items()), None)
