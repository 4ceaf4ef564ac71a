"""The search itself, apart from where its record is kept: proposals, samplers, promotion."""

from archsearch.search.halving import SuccessiveHalving, next_promotion
from archsearch.search.observations import Observation, Reading
from archsearch.search.propose import ProposalSeed, propose
from archsearch.search.samplers import SAMPLER_NAMES, Sampler

__all__ = [
    "SAMPLER_NAMES",
    "Observation",
    "ProposalSeed",
    "Reading",
    "Sampler",
    "SuccessiveHalving",
    "next_promotion",
    "propose",
]
