"""Do the drawn tasks tell local from global networks of equal cost? python -m studies.procedural_tasks.

Trains each network beside this file on each task, some seeds each, by one recipe. Every finished training
is one line of ``results.jsonl``, on the disk before the next one begins: a run that was killed goes on
where it stopped. At the end ``results.csv``, ``accuracy.png`` and the table of this folder's README are
made of all lines.
"""

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from archsearch import Recipe, count_macs, count_params, globality, load_architecture
from archsearch.architecture import Architecture, seeded_network
from archsearch.data import ImageData, load_data
from archsearch.proxy import Training as ProxyTraining
from archsearch.shapes import FeatureShape
from studies.procedural_tasks.report import report

HERE = Path(__file__).parent
SIZE = "size=20,distance=8"


@dataclass(frozen=True)
class Task:
    """A drawn task, and how many images a training is shown; the same for all networks."""

    source: str
    samples: int = 30_720


TASKS = {
    "texture": Task("procedural:texture,size=20"),
    "layout": Task(f"procedural:layout,{SIZE}", samples=61_440),
    "xor": Task(f"procedural:xor,{SIZE}", samples=61_440),
    "matching": Task(f"procedural:matching,{SIZE}"),
    "xor, p = 0.5": Task(f"procedural:xor,{SIZE},informative=0.5", samples=61_440),
    "xor, p = 1": Task(f"procedural:xor,{SIZE},informative=1", samples=61_440),
}
NETWORKS = ("c_only", "t_only", "cctt", "c_wide")
RECIPE = Recipe(
    batch_size=32,
    learning_rate=1e-3,
    weight_decay=0.05,
    warmup=0.1,
    label_smoothing=0.0,
    flip=False,
    crop=0,
    validation_images=2000,
)
SEEDS = 3
EQUAL = 0.02  # MACs of any two networks differ by less than this share


@dataclass(frozen=True)
class Training:
    """One training to do: a task, a network, a seed of both initial weights and order."""

    task: str
    network: str
    seed: int

    @property
    def recipe(self) -> Recipe:
        return RECIPE.model_copy(update={"samples": TASKS[self.task].samples, "seed": self.seed})

    def identity(self) -> dict[str, Any]:
        """What decides the result: two lines with the same identity have the same accuracy."""
        return {
            "task": self.task,
            "network": self.network,
            "seed": self.seed,
            "source": TASKS[self.task].source,
            "architecture": architecture_of(self.network).id,
            # What is written above and nothing else: a field that recipes get later makes no line stale.
            "recipe": self.recipe.model_dump(exclude_unset=True),
        }

    def run(self) -> dict[str, Any]:
        """Trains, and gives the line of the record."""
        architecture = architecture_of(self.network)
        data = images_of(TASKS[self.task].source, architecture.image.shape, architecture.classes)
        network = seeded_network(architecture, self.seed)
        score = ProxyTraining(network, data, self.recipe, torch.device("cpu")).finish()
        return {
            **self.identity(),
            "layout": architecture.layout,
            "macs": count_macs(architecture).total,
            "params": count_params(architecture),
            "globality": round(globality(architecture), 4),
            "receptive_field": receptive_field(architecture),
            "top1": score.top1,
            "loss": score.loss,
            "train_loss": score.train_loss,
            "samples": score.samples,
            "validation_images": len(data.validation),
            "seconds": round(score.seconds, 1),
            "curve": [round(loss, 4) for loss in score.curve],
        }


@cache
def architecture_of(network: str) -> Architecture:
    return load_architecture(HERE / f"{network}.yaml")


@cache
def images_of(source: str, image: FeatureShape, classes: int) -> ImageData:
    """Drawn once for all networks; they ask for the same."""
    return load_data(source, image, classes)


def receptive_field(architecture: Architecture) -> int | None:
    """Side of the window that one position behind the last stage sees, pixels; None where it is everything.

    Windows add up along the chain; no network here has a wide shortcut, which would be no link of it.
    """
    side = 1
    for _, mixer in architecture.mixers():
        if mixer.kernel is None:
            return None
        side += (mixer.kernel - 1) * (architecture.image.height // mixer.height)
    return side


def check_equal_macs() -> None:
    """SystemExit if two networks differ in cost by more than is said."""
    macs = {network: count_macs(architecture_of(network)).total for network in NETWORKS}
    if max(macs.values()) > (1 + EQUAL) * min(macs.values()):
        raise SystemExit(f"the networks differ in MACs by more than {EQUAL:.0%}: {macs}")


def plan(tasks: list[str], networks: list[str], seeds: int) -> Iterator[Training]:
    """Task by task, and all networks before the next seed: what a killed run leaves can be compared."""
    for task in tasks:
        for seed in range(seeds):
            yield from (Training(task, network, seed) for network in networks)


def read(record: Path) -> list[dict[str, Any]]:
    """The lines of the record; a last one that a kill cut short is left out."""
    whole = record.read_text().splitlines(keepends=True) if record.exists() else []
    return [json.loads(line) for line in whole if line.endswith("\n")]


def current(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines whose data, architecture and recipe are as the study says now."""
    trainings = (
        (Training(row["task"], row["network"], row["seed"]), row) for row in rows if row["task"] in TASKS
    )
    return [row for training, row in trainings if training.identity().items() <= row.items()]


def append(record: Path, row: dict[str, Any]) -> None:
    """One line, on the disk when this returns; what a kill left of a line is closed off before."""
    with record.open("ab+") as file:
        file.seek(0)
        held = file.read()
        file.truncate(held.rfind(b"\n") + 1)
        file.write(json.dumps(row).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=TASKS, help="these tasks alone")
    parser.add_argument("--network", action="append", choices=NETWORKS, help="these networks alone")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="trainings of each network on each task")
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--record", type=Path, default=HERE / "results.jsonl")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    check_equal_macs()
    wanted = plan(asked.only or list(TASKS), asked.network or list(NETWORKS), asked.seeds)
    for training in () if asked.report else wanted:
        if not any(training.identity().items() <= row.items() for row in read(asked.record)):
            row = training.run()
            append(asked.record, row)
            print(f"{training} top1 {row['top1']:.3f} in {row['seconds']} s", flush=True)
    print(report(current(read(asked.record)), asked.record.parent))


if __name__ == "__main__":
    main()
