"""Where a network stands between local and global, by its structure alone.

For a spatial mixer with influence K(u, v) over an h x w grid, its reach is

    mean over u of  (sum_v K(u, v) d(u, v) / sum_v K(u, v)) / (mean over v of d(u, v)),   at most 1,

with the Euclidean distance d: how far information travels in one step, against how far there is to go.
A window is taken as uniform and cut off at the border; so is attention, whose reach is 1 where its window
covers the map, an upper bound that needs no weights. On a map of one place nothing mixes, and reach is 0. The form follows the range measure of Bamberger et al. 2025 (ICML, "On
measuring long-range interactions in graph neural networks"), normalised by the grid.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from archsearch.architecture import Architecture
from archsearch.families import family_of
from archsearch.stages import Mixer


def globality(architecture: Architecture) -> float:
    """Mean reach over the spatial mixers, in [0, 1]: 0 mixes nothing, 1 mixes globally everywhere.

    Convolutions wider than 1x1, attentions and soft splits count once each; 1x1 convolutions, channel
    MLPs and poolings do not. A 3x3 convolution reaches 0.038 of a 56x56 map and 0.29 of a 7x7 map.
    """
    return mean_reach([mixer for _, mixer in architecture.mixers()])


def mean_reach(mixers: Sequence[Mixer]) -> float:
    """Mean reach of some mixers, in [0, 1]; 0 for none."""
    return sum(map(reach, mixers)) / len(mixers) if mixers else 0.0


def global_depth(architecture: Architecture) -> float | None:
    """Where the global mixers sit on average: 0 first mixer, 1 last one; None if there are none."""
    mixers = [mixer for _, mixer in architecture.mixers()]
    places = [index for index, mixer in enumerate(mixers) if mixer.is_global]
    if not places:
        return None
    return sum(places) / len(places) / (len(mixers) - 1) if len(mixers) > 1 else 1.0


def global_tokens(architecture: Architecture) -> int | None:
    """Tokens of the first grid that is mixed globally; None if there is none."""
    grids = (m.height * m.width for _, m in architecture.mixers() if m.is_global)
    return next(grids, None)


def family(architecture: Architecture) -> str:
    """``all-local``, ``global-from-K`` (stages local before K, global from it on), ``all-global`` or ``mixed``.

    Named by the stages; a stem changes no family.
    """
    _, *stages = architecture.placed()
    return family_of([stage.mixing(shape) == "global" for _, stage, shape in stages])


def reach(mixer: Mixer) -> float:
    """Reach of one mixer on its grid, in [0, 1]: 1 if it is global, 0 for a window or a map of one place."""
    if mixer.height == mixer.width == 1:
        return 0.0
    if mixer.is_global or mixer.window is None:
        return 1.0
    return window_reach(mixer.height, mixer.width, mixer.window)


@lru_cache(maxsize=4_096)
def window_reach(height: int, width: int, window: int) -> float:
    """Reach of a uniform ``window`` x ``window`` on a map of several places, in [0, 1]; an even one leans down and right."""
    before, after = (window - 1) // 2, window // 2
    in_window = mean_distances(height, width, before, after)
    everywhere = mean_distances(height, width, max(height, width), max(height, width))
    return float((in_window / everywhere).mean())


def mean_distances(height: int, width: int, before: int, after: int) -> NDArray[np.float64]:
    """``(height, width)``: mean distance from each place to those of its window that lie on the grid.

    The window spans ``before`` places up and left and ``after`` down and right. Its sum is read off a
    table of prefix sums over all offsets, so that the cost does not grow with the window.
    """
    rows, columns = np.arange(1 - height, height), np.arange(1 - width, width)
    distances = np.hypot(rows[:, None], columns[None, :])
    prefix = np.pad(distances, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    top, bottom = span(height, before, after)
    left, right = (side[None, :] for side in span(width, before, after))
    top, bottom = top[:, None], bottom[:, None]
    total = prefix[bottom, right] - prefix[top, right] - prefix[bottom, left] + prefix[top, left]
    return np.asarray(total / ((bottom - top) * (right - left)), dtype=np.float64)


def span(size: int, before: int, after: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and one-past-last index, in the table of offsets, of each place's window on an axis."""
    place = np.arange(size)
    first = -np.minimum(place, before) + size - 1
    last = np.minimum(size - 1 - place, after) + size - 1
    return first, last + 1
