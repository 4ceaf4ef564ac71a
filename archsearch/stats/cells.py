"""The cells of the map, as a search aims at them: fifths of globality, and of the logarithm of MACs."""

from collections.abc import Sequence

import numpy as np

GLOBALITY_CELLS = 5
SIZE_CELLS = 5


def cells_of(features: Sequence[tuple[float, ...]]) -> list[tuple[int, int]]:
    """The cell of each point, by its last feature (globality, in [0, 1]) and its first (the logarithm of its size).

    Sizes are cut into equal steps from the smallest to the largest point of ``features``.
    """
    sizes = np.array([point[0] for point in features], dtype=float)
    low, span = sizes.min(), np.ptp(sizes) or 1.0
    columns = np.minimum((SIZE_CELLS * (sizes - low) / span).astype(int), SIZE_CELLS - 1)
    rows = [min(int(GLOBALITY_CELLS * point[-1]), GLOBALITY_CELLS - 1) for point in features]
    return list(zip(rows, map(int, columns), strict=True))
