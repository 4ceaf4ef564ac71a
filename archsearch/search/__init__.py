"""The search itself, apart from where its record is kept: proposals, samplers, promotion."""

from archsearch.search.draws import feasible_draws
from archsearch.search.halving import Ladder, promoted
from archsearch.search.observations import Known, Reading, State, lessons
from archsearch.search.propose import Place, propose
from archsearch.search.samplers import SAMPLER_NAMES

__all__ = [
    "SAMPLER_NAMES",
    "Known",
    "Ladder",
    "Place",
    "Reading",
    "State",
    "feasible_draws",
    "lessons",
    "promoted",
    "propose",
]
