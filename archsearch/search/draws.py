"""What chance proposes: points drawn option by option, feasible as far as that can be counted."""

import random
from collections.abc import Iterable, Iterator

from archsearch.trial import MAX_DRAWS, GridTrial, Proposal, RandomTrial, Searchable, proposal_of

# Every point of a space of up to so many is looked at before it is said to be exhausted.
MAX_POINTS = 20_000


def keep_feasible(space: Searchable, proposals: Iterable[Proposal]) -> Iterator[Proposal]:
    """Those that violate no limit, as far as can be told without measuring."""
    return (proposal for proposal in proposals if not space.violations(proposal.architecture))


def feasible_draws(space: Searchable, generator: random.Random) -> Iterator[Proposal]:
    """The feasible ones of 1,000 random points."""
    return keep_feasible(space, (proposal_of(space, RandomTrial(generator)) for _ in range(MAX_DRAWS)))


def feasible_points(space: Searchable) -> Iterator[Proposal]:
    """Every feasible point, in a fixed order, as far as the first 20,000 points of the space."""
    trial = GridTrial()
    for _ in range(MAX_POINTS):
        proposal = proposal_of(space, trial)
        if not space.violations(proposal.architecture):
            yield proposal
        if not trial.step():
            return
