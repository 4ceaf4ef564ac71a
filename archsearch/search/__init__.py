"""The search itself, apart from where its record is kept: proposals, samplers, promotion."""

from archsearch.search.answers import Answers, Fixed, Proposal, proposal_of
from archsearch.search.chance import feasible_draws
from archsearch.search.known import Known, Reading, State, lessons
from archsearch.search.promote import Ladder, promoted
from archsearch.search.propose import Place, propose
from archsearch.search.samplers import SAMPLER_NAMES

__all__ = [
    "SAMPLER_NAMES",
    "Answers",
    "Fixed",
    "Known",
    "Ladder",
    "Place",
    "Proposal",
    "Reading",
    "State",
    "feasible_draws",
    "lessons",
    "promoted",
    "proposal_of",
    "propose",
]
