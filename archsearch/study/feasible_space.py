"""A space as a study searches it: its points are within the study's limits too, and say what they cost."""

import math
import random
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from archsearch.architecture import Architecture
from archsearch.counting.features import counts_of, features_of
from archsearch.search.draws import MAX_DRAWS
from archsearch.space import Space
from archsearch.study.config import StudyConfig
from archsearch.trial import RandomTrial, Trial

COUNTED_COSTS = {"macs", "params"}


@dataclass(frozen=True)
class FeasibleSpace:
    """The points of ``space`` that keep all limits that can be counted."""

    space: Space
    config: StudyConfig

    def sample(self, trial: Trial) -> Architecture:
        """The architecture that ``trial`` chooses."""
        return self.space.sample(trial)

    def reasons_against(self, architecture: Architecture) -> list[str]:
        """Why it cannot be a candidate: it cannot be built, or is over a limit of the space or the study."""
        if architecture.problems():
            return ["cannot be built"]
        limits = self.limits
        return [
            f"{name} > {limits[name]:,g}" for name, excess in self.excess(architecture).items() if excess > 0
        ]

    @cached_property
    def limits(self) -> dict[str, float]:
        """The stricter of the space's and the study's limit on whatever can be counted."""
        limits: dict[str, float] = dict(self.space.limits)
        for name in COUNTED_COSTS & self.config.limits.keys():
            limits[name] = min(self.config.limits[name], limits.get(name, math.inf))
        return dict(sorted(limits.items()))

    def excess(self, architecture: Architecture) -> dict[str, float]:
        """Cost minus limit, by limit."""
        counts = counts_of(architecture)
        return {name: float(getattr(counts, name) - limit) for name, limit in self.limits.items()}

    def costs(self, architecture: Architecture) -> tuple[float | None, ...]:
        """The objectives beside accuracy, as far as they can be counted."""
        counts = counts_of(architecture)
        counted = {"macs": float(counts.macs), "params": float(counts.params)}
        return tuple(counted.get(name) for name in self.config.objectives[1:])

    def features(self, architecture: Architecture) -> tuple[float, ...]:
        """Its sizes, and where it stands between local and global."""
        c = counts_of(architecture)
        return features_of(c.macs, c.params, c.activations, c.globality)

    def why_none(self) -> str:
        """What a thousand random points say of the limits: how many keep them, which fails most, which is nearest."""
        reasons: Counter[str] = Counter()
        nearest: tuple[float, str] = (math.inf, "")
        feasible = 0
        trial = RandomTrial(random.Random(self.config.seed))  # noqa: S311 - nothing secret is drawn
        for _ in range(MAX_DRAWS):
            architecture = self.sample(trial)
            against = self.reasons_against(architecture)
            feasible += not against
            reasons.update(against)
            if against and against != ["cannot be built"]:
                nearest = min(nearest, self.distance(architecture))
        told = [f"{feasible:,} of {MAX_DRAWS:,} drawn candidates are feasible by what can be counted"]
        told += [f"nearest: {nearest[1]}"] if nearest[1] else []
        told += [f"what failed most: {reason} ({count:,})" for reason, count in reasons.most_common(1)]
        return "; ".join(told)

    def distance(self, architecture: Architecture) -> tuple[float, str]:
        """By which factor it is over its worst limit, and it in words."""
        counts, limits = counts_of(architecture), self.limits
        costs = {name: getattr(counts, name) for name in limits}
        worst = max(limits, key=lambda name: costs[name] / limits[name])
        said = f"{architecture.layout} with {costs[worst]:,} {worst} (limit {limits[worst]:,g})"
        return costs[worst] / limits[worst], said
