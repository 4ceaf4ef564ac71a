"""NAS-Bench-Macro: 6,561 networks on CIFAR-10, each trained three times; no learning curves.

Source: Su et al. 2021, "Prioritized Architecture Sampling with Monto-Carlo Tree Search",
https://arxiv.org/abs/2103.11922; the file is of their repository.
"""

import json
from pathlib import Path

import numpy as np

from archsearch.trial import Trial
from studies.search_tables.tables import Download, Point, Reading

FILE = Download(
    "https://raw.githubusercontent.com/xiusu/NAS-Bench-Macro/61a2bfc2ca0dce04d0997e6cf498047c27d6acf2/"
    "data/nas-bench-macro_cifar10.json",
    "686dee8363cc21cca8c1f321ad5749454f2d9b9ca5972682e137e539bc522297",
)
PLACES = 8
BLOCKS = ("0", "1", "2")
IDENTITY = "0"


class MacroSpace:
    """One of three blocks in each of eight places: identity, or an inverted residual, narrow or wide."""

    references: tuple[Point, ...] = ()

    def sample(self, trial: Trial) -> Point:
        """Eight questions."""
        return point(
            "".join(trial.suggest_categorical(f"blocks.{place}", list(BLOCKS)) for place in range(PLACES))
        )

    def violations(self, _: Point) -> list[str]:
        """Every point was trained."""
        return []


def point(blocks: str) -> Point:
    """A network by its eight blocks; its family is how many of them do anything, in three classes."""
    active = PLACES - blocks.count(IDENTITY)
    return Point(blocks, "shallow" if active < 5 else "middle" if active < 7 else "deep", blocks)


class Macro:
    """Top-1 against multiply-adds; a training shows one of the three seeds, the truth is their mean."""

    name = "macro"
    cost = "macs"
    full_samples = 1.0
    rungs: tuple[float, ...] = ()

    def __init__(self, file: Path | None) -> None:
        self.rows = json.loads(FILE.verify(file).read_text())
        self.space = MacroSpace()

    def costs(self, point: Point) -> tuple[float, ...]:
        """What the file calls FLOPs, and are multiply-adds."""
        return (float(self.rows[point.id]["flops"]),)

    def read(self, point: Point, share: float, seed: int) -> Reading:
        """The end only: the file has no losses either, so the error stands in for one."""
        if share != 1.0:
            raise ValueError(f"{self.name} has no learning curves; read it at 1.0 and not at {share}")
        accuracies = self.rows[point.id]["test_acc"]
        top1 = accuracies[seed % len(accuracies)] / 100
        return Reading(top1, 1 - top1)

    def final(self, point: Point) -> float:
        """Mean of the three seeds."""
        return float(np.mean(self.rows[point.id]["test_acc"])) / 100

    def known(self) -> list[Point]:
        """All of it."""
        return [point(blocks) for blocks in self.rows]
