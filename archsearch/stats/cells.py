"""The cells of the map: fifths of globality, and equal steps of the logarithm of the study's cost.

The one grid: a search that fills the map (``search.samplers.fill_map``) aims at the cells that the map
(``results.map``) shows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

GLOBALITY_CELLS = 5
COST_CELLS = 5


@dataclass(frozen=True, eq=False)
class Grid:
    """The cells by their edges: globality from 0 to 1, cost from the cheapest to the dearest candidate."""

    globality: NDArray[np.float64]
    cost: NDArray[np.float64]

    @classmethod
    def of(cls, costs: ArrayLike) -> "Grid":
        """The grid for trained candidates of these costs; one column of cells where they are all equal."""
        known = np.asarray(costs, dtype=float)
        low, high = (float(known.min()), float(known.max())) if len(known) else (1.0, 1.0)
        edges = np.geomspace(low, high, (COST_CELLS if high > low else 1) + 1)
        # Rounded on the way there and back, the ends would leave the extreme candidates outside.
        edges[0], edges[-1] = low, high
        return cls(np.arange(GLOBALITY_CELLS + 1) / GLOBALITY_CELLS, edges)

    @property
    def cells(self) -> int:
        """How many."""
        return (len(self.globality) - 1) * (len(self.cost) - 1)

    def place(self, globality: float, cost: float) -> tuple[int, int]:
        """Row and column of a candidate's cell.

        What lies on an edge belongs to the cell above it, the last edge apart. A candidate that is cheaper
        or dearer than the grid belongs to the outermost cells.
        """
        return place_on(self.globality, globality), place_on(self.cost, cost)


def place_on(edges: NDArray[np.float64], value: float) -> int:
    """The interval of ``edges`` in which ``value`` lies."""
    index = int(np.searchsorted(edges, value, side="right")) - 1
    return min(max(index, 0), len(edges) - 2)
