"""Which of several candidates are better than others where better means on every objective.

Everything here is minimised: rows are candidates, columns objectives.
"""

import numpy as np
from numpy.typing import NDArray

Costs = NDArray[np.float64]


def frontier(costs: Costs) -> NDArray[np.bool_]:
    """Whether each row is dominated by no other; equal rows are, or are not, together.

    Rows are visited from the best first objective on, ties by the next: none is dominated by a later one,
    so each is compared with the frontier so far alone (Kung et al. 1975, J. ACM 22:469).
    """
    order = np.lexsort(costs.T[::-1])
    kept = np.zeros(len(costs), dtype=bool)
    front: list[NDArray[np.float64]] = []
    for index in order:
        row = costs[index]
        beaten = bool(front) and dominated(row, np.stack(front))
        if not beaten:
            kept[index] = True
            front.append(row)
    return kept


def dominated(row: NDArray[np.float64], others: Costs) -> bool:
    """Whether any of ``others`` is at least as good everywhere and better somewhere."""
    return bool(((others <= row).all(axis=1) & (others < row).any(axis=1)).any())


def ranks(costs: Costs, enough: int | None = None) -> NDArray[np.int64]:
    """The non-dominated rank of each row, from 0 (Deb et al. 2002, IEEE TEVC 6:182, section III.A).

    Ranks beyond the first ``enough`` rows are not told apart: they all get the next one.
    """
    rank = np.zeros(len(costs), dtype=np.int64)
    left = np.arange(len(costs))
    level = 0
    while len(left) and (enough is None or len(costs) - len(left) < enough):
        front = frontier(costs[left])
        rank[left[front]] = level
        left = left[~front]
        level += 1
    rank[left] = level
    return rank


def crowding(costs: Costs) -> NDArray[np.float64]:
    """How much room each row of one front has: the sides of the box between its neighbours (ibid., III.B).

    The outermost rows of each objective have infinite room.
    """
    room = np.zeros(len(costs))
    for column in costs.T:
        order = np.argsort(column, kind="stable")
        width = column[order[-1]] - column[order[0]]
        room[order[[0, -1]]] = np.inf
        if width > 0:
            room[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / width
    return room


def positions(costs: Costs) -> NDArray[np.int64]:
    """The place of each row from 0, the best: by rank, then by room, then by the objectives themselves.

    The order in which the rows come does not matter, unless rows are equal: then the earlier one is first.
    """
    rank = ranks(costs)
    room = np.zeros(len(costs))
    for level in range(int(rank.max(initial=-1)) + 1):
        room[rank == level] = crowding(costs[rank == level])
    order = np.lexsort((*costs.T[::-1], -room, rank))
    place = np.empty(len(costs), dtype=np.int64)
    place[order] = np.arange(len(costs))
    return place
