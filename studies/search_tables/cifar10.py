"""CIFAR-10, guessed from 86 real trainings of 64 architectures (``studies/proxy_fairness``).

The truth of an architecture is the mean of a Gaussian process on what it is, and its own deviation: drawn once for
each architecture, as large as what the process misses when a candidate is left out. A training ends at the truth
and the noise of a seed. What it shows on the way follows from the truth and the family by linear regression, and
misses it by draws with the measured covariance: a rung and the end agree as much as they really do.
"""

import random
from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct

from archsearch.architecture import Architecture
from archsearch.counting import count_activations, count_macs, count_params, global_depth
from archsearch.space import Space, load_space
from archsearch.trial import Trial
from studies.proxy_fairness.training import GROUPS, LEAST_MACS, RUNGS, candidates, globality, group_of
from studies.proxy_fairness.training import HERE as TRAININGS
from studies.search_tables.tables import Point, Reading, feasible_draws

STEMS = ("conv", "patch", "t2t")
KINDS = ("conv", "mhsa", "token_transformer")
LATER = (
    "rung_1_raw_top1",
    "rung_2_raw_top1",
    "rung_1_raw_train_loss",
    "rung_2_raw_train_loss",
    "train_loss",
)
KNOWN = 4_000

Array = NDArray[np.float64]


class FairSpace:
    """The space of the trained candidates, between 1.5 and 3 million multiply-adds as they were."""

    references: tuple[Point, ...] = ()

    def __init__(self, space: Space) -> None:
        self.space = space

    def sample(self, trial: Trial) -> Point:
        """The architecture, and its family."""
        return point(self.space.sample(trial))

    def violations(self, point: Point) -> list[str]:
        """Those of the space, and what is smaller than anything that was trained."""
        reasons = self.space.violations(point.chosen)
        if not reasons and count_macs(point.chosen).total < LEAST_MACS:
            return [f"macs < {LEAST_MACS:,}"]
        return reasons


def point(architecture: Architecture) -> Point:
    """An architecture with its identity and its group."""
    return Point(architecture.id, group_of(architecture.layout), architecture)


class Cifar10:
    """Top-1 on held-out images against multiply-adds, with the rungs of the proxy study."""

    name = "cifar10"
    cost = "macs"
    full_samples = 48_000.0
    rungs: tuple[float, ...] = RUNGS

    def __init__(self) -> None:
        space = load_space(TRAININGS / "space.yaml")
        chosen = candidates(space)
        self.space = FairSpace(space)
        self.truth = Truth(chosen, trainings())
        self.curves = Curves(chosen, trainings())
        self.finals: dict[str, float] = {}

    def costs(self, point: Point) -> tuple[float, ...]:
        """Multiply-adds."""
        return (float(count_macs(point.chosen).total),)

    def read(self, point: Point, share: float, seed: int) -> Reading:
        """The end and both rungs are of one training, whose noise is drawn once."""
        final = self.final(point)
        shown = dict(zip(LATER, self.curves.draw(point, final, seed), strict=True))
        shown["top1"] = final + self.truth.seed_deviation * normals(f"{point.id} end {seed}", 1)[0]
        return {
            RUNGS[0]: Reading(shown["rung_1_raw_top1"], shown["rung_1_raw_train_loss"]),
            RUNGS[1]: Reading(shown["rung_2_raw_top1"], shown["rung_2_raw_train_loss"]),
            1.0: Reading(shown["top1"], shown["train_loss"]),
        }[share]

    def final(self, point: Point) -> float:
        """The truth of an architecture."""
        if point.id not in self.finals:
            self.finals[point.id] = self.truth.draw(point)
        return self.finals[point.id]

    def known(self) -> list[Point]:
        """Random points."""
        return list(islice(feasible_draws(self.space, random.Random(0)), KNOWN))


@cache
def trainings() -> pd.DataFrame:
    """The 86 trainings, by seed and architecture."""
    return pd.read_csv(TRAININGS / "trainings.csv").set_index(["seed", "architecture"])


def measured_finals(candidates: Sequence[Architecture], table: pd.DataFrame) -> Array:
    """Mean top-1 at the end of each candidate's seeds."""
    mean = table["top1"].groupby("architecture").mean()
    return mean.loc[[a.id for a in candidates]].to_numpy()


