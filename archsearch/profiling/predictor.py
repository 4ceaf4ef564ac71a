"""Latency without running a network: the times of its calls, added up, with a fitted correction.

    latency = sum over groups g of w_g * (ms of the calls of g, timed alone) + c * calls + b,   all >= 0

A call inside a network takes another time than alone: caches, the overhead of modules, launches that
overlap. One factor a group says how much, fitted to a modest number of measured candidates of the user's own
space by non-negative least squares on relative errors. Kernel-level sums are what predicts absolute
latency (nn-Meter, Zhang et al. 2021, https://doi.org/10.1145/3458864.3467882: 99 % within 10 %);
two-feature regressions rank well and miss by far more.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from archsearch.architecture import Architecture
from archsearch.profiling.conditions import Conditions
from archsearch.profiling.latency import Latency, measure_latency
from archsearch.profiling.operator_times import CALL_GROUPS, OperatorTable, Times
from archsearch.stats.rank_correlation import rho

Floats = NDArray[np.float64]
FOLDS = 5
# Pulls the factors towards a common one, where groups come together or hardly ever: share of a latency.
RIDGE = 0.1
MIN_CANDIDATES = 10


@dataclass(frozen=True)
class Accuracy:
    """How well candidates were predicted that the fit had not seen.

    Attributes:
        candidates: how many.
        spearman: rank correlation of predicted and measured; 0 where one of them is always the same.
        within_5, within_10, within_20: shares whose prediction is off by at most so many percent.
        worst: the largest of predicted / measured and measured / predicted.
    """

    candidates: int
    spearman: float
    within_5: float
    within_10: float
    within_20: float
    worst: float

    @classmethod
    def of(cls, predicted: Floats, measured: Floats) -> "Accuracy":
        """The accuracy of some predictions, both in ms."""
        off = np.abs(predicted / measured - 1)
        spearman = rho(predicted, measured)
        return cls(
            candidates=len(measured),
            spearman=0.0 if math.isnan(spearman) else spearman,
            within_5=float((off <= 0.05).mean()),
            within_10=float((off <= 0.10).mean()),
            within_20=float((off <= 0.20).mean()),
            worst=float(np.exp(np.abs(np.log(predicted / measured)).max())),
        )

    def __str__(self) -> str:
        return (
            f"Spearman {self.spearman:.3f}, within 5 / 10 / 20 %: {self.within_5:.0%} / {self.within_10:.0%} / "
            f"{self.within_20:.0%}, worst by a factor of {self.worst:.2f}"
        )


@dataclass
class LatencyPredictor:
    """Predicts the latency of any architecture under ``conditions``.

    Attributes:
        table: calls that were timed; an unknown call is timed when it is first met, on the device itself.
        weights: a factor for each group of calls, ms a call, and ms a pass.
        accuracy: on candidates unseen by the fit that predicted them (five-fold cross-validation).
    """

    table: OperatorTable
    weights: Mapping[str, float]
    accuracy: Accuracy
    known: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def conditions(self) -> Conditions:
        """Under which it was fitted."""
        return self.table.conditions

    def predict(self, architecture: Architecture) -> float:
        """Milliseconds of a batch; remembered."""
        if architecture.id not in self.known:
            features = features_of(self.table.times(architecture))
            weights = np.array([self.weights[name] for name in FEATURES])
            self.known[architecture.id] = float(features @ weights)
        return self.known[architecture.id]

    def at_least(self, architecture: Architecture) -> float:
        """The prediction less the worst error that was seen: what lies above a limit does not meet it."""
        return self.predict(architecture) / self.accuracy.worst

    def to_json(self) -> str:
        """The predictor as text that ``from_json`` reads back."""
        data = {
            "conditions": asdict(self.conditions),
            "weights": dict(self.weights),
            "accuracy": asdict(self.accuracy),
            "calls_ms": self.table.ms,
        }
        return json.dumps(data, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "LatencyPredictor":
        """What ``to_json`` wrote; ValueError, KeyError or TypeError if it is no such text."""
        data = json.loads(text)
        if not all(isinstance(data[name], dict) for name in ("calls_ms", "weights", "accuracy")):
            raise TypeError("a mapping is missing")
        calls = {key: as_finite(ms) for key, ms in data["calls_ms"].items()}
        weights = {name: as_finite(data["weights"][name]) for name in FEATURES}
        for value in data["accuracy"].values():
            as_finite(value)
        table = OperatorTable(Conditions(**data["conditions"]), calls)
        return cls(table, weights, Accuracy(**data["accuracy"]))


FEATURES = (*CALL_GROUPS, "call", "pass")


def as_finite(value: Any) -> float:
    """A number that can be reckoned with; ValueError or TypeError for anything else."""
    number = float(value)
    if not math.isfinite(number) or isinstance(value, str | bool):
        raise ValueError(f"{value!r} is no finite number")
    return number


def fit_predictor(
    architectures: Sequence[Architecture],
    conditions: Conditions,
    *,
    seconds: float = 0.5,
    on_measured: Callable[[Architecture, Latency], None] | None = None,
) -> LatencyPredictor:
    """Measure some architectures for about ``seconds`` each, and fit; ``on_measured`` is told of each.

    Raises:
        ValueError: fewer than ten architectures.
    """
    if len(architectures) < MIN_CANDIDATES:
        raise ValueError(
            f"{len(architectures)} architectures are too few to fit; give {MIN_CANDIDATES} or more"
        )
    measured = np.empty(len(architectures))
    for index, architecture in enumerate(architectures):
        with torch.random.fork_rng(devices=[]):
            network = architecture.build()
        latency = measure_latency(network, architecture.image.shape, conditions, seconds=seconds)
        measured[index] = latency.median_ms
        if on_measured is not None:
            on_measured(architecture, latency)
    return fit(architectures, measured, OperatorTable(conditions))


def fit(architectures: Sequence[Architecture], measured: Floats, table: OperatorTable) -> LatencyPredictor:
    """The predictor of architectures whose latency is known, in ms."""
    features = np.stack([features_of(table.times(architecture)) for architecture in architectures])
    unseen = np.empty(len(measured))
    for fold in range(FOLDS):
        out = np.arange(len(measured)) % FOLDS == fold
        unseen[out] = features[out] @ least_squares(features[~out], measured[~out])
    weights = dict(zip(FEATURES, map(float, least_squares(features, measured)), strict=True))
    return LatencyPredictor(table, weights, Accuracy.of(unseen, measured))


def features_of(times: Times) -> Floats:
    """One row for the regression."""
    return np.array([*(times.by_group.get(group, 0.0) for group in CALL_GROUPS), times.calls, 1.0])


def least_squares(features: Floats, measured: Floats) -> Floats:
    """Non-negative weights of least squared relative errors, with a ridge towards one factor for all groups."""
    from sklearn.linear_model import LinearRegression  # noqa: PLC0415 - over a second that only a fit needs

    relative = features / measured[:, None]
    scale = np.maximum(relative.max(axis=0), 1e-12)
    common = np.median(1 / relative[:, : len(CALL_GROUPS)].sum(axis=1))
    prior = np.where(np.arange(len(scale)) < len(CALL_GROUPS), common, 0.0)
    ridge = math.sqrt(len(measured)) * RIDGE
    rows = np.concatenate([relative / scale, ridge * np.eye(len(scale))])
    wanted = np.concatenate([np.ones(len(measured)), ridge * prior * scale])
    solved = LinearRegression(positive=True, fit_intercept=False).fit(rows, wanted)
    return np.asarray(solved.coef_ / scale, dtype=np.float64)
