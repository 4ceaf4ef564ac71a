"""Which candidate comes next: a function of the seed, the slot, the attempt and what is known."""

import hashlib
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from archsearch.search.draws import feasible_draws, feasible_points, keep_feasible
from archsearch.search.observations import Observation, training_rows
from archsearch.search.samplers import SAMPLERS, STARTUP, Sampler
from archsearch.trial import Proposal, Searchable

# Tries of the sampler before it is taken to be stuck on what is known already; then chance takes over.
SAMPLER_TRIES = 10


@dataclass(frozen=True)
class ProposalSeed:
    """What decides a proposal: the seed of the study, the slot, and how many were turned down there."""

    seed: int
    slot: int
    attempt: int = 0

    def seed_of(self, what: str, number: int = 0) -> int:
        """A seed of its own for each use, unrelated to its neighbours'."""
        text = f"{self.seed}:{self.slot}:{self.attempt}:{what}:{number}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def propose(
    space: Searchable,
    sampler: str | Sampler,
    observations: Sequence[Observation],
    seed: ProposalSeed,
    first: Iterable[Proposal] = (),
) -> Proposal | None:
    """The next candidate: feasible as far as can be counted, and none of ``observations``.

    ``sampler`` is a name of ``search.samplers``, or a function of one's own (``search.samplers.sampler``).

    Those of ``first`` come first, as far as they are not known. Then the first ten are drawn by chance, then
    the sampler proposes; where all it has is known, or infeasible again and again, chance goes on. None
    means that the space is exhausted: every point of a small one was looked at.
    """
    taken = {k.identity for k in observations}
    by_chance = feasible_draws(space, random.Random(seed.seed_of("random")))  # noqa: S311 - nothing secret is drawn
    candidates = chain(first, guesses(space, sampler, observations, seed), by_chance, feasible_points(space))
    return next((c for c in candidates if c.architecture.id not in taken), None)


def guesses(
    space: Searchable, sampler: str | Sampler, observations: Sequence[Observation], seed: ProposalSeed
) -> Iterator[Proposal]:
    """Feasible proposals of the sampler, once it has something to learn from."""
    read = sum(bool(k.readings) for k in observations if k.state != "failed")
    if sampler == "random" or read < STARTUP or seed.attempt >= SAMPLER_TRIES:
        return
    name, ask = (sampler, SAMPLERS[sampler]) if isinstance(sampler, str) else ("sampler", sampler)
    rows = training_rows(observations)
    seeds = (seed.seed_of(name, attempt) for attempt in range(SAMPLER_TRIES))
    yield from keep_feasible(space, (ask(space, rows, one) for one in seeds))