class Truth:
    """Final top-1 of any architecture."""

    def __init__(self, candidates: Sequence[Architecture], table: pd.DataFrame) -> None:
        inputs = np.array([features(architecture) for architecture in candidates])
        finals = measured_finals(candidates, table)
        self.shift, self.scale = inputs.mean(0), inputs.std(0) + 1e-9
        self.mean, self.deviation = float(finals.mean()), float(finals.std())
        pairs = table["top1"].loc[1] - table["top1"].loc[0].loc[table["top1"].loc[1].index]
        self.seed_deviation = float(np.sqrt((pairs**2).mean() / 2))
        noise = (self.seed_deviation / self.deviation) ** 2
        seen, wanted = (inputs - self.shift) / self.scale, (finals - self.mean) / self.deviation
        self.process = process(noise).fit(seen, wanted)
        self.left_out = left_out(self.process, seen, wanted) * self.deviation + self.mean
        missed = float(((finals - self.left_out) ** 2).mean())
        self.own_deviation = float(np.sqrt(missed - self.seed_deviation**2))

    def draw(self, point: Point) -> float:
        """What the process expects, and the architecture's own deviation."""
        row = (features(point.chosen) - self.shift) / self.scale
        expected = float(self.process.predict(row[None])[0]) * self.deviation + self.mean
        return expected + self.own_deviation * normals(f"{point.id} own", 1)[0]


class Curves:
    """What a training shows on the way to a final top-1."""

    def __init__(self, candidates: Sequence[Architecture], table: pd.DataFrame) -> None:
        finals = measured_finals(candidates, table)
        inputs = np.array(
            [
                causes(f, group_of(a.layout), count_macs(a).total)
                for f, a in zip(finals, candidates, strict=True)
            ]
        )
        shown = table.loc[0].loc[[a.id for a in candidates], list(LATER)].to_numpy()
        self.weights = np.linalg.lstsq(inputs, shown, rcond=None)[0]
        missed = shown - inputs @ self.weights
        self.root = np.linalg.cholesky(missed.T @ missed / (len(inputs) - inputs.shape[1]))

    def draw(self, point: Point, final: float, seed: int) -> list[float]:
        """Readings in the order of ``LATER``."""
        expected = causes(final, point.family, count_macs(point.chosen).total) @ self.weights
        return list(expected + self.root @ normals(f"{point.id} way {seed}", len(LATER)))


def causes(final: float, family: str, macs: int) -> Array:
    """What a reading on the way depends on."""
    return np.array([final, np.log(macs), *(family == name for name in GROUPS)], dtype=np.float64)


def features(architecture: Architecture) -> Array:
    """What the Gaussian process sees: size, locality, and every stage."""
    depth = global_depth(architecture)
    numbers = [
        np.log(count_params(architecture)),
        np.log(count_macs(architecture).total),
        np.log(count_activations(architecture)),
        globality(architecture),
        1.5 if depth is None else depth,
        *(architecture.stem.kind == kind for kind in STEMS),
        *(group_of(architecture.layout) == name for name in GROUPS),
    ]
    for stage in architecture.stages:
        numbers += [*(stage.kind == kind for kind in KINDS), *shape_of(stage)]
    return np.array(numbers, dtype=np.float64)


def shape_of(stage: Any) -> tuple[float, ...]:
    """Depth, width, stride, kernel and expansion of a stage; 0 for what its kind has not."""
    return (
        stage.depth,
        stage.channels,
        stage.stride,
        getattr(stage, "kernel", 0),
        getattr(stage, "expansion", 0),
    )


def process(noise: float) -> GaussianProcessRegressor:
    """A linear trend and a smooth deviation from it, under noise of a known variance."""
    kernel = DotProduct(1.0, "fixed") * ConstantKernel(0.02) + ConstantKernel(1.0) * RBF(5.0, (1.0, 50.0))
    return GaussianProcessRegressor(kernel, alpha=noise)


def left_out(process: GaussianProcessRegressor, inputs: Array, wanted: Array) -> Array:
    """Each candidate guessed from the others, in closed form (Rasmussen and Williams 2006, equation 5.12)."""
    inverse = np.linalg.inv(process.kernel_(inputs) + process.alpha * np.eye(len(inputs)))
    return np.asarray(wanted - inverse @ wanted / np.diag(inverse))


def normals(purpose: str, count: int) -> Array:
    """Standard normal numbers, the same for the same purpose."""
    generator = random.Random(purpose)
    return np.array([generator.gauss(0, 1) for _ in range(count)])
