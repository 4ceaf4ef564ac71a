"""What is counted of an architecture, together, and the sizes that a model of accuracy or latency is given."""

import math
from dataclasses import dataclass
from functools import lru_cache

from archsearch.architecture import Architecture
from archsearch.counting.globality import globality
from archsearch.counting.macs import count_activations, count_macs, count_params


@dataclass(frozen=True)
class Counts:
    """What is counted of an architecture without building it."""

    macs: int
    params: int
    activations: int
    globality: float


@lru_cache(maxsize=512)
def counts_of(architecture: Architecture) -> Counts:
    """Its counts, remembered for the latest architectures: a sampler asks several times."""
    return Counts(
        count_macs(architecture).total,
        count_params(architecture),
        count_activations(architecture),
        globality(architecture),
    )


def features_of(macs: float, params: float, activations: float, reach: float) -> tuple[float, ...]:
    """What a model of accuracy and latency is told beside the choices: sizes as logarithms, and globality."""
    return (math.log10(macs), math.log10(params), math.log10(activations), reach)
