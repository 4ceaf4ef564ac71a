"""How alike two columns rank the same candidates, and how sure that is: tau-b, rho, and either at a fixed third column.

A statistic is an array: its first entry is that of the candidates as they are, each other one that of a
resample of them. So statistics of the same ``resamples`` may be subtracted, or combined by ``partial``, entry by
entry; ``estimate`` gives the value and its interval.

Sources: Kendall 1945, doi:10.1093/biomet/33.3.239 (tau-b); Spearman 1904, doi:10.2307/1412159 (rho);
Kendall 1942, doi:10.1093/biomet/32.3-4.277 (partial tau); Efron 1979, doi:10.1214/aos/1176344552 (bootstrap).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Weights = NDArray[np.float32]
Method = Literal["kendall", "spearman"]

RESAMPLES = 2_000
FEWEST = 5
TAILS = (0.025, 0.975)
# Rows of a sign matrix that are multiplied at once: enough for a fast product, few enough for the memory.
ROWS = 128
# Entries of an array of ranks: half a MiB, which a processor's cache holds until it is asked for again.
ENTRIES = 2**16


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % percentile bootstrap interval; all NaN where it is not defined."""

    value: float
    low: float
    high: float


def rank_correlation(x: ArrayLike, y: ArrayLike, *, method: Method = "kendall", seed: int = 0) -> Estimate:
    """Tau-b or rho of two columns (n,), over 2,000 resamples of the candidates.

    NaN below five candidates, or where a column does not vary. The same columns and seed give the same interval.

    Raises:
        ValueError: columns of different lengths, or values that are not finite.
    """
    weights = resamples(np.size(x), seed=seed)
    return estimate(correlations(x, y, weights, method=method))


