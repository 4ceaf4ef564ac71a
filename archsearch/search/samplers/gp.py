"""A Gaussian process over accuracy, and the expected hypervolume improvement of candidates whose costs are known.

Only accuracy has to be guessed: MACs and parameters are counted before anything is trained, and what has to
be measured is modelled like accuracy, its mean taken for certain. So the expected improvement is one integral.
Candidates come from chance and from evolution, and each is a point of the space: nothing is proposed that
cannot be built, and conditional choices need no special care.
"""

import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, qmc
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from archsearch.search.draws import feasible_draws, keep_feasible
from archsearch.search.observations import TrainingRow
from archsearch.search.samplers.evolution import elite, feasible
from archsearch.search.samplers.sampler import child_of, new_points, objectives, subsample
from archsearch.trial import Proposal, Searchable, rising

Matrix = NDArray[np.float64]

# Candidates that the model is fitted to at most: fitting takes their cube.
BOUND = 200
DRAWN = 64
BORN = 96
PARENTS = 16
# Changes in a child: mostly few.
MUTATIONS = (1, 1, 2, 4)
# Points of the cost axes at which the improvement is taken.
INTEGRATION_POINTS = 128


def gp(space: Searchable, rows: Sequence[TrainingRow], seed: int) -> Proposal:
    """The candidate of the largest expected hypervolume improvement, of some 160 that chance and evolution offer.

    Emmerich et al. 2006 (IEEE TEVC 10:421) for the criterion. What is known already is not offered.
    """
    generator = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    told = subsample(rows, BOUND)
    offers = draw_offers(space, rows, told, generator)
    if not offers:
        return child_of(space, [told[-1].observation.answers], generator)
    coding = Coding.of([row.observation.choices for row in told])
    inside = coding.rows(
        [row.observation.answers for row in told], [row.observation.features for row in told]
    )
    outside = coding.rows([o.params for o in offers], [space.features(o.architecture) for o in offers])
    values = objectives(told)
    error, deviation = predict(inside, values[:, 0], outside)
    costs = costs_of(space, offers, inside, values[:, 1:], outside)
    feasible_ones = np.array([row.feasible for row in told])
    gains = improvement(error, deviation, costs, values[feasible_ones] if feasible_ones.any() else values)
    return offers[int(np.argmax(gains))]


def draw_offers(
    space: Searchable, rows: Sequence[TrainingRow], told: Sequence[TrainingRow], generator: random.Random
) -> list[Proposal]:
    """Feasible points that are not among ``rows``: drawn by chance, and children of the best of ``told``."""
    best = [row.observation.answers for row in elite(feasible(told), PARENTS)]
    couples = (generator.sample(best, min(2, len(best))) for _ in range(BORN))
    children = (child_of(space, couple, generator, generator.choice(MUTATIONS)) for couple in couples)
    draws = islice(feasible_draws(space, generator), DRAWN)
    return new_points(rows, draws, keep_feasible(space, children))


@dataclass(frozen=True)
class Coding:
    """Answers as numbers: rising choices by their place, in [0, 1]; others one column a choice.

    What a point is not asked is 0 in all columns of that question, and each question that some points are
    not asked has a column that says whether it was.
    """

    questions: dict[str, tuple[Any, ...]]

    @classmethod
    def of(cls, choices: Sequence[Mapping[str, tuple[Any, ...]]]) -> "Coding":
        """Every question that was ever asked and has a choice."""
        questions: dict[str, tuple[Any, ...]] = {}
        for asked in choices:
            questions.update(asked)
        return cls({name: options for name, options in sorted(questions.items()) if len(options) > 1})

    def rows(self, answers: Sequence[Mapping[str, Any]], features: Sequence[tuple[float, ...]]) -> Matrix:
        """One row a point."""
        rows = [self.row(a) + list(f) for a, f in zip(answers, features, strict=True)]
        return np.array(rows, dtype=float)

    def row(self, answers: Mapping[str, Any]) -> list[float]:
        """The columns of one point."""
        row: list[float] = []
        for name, options in self.questions.items():
            given = answers.get(name)
            if rising(options):
                asked = given in options
                row += [options.index(given) / (len(options) - 1) if asked else 0.0, float(asked)]
            else:
                row += [float(given == option) for option in options]
        return row


def predict(inside: Matrix, values: Matrix, outside: Matrix) -> tuple[Matrix, Matrix]:
    """Mean and standard deviation at ``outside`` of a process fitted to ``values`` at ``inside``.

    Matern 5/2 over the columns, each scaled to its standard deviation, with one length for all and white noise: the
    readings are noisy, and no replicate says by how much.
    """
    centre, scale = inside.mean(axis=0), inside.std(axis=0)
    # Not by the scale: rounding gives equal numbers a tiny one.
    told = np.ptp(inside, axis=0) > 0
    x, y = ((m[:, told] - centre[told]) / scale[told] for m in (inside, outside))
    width = np.sqrt(max(1, told.sum()))
    kernel = ConstantKernel(1.0, (0.05, 20.0)) * Matern(width, (0.1 * width, 10 * width), nu=2.5)
    process = GaussianProcessRegressor(kernel + WhiteKernel(0.1, (1e-4, 1.0)), normalize_y=True)
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        process.fit(x, values)
    mean, deviation = process.predict(y, return_std=True)
    return mean, deviation


def costs_of(
    space: Searchable, offers: Sequence[Proposal], inside: Matrix, known: Matrix, outside: Matrix
) -> Matrix:
    """The logarithms of the costs of every offer: counted, or predicted where they have to be measured."""
    columns = []
    for index, counted in enumerate(zip(*(space.costs(o.architecture) for o in offers), strict=True)):
        if None in counted:
            columns.append(predict(inside, known[:, index], outside)[0])
        else:
            columns.append(np.log10(np.array(counted, dtype=float)))
    return np.column_stack(columns) if columns else np.empty((len(offers), 0))


def improvement(error: Matrix, deviation: Matrix, costs: Matrix, known: Matrix) -> Matrix:
    """The expected gain in hypervolume of candidates whose error is guessed and whose costs are known.

    The hypervolume that an error e at costs c adds is the integral, over all costs x that c is within, of
    how much e is below the least known error b(x) at such costs. Its expectation is the integral of the
    expected improvement of one objective, sigma (z Phi(z) + phi(z)) with z = (b(x) - e) / sigma (Jones et
    al. 1998, J. Glob. Optim. 13:455); it is taken at quasi-random points of the cost axes. The reference is
    the worst known value of each objective, a tenth of the range beyond.
    """
    low = np.minimum(known.min(axis=0), np.append(known[:, 0].min(), costs.min(axis=0)))
    high = known.max(axis=0) + 0.1 * np.ptp(known, axis=0)
    points = spread_points(low[1:], high[1:])
    within = (known[:, None, 1:] <= points[None]).all(axis=2)
    best = np.where(within, known[:, :1], high[0]).min(axis=0)
    sigma = np.maximum(deviation, 1e-12)[:, None]
    z = (best[None] - error[:, None]) / sigma
    gain = sigma * (z * norm.cdf(z) + norm.pdf(z))
    reached = (costs[:, None] <= points[None]).all(axis=2)
    gains: Matrix = (gain * reached).sum(axis=1)
    return gains


def spread_points(low: Matrix, high: Matrix) -> Matrix:
    """Points spread evenly over a box: Halton's, unscrambled, so that they are always the same; one if it has no sides."""
    if not len(low):
        return np.empty((1, 0))
    points: Matrix = qmc.Halton(len(low), scramble=False).random(INTEGRATION_POINTS)
    return low + points * (high - low)
