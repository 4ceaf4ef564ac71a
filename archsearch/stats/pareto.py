"""Which of several candidates are better than others where better means on every objective.

Everything here is minimised: rows are candidates, columns objectives.
"""

import numpy as np
from numpy.typing import NDArray

Costs = NDArray[np.float64]


def frontier(costs: Costs) -> NDArray[np.bool_]:
    """Whether each row is dominated by no other; equal rows are, or are not, together."""
    rows, place = np.unique(costs, axis=0, return_inverse=True)
    kept = staircase(rows) if rows.shape[1] <= 2 else undominated(rows)
    return kept[place.reshape(-1)]


def staircase(rows: Costs) -> NDArray[np.bool_]:
    """The frontier of distinct rows in rising order of one or two objectives: the last one is below all before it."""
    before = np.minimum.accumulate(np.append(np.inf, rows[:-1, -1]))
    return np.asarray(rows[:, -1] < before)


def undominated(rows: Costs) -> NDArray[np.bool_]:
    """The frontier of distinct rows in rising order of the first objective, then of the next.

    None is dominated by a later one, so each is compared with the frontier so far alone (Kung et al. 1975,
    J. ACM 22:469).
    """
    kept = np.zeros(len(rows), dtype=bool)
    front = np.empty_like(rows)
    count = 0
    for index, row in enumerate(rows):
        if not dominated(row, front[:count]):
            kept[index] = True
            front[count] = row
            count += 1
    return kept


def dominated(row: NDArray[np.float64], others: Costs) -> bool:
    """Whether any of ``others`` is at least as good everywhere and better somewhere."""
    return bool(((others <= row).all(axis=1) & (others < row).any(axis=1)).any())


def ranks(costs: Costs, enough: int | None = None) -> NDArray[np.int64]:
    """The non-dominated rank of each row, from 0 (Deb et al. 2002, IEEE TEVC 6:182, section III.A).

    Ranks beyond the first ``enough`` rows are not told apart: they all get the next one.
    """
    if costs.shape[1] == 1:
        return ranks_of_one(costs[:, 0], enough)
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


def ranks_of_one(costs: NDArray[np.float64], enough: int | None) -> NDArray[np.int64]:
    """The same of one objective: each distinct value is a rank."""
    rank = np.unique(costs, return_inverse=True)[1].reshape(-1).astype(np.int64)
    if enough is not None:
        levels = int(np.searchsorted(np.cumsum(np.bincount(rank)), enough)) + 1 if enough > 0 else 0
        rank = np.minimum(rank, levels)
    return rank


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
