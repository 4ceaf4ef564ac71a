"""How good a set of candidates is: hypervolume, IGD+ and attainment, computed by moocore.

Objectives are compared in one normalised space, which is fixed by the union of all candidates that are compared:

    error, cost   accuracy counts as its error, linearly: what matters is the images that are won. A cost counts as
                  its log10: half the MACs is as much at 1 G as at 100 M, and one large candidate decides nothing.
    0             the best of each objective over the union (the ideal point).
    1             a tenth of the range beyond its worst (the reference point), worst over all trained candidates and
                  not over the front alone: every candidate lies inside, so a search counts from its first one, and
                  the extremes of the front enclose a volume as well.

Sources: hypervolume, Zitzler and Thiele 1998, https://doi.org/10.1007/BFb0056872; IGD+, Ishibuchi et al. 2015,
https://doi.org/10.1007/978-3-319-15892-1_8; moocore, https://multi-objective.github.io/moocore/python/.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import moocore  # type: ignore[import-untyped]  # it ships no types
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archsearch.objectives import objective_of
from archsearch.stats.pareto import front

Floats = NDArray[np.float64]

# The reference point lies a tenth of the range beyond the worst.
STRETCH = 1.1


@dataclass(frozen=True, eq=False)
class Indicators:
    """Quality indicators in the normalised space of a union of candidates.

    Attributes:
        objectives: names of the m objectives, in the order of the columns below.
        ideal: (m,) the best of each, as error or log10 of a cost.
        span: (m,) from there to the reference point; 1 where all candidates are equal, which then counts nothing.
        front: (k, m) the union's non-dominated points, normalised; equal ones once.
    """

    objectives: tuple[str, ...]
    ideal: Floats
    span: Floats
    front: Floats

    @classmethod
    def of(cls, union: pd.DataFrame, objectives: Sequence[str]) -> "Indicators":
        """The indicators for parts of ``union``, one row a candidate. ValueError if one cannot be ranked."""
        costs = cost_matrix(union, objectives)
        ideal, worst = costs.min(axis=0), costs.max(axis=0)
        span = np.where(worst > ideal, STRETCH * (worst - ideal), 1.0)
        return cls(tuple(objectives), ideal, span, front((costs - ideal) / span))

    def points(self, candidates: pd.DataFrame) -> Floats:
        """Candidates in the normalised space: (n, m), 0 the best and 1 the reference."""
        return (cost_matrix(candidates, self.objectives) - self.ideal) / self.span

    def hypervolume(self, candidates: pd.DataFrame) -> float:
        """The share of the space that the candidates weakly dominate, in [0, 1]; more is better."""
        return volume(self.points(candidates))

    def igd_plus(self, candidates: pd.DataFrame) -> float:
        """The mean distance by which they fall short of the union's front; less is better, 0 if they attain all of it.

        In units of a span. Only what is worse counts, so a better set never has the larger value. NaN of no candidates.
        """
        return shortfall(self.points(candidates), self.front)

    def attained(self, candidates: pd.DataFrame) -> float:
        """The share of the union's front that the candidates weakly dominate, in [0, 1].

        A measured latency is never the same twice: of two runs that both found an architecture, one attains it.
        """
        points = self.points(candidates)
        reached = (points[:, None] <= self.front[None]).all(axis=2).any(axis=0)
        return float(reached.mean())

    def lags(self, candidates: pd.DataFrame) -> Floats:
        """(n,) how far each candidate lies behind the union's front: the largest shortfall to its nearest point; 0 on it."""
        behind: Floats = (self.points(candidates)[:, None] - self.front[None]).max(axis=2).min(axis=1)
        return np.maximum(behind, 0.0)

    def history(self, candidates: pd.DataFrame) -> Iterator[tuple[float, float]]:
        """Hypervolume and IGD+ of the first candidate, of the first two, and so on."""
        best = np.empty((0, len(self.objectives)))
        for point in self.points(candidates):
            best = front(np.vstack([best, point]))
            yield volume(best), shortfall(best, self.front)


def cost_matrix(candidates: pd.DataFrame, objectives: Sequence[str]) -> Floats:
    """What is to be minimised, (n, m): the error of an accuracy, the log10 of a cost.

    Raises:
        ValueError: a value is missing, or a cost is not above 0.
    """
    values = candidates[list(objectives)].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    maximised = [objective_of(name).direction == "maximize" for name in objectives]
    with np.errstate(divide="ignore", invalid="ignore"):
        costs: Floats = np.where(maximised, 1 - values, np.log10(values))
    if not np.isfinite(costs).all():
        wrong = ", ".join(map(str, values[~np.isfinite(costs).all(axis=1)][0]))
        raise ValueError(
            f"a candidate with {', '.join(objectives)} of {wrong} cannot be ranked; costs are above 0"
        )
    return costs


def volume(points: Floats) -> float:
    """The hypervolume between points (n, m) and the reference point 1; 0 of no points."""
    return float(moocore.hypervolume(points, ref=1.0)) if len(points) else 0.0


def shortfall(points: Floats, reference: Floats) -> float:
    """IGD+ of points (n, m) to a front (k, m); NaN of no points."""
    return float(moocore.igd_plus(points, ref=reference)) if len(points) else float("nan")
