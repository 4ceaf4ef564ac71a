"""What chance proposes: points drawn option by option, feasible as far as that can be counted."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from archsearch.search.answers import Proposal, Searchable, proposal_of
from archsearch.space import RandomTrial

MAX_DRAWS = 1_000
# Every point of a space of up to so many is looked at before it is said to be exhausted.
MAX_WALKED = 20_000


@dataclass
class Odometer:
    """Answers every question in turn with each of its choices; ``step`` goes on to the next point."""

    places: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    asked: int = 0

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:  # noqa: ARG002 - part of the protocol
        """The choice whose turn it is."""
        if self.asked == len(self.places):
            self.places.append(0)
            self.sizes.append(len(choices))
        self.asked += 1
        return choices[self.places[self.asked - 1]]

    def step(self) -> bool:
        """Turn the last wheel that can be turned; whether there was one."""
        self.asked = 0
        while self.places and self.places[-1] + 1 == self.sizes[-1]:
            self.places.pop()
            self.sizes.pop()
        if self.places:
            self.places[-1] += 1
        return bool(self.places)


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
    odometer = Odometer()
    for _ in range(MAX_WALKED):
        proposal = proposal_of(space, odometer)
        if not space.reasons_against(proposal.architecture):
            yield proposal
        if not odometer.step():
            return
