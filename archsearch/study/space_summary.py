"""What a space holds, by a random sample of it: sizes, costs by family, the feasible share."""

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from archsearch.architecture import Architecture
from archsearch.counting import count_activations, count_macs, count_params, family
from archsearch.profiling import LatencyPredictor
from archsearch.space import Space
from archsearch.stats.intervals import wilson


@dataclass(frozen=True)
class Spread:
    """Smallest, median and largest of some amounts."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class SpaceSummary:
    """A space by a random sample of it.

    Attributes:
        size: exact number of distinct architectures.
        drawn: points drawn uniformly, option by option.
        feasible: those of them that can be built and are within the limits.
        share: interval (95 %, Wilson 1927) of the feasible share.
        failures: why the others are not, with counts.
        params, macs, activations: for each family, the spread over the feasible ones.
        latency_ms: the same by the space's predictor; None if none is fitted.
        counts: feasible points of each family.
    """

    size: int
    drawn: int
    feasible: int
    share: tuple[float, float]
    failures: dict[str, int]
    params: dict[str, Spread]
    macs: dict[str, Spread]
    activations: dict[str, Spread]
    latency_ms: dict[str, Spread] | None
    counts: dict[str, int]


def summarize_space(
    space: Space, draws: int, seed: int = 0, predictor: LatencyPredictor | None = None
) -> SpaceSummary:
    """Draw ``draws`` points, count what they cost, and predict their latency where that is possible."""
    failures: Counter[str] = Counter()
    feasible: list[Architecture] = []
    for architecture in space.draws(seed, draws):
        reasons = space.violations(architecture)
        failures.update(reasons)
        feasible += [] if reasons else [architecture]
    by_family: dict[str, list[Architecture]] = {}
    for architecture in feasible:
        by_family.setdefault(family(architecture), []).append(architecture)

    def spreads(cost: Callable[[Architecture], float]) -> dict[str, Spread]:
        return {name: spread([cost(a) for a in members]) for name, members in by_family.items()}

    return SpaceSummary(
        size=space.size(),
        drawn=draws,
        feasible=len(feasible),
        share=wilson(len(feasible), draws),
        failures=dict(failures.most_common()),
        params=spreads(count_params),
        macs=spreads(lambda a: count_macs(a).total),
        activations=spreads(count_activations),
        latency_ms=spreads(predictor.predict) if predictor is not None else None,
        counts={name: len(members) for name, members in by_family.items()},
    )


def spread(amounts: Sequence[float]) -> Spread:
    """Smallest, median, largest."""
    return Spread(min(amounts), statistics.median(amounts), max(amounts))
