"""Evolution on the space itself: children answer a space's questions as their parents did, but for a few.

A parent's answer is asked for by name, and a name says the place and the kind (``stages.0.conv.kernel``):
so a child whose stage becomes another kind is asked what that kind has to be asked, and nothing of the old
kind is left in it. Every child is a point of the space by construction.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from archsearch.search.observations import TrainingRow
from archsearch.search.samplers.sampler import child_of, objectives, subsample
from archsearch.stats.pareto import positions
from archsearch.trial import Proposal, Searchable

POPULATION = 50
# Of the population, so many meet in a tournament (Real et al. 2019, AAAI 33:4780: 25 of 100).
TOURNAMENT = 12
CROSSOVER_SHARE = 0.9


def regularized_evolution(space: Searchable, rows: Sequence[TrainingRow], seed: int) -> Proposal:
    """Regularised evolution: the youngest live, the best of a few of them has a mutated child (Real et al. 2019)."""
    generator = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    population = feasible(rows)[-2 * POPULATION :]
    return child_of(space, parents(population, generator, count=1, meet=2 * TOURNAMENT), generator)


def nsga2(space: Searchable, rows: Sequence[TrainingRow], seed: int) -> Proposal:
    """NSGA-II, one child at a time: the best by rank and room live, two of them have a child.

    Deb et al. 2002, IEEE TEVC 6:182; steady state as in Durillo et al. 2009, EMO:183. Optuna's own starts
    its generations anew in a study that is told from outside.
    """
    generator = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    population = elite(feasible(rows), POPULATION)
    count = 2 if generator.random() < CROSSOVER_SHARE else 1
    return child_of(space, parents(population, generator, count, meet=2), generator)


def feasible(rows: Sequence[TrainingRow]) -> list[TrainingRow]:
    """Those that can be parents: within all limits, or all of them if none is."""
    return [row for row in rows if row.feasible] or list(rows)


def elite(rows: Sequence[TrainingRow], size: int) -> list[TrainingRow]:
    """The best ``size`` of them by rank and room."""
    candidates = subsample(rows, 4 * size)
    places = positions(objectives(candidates))
    return [candidates[index] for index in places.argsort()[:size]]


def parents(
    population: Sequence[TrainingRow], generator: random.Random, count: int, meet: int
) -> list[Mapping[str, Any]]:
    """The answers of ``count`` winners of a tournament of ``meet`` each."""
    places = positions(objectives(population))
    chosen = []
    for _ in range(count):
        rivals = generator.sample(range(len(population)), min(meet, len(population)))
        chosen.append(population[min(rivals, key=lambda index: int(places[index]))].observation.answers)
    return chosen
