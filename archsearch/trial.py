"""Trials that choose: what stands in for ``optuna.Trial`` where a space is sampled."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

# Random points that are looked at before a space is said to hold no feasible one.
MAX_DRAWS = 1_000
# Of the mutations of a number, so many go to one of its two neighbours.
NEIGHBOUR_SHARE = 0.5


class Trial(Protocol):
    """The one method of ``optuna.Trial`` that sampling needs; anything that can choose may stand in."""

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:
        """One of ``choices`` for the parameter ``name``."""


class Searchable(Protocol):
    """What can be searched: an ``archsearch.space.Space``, for instance."""

    def sample(self, trial: Trial, /) -> Any:
        """The point that ``trial`` chooses, asked for every parameter that is active."""

    def violations(self, point: Any, /) -> list[str]:
        """Why a point is not feasible, as far as that is known without measuring; empty if it is."""

    def costs(self, point: Any, /) -> tuple[float | None, ...]:
        """Its costs, in the order of the study; None for what has to be measured."""

    def features(self, point: Any, /) -> tuple[float, ...]:
        """Numbers that say more of a point than its answers do; none, or as many for every point.

        Of an architecture they are those of ``search.observations.features_of``: the samplers ``macs`` and
        ``map`` take the first for the logarithm of its MACs and the last for its globality.
        """


@dataclass
class RecordingTrial:
    """A trial that remembers what it was asked and what ``inner`` chose, in order."""

    inner: Trial
    params: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:
        """Ask the inner trial, and note the answer."""
        self.params[name] = self.inner.suggest_categorical(name, choices)
        self.choices[name] = tuple(choices)
        return self.params[name]


@dataclass(frozen=True)
class RandomTrial:
    """Chooses uniformly, option by option."""

    generator: random.Random

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:  # noqa: ARG002 - part of the protocol
        """Any of them."""
        return self.generator.choice(choices)


@dataclass(frozen=True)
class FixedTrial:
    """A trial that chooses the given answer for each parameter."""

    answers: Mapping[str, Any]

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:  # noqa: ARG002 - part of the protocol
        """The given answer."""
        return self.answers[name]


@dataclass
class GridTrial:
    """A trial that visits every point of a space; ``step`` moves to the next one."""

    places: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    asked: int = 0

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:  # noqa: ARG002 - part of the protocol
        """The choice of the present point; a new question begins with its first one."""
        if self.asked == len(self.places):
            self.places.append(0)
            self.sizes.append(len(choices))
        self.asked += 1
        return choices[self.places[self.asked - 1]]

    def step(self) -> bool:
        """Move to the next point; False after the last one."""
        self.asked = 0
        while self.places and self.places[-1] + 1 == self.sizes[-1]:
            self.places.pop()
            self.sizes.pop()
        if self.places:
            self.places[-1] += 1
        return bool(self.places)


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
            return self.change(inherited, tuple(choices))
        return inherited

    def change(self, answer: Any, choices: tuple[Any, ...]) -> Any:
        """Another answer; of rising numbers often a neighbour."""
        place = choices.index(answer)
        if rising(choices) and self.generator.random() < NEIGHBOUR_SHARE:
            return self.generator.choice(choices[max(0, place - 1) : place] + choices[place + 1 : place + 2])
        return self.generator.choice(choices[:place] + choices[place + 1 :])


def part_of(name: str) -> str:
    """The part of the file that a parameter belongs to: ``stages.0`` of ``stages.0.conv.kernel``."""
    steps = name.split(".")
    return ".".join(steps[:2]) if steps[0] in ("stages", "params") else steps[0]


def rising(choices: tuple[Any, ...]) -> bool:
    """Whether the choices are two numbers or more, each above the one before."""
    numbers = all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices)
    return len(choices) > 1 and numbers and list(choices) == sorted(set(choices))


@dataclass(frozen=True)
class Proposal:
    """A candidate: the point, the answers that lead to it, and what else could have been answered."""

    architecture: Any
    params: dict[str, Any]
    choices: dict[str, tuple[Any, ...]]


def proposal_of(space: Searchable, trial: Trial) -> Proposal:
    """What ``trial`` chooses, with its answers."""
    answers = RecordingTrial(trial)
    architecture = space.sample(answers)
    return Proposal(architecture, answers.params, answers.choices)
