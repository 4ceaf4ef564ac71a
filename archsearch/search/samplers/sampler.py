"""What a sampler is."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from archsearch.search.observations import TrainingRow
from archsearch.stats.pareto import Costs, ranks
from archsearch.trial import Proposal, Searchable

# The first candidates are drawn at random: a sampler needs something to learn from.
STARTUP = 10

Sampler = Callable[[Searchable, Sequence[TrainingRow], int], Proposal]
"""``sampler(space, lessons, seed)`` proposes a point. It may be known already, or not feasible."""


def objectives(lessons: Sequence[TrainingRow]) -> Costs:
    """One row a lesson, all to be minimised: the error, then the costs on a logarithmic scale.

    Costs span orders of magnitude, and a factor means the same everywhere: with them, a GP reached 0.90 of
    the best hypervolume known after 100 trials, with raw costs 0.84.
    """
    costs = np.array([lesson.costs for lesson in lessons], dtype=float)
    logs = np.log10(np.maximum(costs, np.finfo(float).tiny))
    return np.column_stack([[1 - lesson.top1 for lesson in lessons], logs])


def subsample(lessons: Sequence[TrainingRow], bound: int) -> list[TrainingRow]:
    """At most ``bound`` lessons, in their order: half of them the best by rank, the rest the latest.

    A model's time grows with what it is told, its quality soon does not.
    """
    if len(lessons) <= bound:
        return list(lessons)
    rank = ranks(objectives(lessons), enough=bound // 2)
    best = set(np.argsort(rank, kind="stable")[: bound // 2].tolist())
    latest = [index for index in reversed(range(len(lessons))) if index not in best]
    return [lessons[index] for index in sorted(best | set(latest[: bound - len(best)]))]


def rising(choices: tuple[Any, ...]) -> bool:
    """Whether the choices are two numbers or more, each above the one before."""
    numbers = all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices)
    return len(choices) > 1 and numbers and list(choices) == sorted(set(choices))
