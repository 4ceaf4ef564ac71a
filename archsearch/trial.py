"""Trials that choose: what stands in for ``optuna.Trial`` where a space is sampled."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class Trial(Protocol):
    """The one method of ``optuna.Trial`` that sampling needs; anything that can choose may stand in."""

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:
        """One of ``choices`` for the parameter ``name``."""


class Searchable(Protocol):
    """What can be searched: an ``archsearch.space.Space``, for instance."""

    def sample(self, trial: Trial, /) -> Any:
        """The point that ``trial`` chooses, asked for every parameter that means something."""

    def reasons_against(self, point: Any, /) -> list[str]:
        """Why a point is not feasible, as far as that is known without measuring; empty if it is."""

    def costs(self, point: Any, /) -> tuple[float | None, ...]:
        """Its costs, in the order of the study; None for what has to be measured."""

    def features(self, point: Any, /) -> tuple[float, ...]:
        """Numbers that say more of it than its answers do, the same number of them for every point; or none."""


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
    """A trial that chooses what is written down for each parameter."""

    answers: Mapping[str, Any]

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:  # noqa: ARG002 - part of the protocol
        """What is written."""
        return self.answers[name]


@dataclass
class GridTrial:
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
