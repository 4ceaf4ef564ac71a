"""What a sampler is, and what several of them need.

A sampler is a function ``sampler(space, rows, seed)`` that proposes one point of ``space``:

    space   can be sampled with any trial (``archsearch.trial``), and says what it knows of a point without
            measuring: ``violations``, ``costs``, ``features``
    rows    what is known so far, a ``TrainingRow`` a candidate, in the order of their slots
    seed    an integer: the same space, rows and seed give the same proposal

It returns a ``Proposal``, which ``proposal_of(space, trial)`` makes of any trial, and ``child_of`` of parents. The
proposal may be known already, or infeasible: ``search.propose`` asks again, with another seed, and in the end
draws by chance. It is asked for nothing before the first ten candidates were read.

    def climb(space, rows, seed):
        best = max(rows, key=lambda row: row.top1)
        return child_of(space, [best.observation.answers], random.Random(seed))

One of ours is a file of this folder and its name in ``samplers/__init__.py``; one of a user's is an argument of
``propose``. The first line of its docstring says what it does.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from archsearch.search.observations import TrainingRow
from archsearch.stats.pareto import Costs, ranks
from archsearch.trial import OffspringTrial, Proposal, Searchable, proposal_of

# The first candidates are drawn at random: a sampler needs something to learn from.
STARTUP = 10

Sampler = Callable[[Searchable, Sequence[TrainingRow], int], Proposal]


def child_of(
    space: Searchable, parents: Sequence[Mapping[str, Any]], generator: random.Random, mutations: float = 1
) -> Proposal:
    """A point that answers as ``parents`` did, with about so many changes."""
    return proposal_of(space, OffspringTrial(tuple(parents), generator, mutations))


def new_points(
    rows: Sequence[TrainingRow], draws: Iterable[Proposal], children: Iterable[Proposal]
) -> list[Proposal]:
    """The draws and the children that are not among ``rows``, each point once."""
    found = {draw.architecture.id: draw for draw in draws}
    for child in children:
        found.setdefault(child.architecture.id, child)
    known = {row.observation.identity for row in rows}
    return [proposal for identity, proposal in found.items() if identity not in known]


def objectives(rows: Sequence[TrainingRow]) -> Costs:
    """One row a candidate, all to be minimised: the error, then the costs on a logarithmic scale.

    Costs span orders of magnitude, and a factor means the same everywhere: with them, a GP reached 0.90 of
    the best hypervolume known after 100 trials, with raw costs 0.84.
    """
    costs = np.array([row.costs for row in rows], dtype=float)
    logs = np.log10(np.maximum(costs, np.finfo(float).tiny))
    return np.column_stack([[1 - row.top1 for row in rows], logs])


def subsample(rows: Sequence[TrainingRow], bound: int) -> list[TrainingRow]:
    """At most ``bound`` rows, in their order: half of them the best by rank, the rest the latest.

    A model's time grows with what it is told, its quality soon does not.
    """
    if len(rows) <= bound:
        return list(rows)
    rank = ranks(objectives(rows))
    best = set(np.argsort(rank, kind="stable")[: bound // 2].tolist())
    latest = [index for index in reversed(range(len(rows))) if index not in best]
    return [rows[index] for index in sorted(best | set(latest[: bound - len(best)]))]
