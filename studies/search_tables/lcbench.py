"""LCBench on covertype: learning curves of small MLPs, from the surrogate of YAHPO Gym.

Sources: Zimmer et al. 2021, "Auto-PyTorch Tabular", https://arxiv.org/abs/2006.13799 (the curves); Pfisterer et al.
2022, "YAHPO Gym", https://arxiv.org/abs/2109.03670 (the surrogate, Apache-2.0).
"""

import random
from itertools import islice
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from archsearch.trial import Trial
from studies.search_tables.tables import Download, Point, Reading, feasible_draws

FILE = Download(
    "https://raw.githubusercontent.com/slds-lmu/yahpo_data/efdab9072f63bd680396cd4b78b927c4a0caaad3/"
    "lcbench/model.onnx",
    "b45c0d85ae39abf8820c8bea5ac82f415763afcbaf3b725e36af452b09cb6dcd",
)
EPOCHS = 52
COVERTYPE = 35  # the surrogate's number for OpenML task 7593
INPUTS, CLASSES = 54, 7
ACCURACY, CROSS_ENTROPY = 1, 2  # places in what the surrogate answers
KNOWN = 20_000


def spread(low: float, high: float) -> list[float]:
    """Eight values at equal distances."""
    return [float(value) for value in np.linspace(low, high, 8)]


def spread_log(low: float, high: float) -> list[float]:
    """Eight values at equal ratios."""
    return [float(value) for value in np.geomspace(low, high, 8)]


# In the surrogate's order; the ranges are those of the curves, on a grid.
QUESTIONS: dict[str, list[float]] = {
    "batch_size": [float(round(value)) for value in spread_log(16, 512)],
    "learning_rate": spread_log(1e-4, 1e-1),
    "momentum": spread(0.1, 0.99),
    "weight_decay": spread(1e-5, 1e-1),
    "num_layers": [1.0, 2.0, 3.0, 4.0, 5.0],
    "max_units": [float(round(value)) for value in spread_log(64, 1024)],
    "max_dropout": spread(0, 1),
}


class CurvesSpace:
    """Seven questions: 1.3 million points."""

    references: tuple[Point, ...] = ()

    def sample(self, trial: Trial) -> Point:
        """Its family is its depth."""
        chosen = {name: trial.suggest_categorical(name, options) for name, options in QUESTIONS.items()}
        places = [options.index(chosen[name]) for name, options in QUESTIONS.items()]
        return Point("".join(map(str, places)), f"{chosen['num_layers']:.0f} layers", tuple(chosen.values()))

    def violations(self, _: Point) -> list[str]:
        """The surrogate answers everything."""
        return []


class Curves:
    """Validation accuracy against weights; rungs at 6 and 17 of 52 epochs; one answer for all seeds.

    The surrogate has no training loss: a reading's ``train_loss`` is the validation cross-entropy here.
    """

    name = "lcbench"
    cost = "weights"
    full_samples = float(EPOCHS)
    rungs: tuple[float, ...] = (6 / EPOCHS, 17 / EPOCHS)

    def __init__(self, file: Path | None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(FILE.verify(file), options)
        self.space = CurvesSpace()
        self.answers: dict[tuple[str, float], Reading] = {}

    def costs(self, point: Point) -> tuple[float, ...]:
        """Weights of the matrices of a funnel: widths fall evenly from ``max_units`` to the classes."""
        named = dict(zip(QUESTIONS, point.chosen, strict=True))
        widths = np.linspace(named["max_units"], CLASSES, int(named["num_layers"]) + 1)
        widths = np.array([INPUTS, *widths])
        return (float((widths[:-1] * widths[1:]).sum()),)

    def read(self, point: Point, share: float, seed: int) -> Reading:  # noqa: ARG002 - the surrogate has no seeds
        """The surrogate's curve at an epoch."""
        key = point.id, share
        if key not in self.answers:
            answer = self.ask([point], share)[0]
            self.answers[key] = Reading(float(answer[ACCURACY]) / 100, float(answer[CROSS_ENTROPY]))
        return self.answers[key]

    def final(self, point: Point) -> float:
        """The end of the curve."""
        return self.read(point, 1.0, 0).top1

    def known(self) -> list[Point]:
        """Random points; asked at once, so that judging them takes no time."""
        points = list(islice(feasible_draws(self.space, random.Random(0)), KNOWN))
        for point, answer in zip(points, self.ask(points, 1.0), strict=True):
            self.answers[point.id, 1.0] = Reading(float(answer[ACCURACY]) / 100, float(answer[CROSS_ENTROPY]))
        return points

    def ask(self, points: list[Point], share: float) -> NDArray[np.float32]:
        """``(points, 6)``: time, accuracy in percent, cross-entropy and others, at a share of the epochs."""
        epoch = round(share * EPOCHS)
        rows = np.array([(epoch, *point.chosen) for point in points], dtype=np.float32)
        task = np.full((len(points), 1), COVERTYPE, dtype=np.int32)
        return np.asarray(self.session.run(None, {"x_cat": task, "x_cont": rows})[0])
