"""What chance proposes: points drawn option by option, feasible as far as that can be counted."""

import random
from collections.abc import Iterator

from archsearch.trial import MAX_DRAWS, GridTrial, Proposal, RandomTrial, Searchable, proposal_of

# Every point of a space of up to so many is looked at before it is said to be exhausted.
MAX_POINTS = 20_000


def feasible_draws(space: Searchable, generator: random.Random) -> Iterator[Proposal]:
    """The feasible ones of 1,000 random points."""
    for _ in range(MAX_DRAWS):
        proposal = proposal_of(space, RandomTrial(generator))
        if not space.violations(proposal.architecture):
            yield proposal


def feasible_points(space: Searchable) -> Iterator[Proposal]:
    """Every feasible point, in a fixed order, as far as the first 20,000 points of the space."""
    trial = GridTrial()
    for _ in range(MAX_POINTS):
        proposal = proposal_of(space, trial)
        if not space.violations(proposal.architecture):
            yield proposal
        if not trial.step():
            return
