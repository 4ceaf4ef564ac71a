"""What chance proposes: points drawn option by option, feasible as far as that can be counted."""

import random
from collections import Counter
from collections.abc import Iterator

from archsearch.trial import GridTrial, Proposal, RandomTrial, Searchable, proposal_of

MAX_DRAWS = 1_000
# Every point of a space of up to so many is looked at before it is said to be exhausted.
MAX_WALKED = 20_000


def feasible_draws(
    space: Searchable, generator: random.Random, failures: Counter[str] | None = None
) -> Iterator[Proposal]:
    """The feasible ones of 1,000 draws; ``failures`` counts what was against the others."""
    for _ in range(MAX_DRAWS):
        proposal = proposal_of(space, RandomTrial(generator))
        reasons = space.reasons_against(proposal.architecture)
        if failures is not None:
            failures.update(reasons)
        if not reasons:
            yield proposal


def walk(space: Searchable) -> Iterator[Proposal]:
    """Every feasible point, in a fixed order, as far as the first 20,000 points of the space."""
    odometer = GridTrial()
    for _ in range(MAX_WALKED):
        proposal = proposal_of(space, odometer)
        if not space.reasons_against(proposal.architecture):
            yield proposal
        if not odometer.step():
            return
