"""The Pareto front, and what follows from it: ranks, crowding, places.

Everything here is minimised: rows are candidates, columns objectives. Dominance itself is computed by moocore
(https://multi-objective.github.io/moocore/python/): exactly, in C, for any number of objectives.
"""

import moocore  # type: ignore[import-untyped]  # it ships no types
import numpy as np
from numpy.typing import NDArray

Costs = NDArray[np.float64]


def is_efficient(costs: Costs) -> NDArray[np.bool_]:
    """Whether each row is on the Pareto front: no other row is as good everywhere and better somewhere.

    Equal rows are, or are not, on it together.

    Raises:
        ValueError: a value is NaN, so that nothing can be said of its row.
    """
    return np.asarray(moocore.is_nondominated(refuse_nan(costs), keep_weakly=True), dtype=bool)


def refuse_nan(costs: Costs) -> Costs:
    """The same rows, if all have all values."""
    if np.isnan(costs).any():
        raise ValueError("a candidate without a value cannot be ranked")
    return costs


def front(costs: Costs) -> Costs:
    """The rows (n, m) on the Pareto front, in their order; of equal ones the first."""
    rows = costs[is_efficient(costs)]
    first = np.unique(rows, axis=0, return_index=True)[1]
    kept: Costs = rows[np.sort(first)]
    return kept


def ranks(costs: Costs) -> NDArray[np.int64]:
    """The non-dominated rank of each row, from 0 (Deb et al. 2002, IEEE TEVC 6:182, section III.A); refuses NaN too."""
    return np.asarray(moocore.pareto_rank(refuse_nan(costs)), dtype=np.int64)


def crowding(costs: Costs) -> NDArray[np.float64]:
    """How much room each row of one front has: the sides of the box between its neighbours (ibid., III.B).

    The outermost rows of each objective have infinite room. Rows that are equal there stand in the order of
    their other objectives, so the order in which they come decides between equal rows alone.
    """
    room = np.zeros(len(costs))
    for column in costs.T:
        order = np.lexsort((*costs.T[::-1], column))
        width = column[order[-1]] - column[order[0]]
        room[order[[0, -1]]] = np.inf
        if width > 0:
            room[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / width
    return room


def positions(costs: Costs) -> NDArray[np.int64]:
    """The place of each row from 0, the best: by rank, then by room, then by the objectives themselves.

    The order in which the rows come does not matter, unless rows are equal: then it decides between those.
    """
    rank = ranks(costs)
    room = np.zeros(len(costs))
    for level in range(int(rank.max(initial=-1)) + 1):
        room[rank == level] = crowding(costs[rank == level])
    order = np.lexsort((*costs.T[::-1], -room, rank))
    place = np.empty(len(costs), dtype=np.int64)
    place[order] = np.arange(len(costs))
    return place