def rho(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rho of two columns (n,), without an interval; NaN where one of them does not vary.

    Raises:
        ValueError: columns of different lengths, or values that are not finite.
    """
    everyone = resamples(np.size(x), times=0)
    return float(spearman(ranked(x, everyone), ranked(y, everyone), everyone)[0])


def resamples(candidates: int, *, times: int = RESAMPLES, seed: int = 0) -> Weights:
    """How often each candidate is in each resample, (candidates, 1 + times); the first has everyone once."""
    generator = np.random.default_rng(seed)
    weights = np.ones((candidates, 1 + times), dtype=np.float32)
    for part in chunks(weights[:, 1:]):
        size = part.shape[1]
        # Each resample counts in bins of its own.
        drawn = generator.integers(candidates, size=(size, candidates)) * size + np.arange(size)[:, None]
        part[:] = np.bincount(drawn.ravel(), minlength=part.size).reshape(part.shape)
    return weights


def estimate(values: Floats) -> Estimate:
    """The first entry, and the 2.5 and 97.5 percentiles of the others that are defined."""
    defined = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]) or not len(defined):
        return Estimate(math.nan, math.nan, math.nan)
    low, high = np.quantile(defined, TAILS)
    return Estimate(float(values[0]), float(low), float(high))


def correlations(x: ArrayLike, y: ArrayLike, weights: Weights, *, method: Method = "kendall") -> Floats:
    """Tau-b or rho of columns (n,) in every resample of ``weights`` (n, R); NaN where it is not defined."""
    a, b = ranked(x, weights), ranked(y, weights)
    if len(weights) < FEWEST:
        return np.full(weights.shape[1], math.nan)
    return kendall(a, b, weights) if method == "kendall" else spearman(a, b, weights)


def partial(xy: Floats, xz: Floats, yz: Floats) -> Floats:
    """The first-order partial of correlations: of x and y at a fixed z; NaN where z ranks exactly as x or y.

    ``(xy - xz yz) / sqrt((1 - xz^2) (1 - yz^2))``, for rho as for Pearson's r, for tau by Kendall 1942.
    """
    return ratio(xy - xz * yz, (1 - xz**2) * (1 - yz**2))


@dataclass(frozen=True)
class Ranked:
    """A column by what matters of it.

    Attributes:
        places: (n,) the place of each candidate's value among the different values, from 0.
        order: (n,) the candidates by their values.
        last: (G,) where in that order the last candidate of each different value stands.
    """

    places: NDArray[np.intp]
    order: NDArray[np.intp]
    last: NDArray[np.intp]

    def up_to(self, weights: Weights) -> Floats:
        """How many of each resample have each value or a lower one: (n, R) to (G, R)."""
        summed: Floats = np.cumsum(weights[self.order], axis=0, dtype=np.float64)
        return summed if len(self.last) == len(summed) else summed[self.last]

    def untied(self, weights: Weights) -> Floats:
        """Ordered pairs of different values in each resample: (n, R) to (R,)."""
        tallies = steps(self.up_to(weights))
        tied: Floats = np.einsum("gr,gr->r", tallies, tallies)
        return len(weights) ** 2 - tied

    def midranks(self, weights: Weights) -> Floats:
        """The rank of each candidate in each resample less the mean rank, equals sharing theirs: (n, R) to (n, R)."""
        up_to = self.up_to(weights)
        # Half the sum of the first and the last rank of a value, less (n + 1) / 2.
        centred: Floats = up_to - (steps(up_to) + len(weights)) / 2
        return centred[self.places]


def steps(summed: Floats) -> Floats:
    """What was summed along the first axis, again."""
    tallies: Floats = np.diff(summed, axis=0, prepend=0)
    return tallies


def ranked(column: ArrayLike, weights: Weights) -> Ranked:
    """A column (n,) of the candidates of ``weights`` (n, R). ValueError if it cannot be ranked."""
    values = np.asarray(column, dtype=np.float64)
    if values.shape != weights.shape[:1] or not np.isfinite(values).all():
        raise ValueError(f"{len(weights)} finite values were expected, and {values} given")
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return Ranked(places, np.argsort(places, kind="stable"), np.cumsum(counts) - 1)


def kendall(x: Ranked, y: Ranked, weights: Weights) -> Floats:
    """Tau-b in each resample (n, R) to (R,): concordant less discordant pairs over untied ones.

    A candidate that was drawn twice is tied with itself in both columns, so the weighted sum over pairs of
    different candidates is tau-b of the resample itself, and a resample a column of a matrix product.
    """
    untied = [np.concatenate([column.untied(part) for part in chunks(weights)]) for column in (x, y)]
    return ratio(2 * concordance(x, y, weights), untied[0] * untied[1])


def concordance(x: Ranked, y: Ranked, weights: Weights) -> Floats:
    """Sum over pairs i < j of ``w_i w_j sign(x_i - x_j) sign(y_i - y_j)``: (n, R) to (R,).

    In float32, where whole numbers up to 2^24 are exact: no sum before the last exceeds n times a weight.
    """
    total = np.zeros(weights.shape[1])
    a, b = x.places.astype(np.float32), y.places.astype(np.float32)
    for start in range(0, len(weights), ROWS):
        rows, others = slice(start, start + ROWS), slice(start, None)
        signs = np.sign(a[rows, None] - a[others]) * np.sign(b[rows, None] - b[others])
        # The matrix is symmetric: what lies before the block's own rows has been summed already.
        partners = np.triu(signs, k=1) @ weights[others]
        total += (partners * weights[rows]).sum(axis=0, dtype=np.float64)
    return total


def spearman(x: Ranked, y: Ranked, weights: Weights) -> Floats:
    """Rho in each resample (n, R) to (R,): Pearson's r of the midranks that the resample itself has."""
    return np.concatenate([pearson(x.midranks(part), y.midranks(part), part) for part in chunks(weights)])


def chunks(weights: Weights) -> Iterator[Weights]:
    """The resamples (n, R), some at a time; none if there are no candidates."""
    width = max(1, ENTRIES // max(1, len(weights)))
    yield from (
        weights[:, start : start + width] for start in range(0, weights.shape[1], width) if len(weights)
    )


def pearson(x: Floats, y: Floats, weights: Weights) -> Floats:
    """Pearson's r of centred columns under weights, all (n, R), to (R,)."""
    drawn = weights * x
    return ratio(
        np.einsum("nr,nr->r", drawn, y),
        np.einsum("nr,nr->r", drawn, x) * np.einsum("nr,nr,nr->r", weights, y, y),
    )


def ratio(above: Floats, below: Floats) -> Floats:
    """``above / sqrt(below)``, entry by entry; NaN where ``below`` is 0 or undefined: nothing varies."""
    values = np.full(above.shape, math.nan)
    np.divide(above, np.sqrt(below), out=values, where=below > 0)
    return values
