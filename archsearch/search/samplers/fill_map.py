"""The sampler that fills the map: it aims at cells of globality and cost that hold the fewest candidates."""

import random
from collections import Counter
from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from archsearch.search.draws import feasible_draws, keep_feasible
from archsearch.search.observations import TrainingRow
from archsearch.search.samplers.sampler import child_of, new_points
from archsearch.stats.cells import Grid
from archsearch.trial import Proposal, RandomTrial, Searchable, proposal_of

Array = NDArray[np.float64]

# Half of the pool is drawn by chance, half are children of what is known: of rare cells chance draws few.
DRAWN = 96
CHILDREN = 96
MUTATIONS = 2


def fill_cells(space: Searchable, rows: Sequence[TrainingRow], seed: int) -> Proposal:
    """A feasible point in a cell with the fewest candidates, as MAP-Elites spreads them; learns nothing of accuracy.

    The cells are those of the map that would be shown now (``stats.cells``): globality, and the study's first
    cost over what was trained so far; MACs in a study without costs, as in the map. A cost that has to be
    measured is predicted (``fill_in``). Where points have no features, one drawn by chance.
    """
    generator = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    # Children of any candidates, good or bad: a parent is chosen for its place on the map.
    parents = (generator.choice(rows).observation.answers for _ in range(2 * CHILDREN if rows else 0))
    children = (child_of(space, [parent], generator, MUTATIONS) for parent in parents)
    draws = islice(feasible_draws(space, generator), DRAWN)
    pool = new_points(rows, draws, islice(keep_feasible(space, children), CHILDREN))
    if not pool or not space.features(pool[0].architecture):
        return pool[0] if pool else proposal_of(space, RandomTrial(generator))
    features, costs = axes(space, pool, rows)
    trained = [row.observation.state == "trained" for row in rows]
    grid = Grid.of(costs[len(pool) :][trained if any(trained) else slice(None)])
    cells = [grid.place(point[-1], cost) for point, cost in zip(features, costs, strict=True)]
    taken = Counter(cells[len(pool) :])
    return min(zip(pool, cells, strict=False), key=lambda pair: taken[pair[1]])[0]


def axes(space: Searchable, pool: Sequence[Proposal], rows: Sequence[TrainingRow]) -> tuple[Array, Array]:
    """Features (n, k) and first cost (n,) of the points of the pool, then of the rows."""
    drawn = [proposal.architecture for proposal in pool]
    points = [space.features(point) for point in drawn] + [row.observation.features for row in rows]
    features = np.array(points, dtype=float)
    if not space.costs(drawn[0]):
        return features, 10 ** features[:, 0]
    costs = [space.costs(point)[0] for point in drawn]
    costs += [row.observation.costs[0] if row.observation.costs else None for row in rows]
    return features, 10 ** fill_in(costs, features)


def fill_in(costs: Sequence[float | None], features: Array) -> Array:
    """The logarithm of each cost (n,); where it has to be measured first, what the features (n, k) say of it.

    By ridge regression over the candidates that were measured. Of 160 networks for CIFAR-10
    (``studies/local_global_cifar10``), told the latencies of 30, it puts 60 % of the others into the right fifth
    of latency, a line over MACs 40 %.
    """
    known = np.array([cost is not None for cost in costs])
    logs = np.log10([np.nan if cost is None else max(cost, np.finfo(float).tiny) for cost in costs])
    if known.all() or not known.any():
        return logs if known.all() else features[:, 0]
    told = features[:, np.ptp(features[known], axis=0) > 0]
    x = (told - told[known].mean(axis=0)) / told[known].std(axis=0)
    middle = logs[known].mean()
    weights = np.linalg.solve(x[known].T @ x[known] + np.eye(x.shape[1]), x[known].T @ (logs[known] - middle))
    return np.where(known, logs, middle + x @ weights)
