"""How good a search is after a number of training samples: the hypervolume of what it has finished by then."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import moocore
import numpy as np
from numpy.typing import NDArray

from archsearch.stats.pareto import is_efficient
from studies.search_tables.tables import Point, Table

REFERENCE = 1.1

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Finished:
    """One training that went to its end, and the samples that all trainings had seen by then."""

    samples: float
    point: str
    top1: float
    cost: float


@dataclass(frozen=True)
class Scale:
    """Error and log10 of the cost, so that the known front of a table spans [0, 1] in both.

    The front is that of the whole table, or of the many random points that it calls known. The reference point
    is 1.1 in both: what is worse than the front's own extremes hardly counts.
    """

    ideal: Array
    nadir: Array

    def hypervolume(self, finished: Sequence[Finished]) -> float:
        """Area that the trainings dominate; 1.21 would be a network without error at no cost."""
        if not finished:
            return 0.0
        objectives = np.array([(1 - f.top1, np.log10(f.cost)) for f in finished])
        normalised = (objectives - self.ideal) / (self.nadir - self.ideal)
        return float(moocore.hypervolume(normalised, ref=[REFERENCE, REFERENCE]))


def scale_of(table: Table) -> Scale:
    """Ideal and nadir of the front of what is known."""
    objectives = np.array([objectives_of(table, point) for point in table.known()])
    front = objectives[is_efficient(objectives)]
    return Scale(front.min(axis=0), front.max(axis=0))


def objectives_of(table: Table, point: Point) -> tuple[float, float]:
    """True error and log10 of the cost."""
    return 1 - table.final(point), float(np.log10(table.costs(point)[0]))


def finish(table: Table, point: Point, samples: float) -> Finished:
    """A line of a trace."""
    return Finished(samples, point.id, table.final(point), table.costs(point)[0])


@dataclass(frozen=True)
class Step:
    """The hypervolume after some samples, and how many trainings had been finished by then."""

    samples: float
    finished: int
    hypervolume: float


def steps(trace: Sequence[Finished], scale: Scale, budget: float) -> list[Step]:
    """One step wherever a training made the hypervolume grow, and one where the budget ends."""
    found = [Step(0.0, 0, 0.0)]
    found += [Step(f.samples, n, scale.hypervolume(trace[:n])) for n, f in enumerate(trace, 1)]
    grown = [step for before, step in pairwise(found) if step.hypervolume > before.hypervolume]
    return [*grown, Step(budget, len(trace), found[-1].hypervolume)]
