"""The sampler that a study gets if it names none."""

from collections.abc import Sequence

from archsearch.search.answers import Proposal, Searchable
from archsearch.search.known import Lesson
from archsearch.search.samplers.evolution import nsga2
from archsearch.search.samplers.gp import gp
from archsearch.search.samplers.tpe import tpe

GP_UNTIL = 100
TPE_UNTIL = 1_000


def automatic(space: Searchable, lessons: Sequence[Lesson], seed: int) -> Proposal:
    """Gaussian processes at first, TPE when there is more to learn from than they digest, then evolution.

    ``studies/search_tables`` has the figures behind the order and the hand-overs. They depend on what is
    known and not on a clock, so that the same study proposes the same on every machine.
    """
    if len(lessons) < GP_UNTIL:
        return gp(space, lessons, seed)
    if len(lessons) < TPE_UNTIL:
        return tpe(space, lessons, seed)
    return nsga2(space, lessons, seed)
