"""What a search is tried on: a space of questions, what every point costs, and what a training of it reads."""

import hashlib
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from archsearch.trial import RandomTrial, Trial


@dataclass(frozen=True)
class Point:
    """One point of a table: its identity, its family, and what the table needs to find it again."""

    id: str
    family: str
    chosen: Any


@dataclass(frozen=True)
class Reading:
    """What a training shows when it is read."""

    top1: float
    train_loss: float


class TableSpace(Protocol):
    """The questions of a table."""

    @property
    def references(self) -> Sequence[Point]:
        """Points that a search would try first: none."""

    def sample(self, trial: Trial, /) -> Point:
        """The point that ``trial`` chooses."""

    def violations(self, point: Point, /) -> list[str]:
        """Why it cannot be trained; empty if it can."""


class Table(Protocol):
    """A search problem whose trainings have all been done, or can be guessed well."""

    name: str
    cost: str
    full_samples: float
    rungs: tuple[float, ...]

    @property
    def space(self) -> TableSpace:
        """What can be asked."""

    def costs(self, point: Point, /) -> tuple[float, ...]:
        """What is minimised beside the error, known before any training."""

    def read(self, point: Point, share: float, seed: int, /) -> Reading:
        """The training of this seed at a share of its samples; the same for the same question."""

    def final(self, point: Point, /) -> float:
        """Top-1 without the noise of a seed: judges, and is shown to no method."""

    def known(self) -> Iterable[Point]:
        """The whole table, or many random points: what is good is measured by these."""


def feasible_draw(space: TableSpace, generator: random.Random) -> Point:
    """A random point that can be trained."""
    return next(feasible_draws(space, generator))


def feasible_draws(space: TableSpace, generator: random.Random) -> Iterator[Point]:
    """Random points that can be trained, without end."""
    trial = RandomTrial(generator)
    while True:
        point = space.sample(trial)
        if not space.violations(point):
            yield point


@dataclass(frozen=True)
class Download:
    """A public file that this study reads and does not hold."""

    address: str
    sha256: str

    def verify(self, path: Path | None) -> Path:
        """The file, if it is the one that the results were measured on."""
        if path is None:
            raise SystemExit(f"download {self.address} (SHA-256 {self.sha256}) and name the file")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.sha256:
            raise SystemExit(f"{path} has SHA-256 {found}; {self.address} has {self.sha256}")
        return path
