"""The proxy that every other one has to beat: more multiply-adds are taken for more accuracy."""

import random
from collections.abc import Sequence
from itertools import islice

import numpy as np

from archsearch.search.draws import feasible_draws
from archsearch.search.observations import TrainingRow
from archsearch.trial import Proposal, RandomTrial, Searchable, proposal_of

POOL = 64


def rank_by_macs(space: Searchable, rows: Sequence[TrainingRow], seed: int) -> Proposal:
    """The drawn architecture that lies farthest from all known ones in MACs, on a logarithmic scale.

    If accuracy were a rising function of MACs, every architecture would be on the frontier of accuracy and
    MACs, and spreading candidates over the MACs would be all that a search can do. Learns nothing of accuracy.
    Where points have no features, one drawn by chance.
    """
    generator = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    pool = list(islice(feasible_draws(space, generator), POOL))
    if not pool or not space.features(pool[0].architecture):
        return pool[0] if pool else proposal_of(space, RandomTrial(generator))
    taken = np.array([row.observation.features[0] for row in rows])
    return max(pool, key=lambda p: float(np.abs(taken - space.features(p.architecture)[0]).min()))
