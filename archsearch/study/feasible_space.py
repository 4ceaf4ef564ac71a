"""A space as a study searches it: its points are within the study's limits too, and say what they cost."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from archsearch.architecture import Architecture
from archsearch.counting import count_activations, count_macs, count_params, globality
from archsearch.search.observations import features_of
from archsearch.space import Space, choices_for
from archsearch.space.space import COUNTERS
from archsearch.study.config import StudyConfig
from archsearch.trial import FixedTrial, Proposal, Trial, proposal_of


@dataclass(frozen=True)
class FeasibleSpace:
    """The points of ``space`` that keep all limits that can be counted."""

    space: Space
    config: StudyConfig

    @cached_property
    def limited(self) -> Space:
        """The space under the stricter of its own and the study's limit on whatever can be counted."""
        limits = dict(self.space.limits)
        for name in COUNTERS.keys() & self.config.limits.keys():
            limits[name] = min(self.config.limits[name], limits.get(name, math.inf))
        return replace(self.space, limits=limits)

    def sample(self, trial: Trial) -> Architecture:
        """The architecture that ``trial`` chooses."""
        return self.space.sample(trial)

    def references(self) -> Iterator[Proposal]:
        """The space's references, in the order of its file."""
        for architecture in self.space.references:
            yield proposal_of(self, FixedTrial(choices_for(self.space, architecture)))

    def violations(self, architecture: Architecture) -> list[str]:
        """Why it cannot be a candidate: it cannot be built, or is over a limit of the space or the study."""
        return self.limited.violations(architecture)

    def costs(self, architecture: Architecture) -> tuple[float | None, ...]:
        """The objectives beside accuracy, as far as they can be counted."""
        return tuple(
            float(COUNTERS[name](architecture)) if name in COUNTERS else None
            for name in self.config.objectives[1:]
        )

    def features(self, architecture: Architecture) -> tuple[float, ...]:
        """Its sizes, and where it stands between local and global; remembered, as a sampler asks several times."""
        return counted_features(architecture)


@lru_cache(maxsize=512)
def counted_features(architecture: Architecture) -> tuple[float, ...]:
    """The features of an architecture, counted."""
    macs, params = count_macs(architecture).total, count_params(architecture)
    return features_of(macs, params, count_activations(architecture), globality(architecture))
