"""Evolution on the space itself: children answer a space's questions as their parents did, but for a few.

A parent's answer is asked for by name, and a name says the place and the kind (``stages.0.conv.kernel``):
so a child whose stage becomes another kind is asked what that kind has to be asked, and nothing of the old
kind is left in it. Every child is a point of the space by construction.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archsearch.search.observations import TrainingRow
from archsearch.search.samplers.sampler import objectives, rising, subsample
from archsearch.stats.pareto import positions
from archsearch.trial import Proposal, Searchable, proposal_of

POPULATION = 50
# Of the population, so many meet in a tournament (Real et al. 2019, AAAI 33:4780: 25 of 100).
TOURNAMENT = 12
CROSSOVER_SHARE = 0.9
# Of the mutations of a number, so many go to one of its two neighbours.
NEIGHBOUR_SHARE = 0.5


def regularized_evolution(space: Searchable, lessons: Sequence[TrainingRow], seed: int) -> Proposal:
    """Regularised evolution: the youngest live, the best of a few of them has a mutated child (Real et al. 2019)."""
    generator = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    population = feasible(lessons)[-2 * POPULATION :]
    (parent,) = parents(population, generator, count=1, meet=2 * TOURNAMENT)
    return proposal_of(space, OffspringTrial((parent,), generator, mutations=1))


def nsga2(space: Searchable, lessons: Sequence[TrainingRow], seed: int) -> Proposal:
    """NSGA-II, one child at a time: the best by rank and room live, two of them have a child.

    Deb et al. 2002, IEEE TEVC 6:182; steady state as in Durillo et al. 2009, EMO:183. Optuna's own starts
    its generations anew in a study that is told from outside.
    """
    generator = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    population = elite(feasible(lessons), POPULATION)
    count = 2 if generator.random() < CROSSOVER_SHARE else 1
    return proposal_of(
        space, OffspringTrial(parents(population, generator, count, meet=2), generator, mutations=1)
    )


def feasible(lessons: Sequence[TrainingRow]) -> list[TrainingRow]:
    """Those that can be parents: within all limits, or all of them if none is."""
    return [lesson for lesson in lessons if lesson.feasible] or list(lessons)


def elite(lessons: Sequence[TrainingRow], size: int) -> list[TrainingRow]:
    """The best ``size`` of them by rank and room."""
    candidates = subsample(lessons, 4 * size)
    places = positions(objectives(candidates))
    return [candidates[index] for index in places.argsort()[:size]]


def parents(
    population: Sequence[TrainingRow], generator: random.Random, count: int, meet: int
) -> tuple[Mapping[str, Any], ...]:
    """The answers of ``count`` winners of a tournament of ``meet`` each."""
    places = positions(objectives(population))
    chosen = []
    for _ in range(count):
        rivals = generator.sample(range(len(population)), min(meet, len(population)))
        chosen.append(population[min(rivals, key=lambda index: int(places[index]))].known.answers)
    return tuple(chosen)


@dataclass
class OffspringTrial:
    """A trial that answers as its parents did, part by part, with about ``mutations`` changes.

    All answers of one part (``stages.0``) come from the same parent, as far as that parent was asked: a
    kernel that did well in a convolution means nothing to the attention that the other parent has there.
    """

    parents: tuple[Mapping[str, Any], ...]
    generator: random.Random
    mutations: float

    def __post_init__(self) -> None:
        """Each question is changed with such a chance that ``mutations`` changes are to be expected."""
        self.rate = self.mutations / max(1, *(len(parent) for parent in self.parents))
        self.giver: dict[str, Mapping[str, Any]] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:
        """The inherited answer, a changed one, or any where no parent was asked."""
        part = part_of(name)
        if part not in self.giver:
            self.giver[part] = self.generator.choice(self.parents)
        givers = (self.giver[part], *self.parents)
        inherited = next((giver[name] for giver in givers if giver.get(name) in choices), None)
        if inherited is None:
            return self.generator.choice(choices)
        if len(choices) > 1 and self.generator.random() < self.rate:
            return self.changed(inherited, tuple(choices))
        return inherited

    def changed(self, answer: Any, choices: tuple[Any, ...]) -> Any:
        """Another answer; of rising numbers often a neighbour."""
        place = choices.index(answer)
        if rising(choices) and self.generator.random() < NEIGHBOUR_SHARE:
            return self.generator.choice(choices[max(0, place - 1) : place] + choices[place + 1 : place + 2])
        return self.generator.choice(choices[:place] + choices[place + 1 :])


def part_of(name: str) -> str:
    """The part of the file that a parameter belongs to: ``stages.0`` of ``stages.0.conv.kernel``."""
    steps = name.split(".")
    return ".".join(steps[:2]) if steps[0] in ("stages", "params") else steps[0]
