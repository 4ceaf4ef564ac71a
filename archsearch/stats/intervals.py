"""Intervals of 95 %: of a mean by Student's t, of a share by Wilson's score."""

import math
import statistics
from collections.abc import Sequence

from scipy.special import stdtrit

CONFIDENCE = 0.95


def half_interval(deviation: float, degrees: int, count: int) -> float:
    """Half the 95 % interval of a mean of ``count`` values, by Student's t with the degrees that ``deviation`` has."""
    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2)) * deviation / math.sqrt(count)


def mean_interval(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """The mean and the ends of its 95 % interval, as far as they exist: no mean of nothing, no ends below two values."""
    mean, deviation = mean_and_deviation(values)
    if mean is None or deviation is None:
        return mean, None, None
    half = half_interval(deviation, len(values) - 1, len(values))
    return mean, mean - half, mean + half


def mean_and_deviation(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and standard deviation (n - 1), as far as they exist."""
    mean = statistics.fmean(values) if values else None
    return mean, statistics.stdev(values) if len(values) > 1 else None


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22:209)."""
    z = 1.96
    share, scale = hits / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    margin = z / scale * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - margin), min(1.0, middle + margin)
