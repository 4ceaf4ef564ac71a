"""The proxy that every other one has to beat: more multiply-adds are taken for more accuracy."""

import random
from collections.abc import Sequence

import numpy as np

from archsearch.counting import count_macs
from archsearch.search.draws import feasible_draws
from archsearch.search.observations import TrainingRow
from archsearch.trial import FixedTrial, Proposal, RandomTrial, Searchable, proposal_of

POOL = 64


def rank_by_macs(space: Searchable, lessons: Sequence[TrainingRow], seed: int) -> Proposal:
    """The drawn architecture that lies farthest from all known ones in MACs, on a logarithmic scale.

    If accuracy were a rising function of MACs, every architecture would be on the frontier of accuracy and
    MACs, and spreading candidates over the MACs would be all that a search can do. Learns nothing of accuracy.
    """
    generator = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    pool = [p for p, _ in zip(feasible_draws(space, generator), range(POOL), strict=False)]
    if not pool:
        return proposal_of(space, RandomTrial(generator))
    taken = np.log([count_macs(space.sample(FixedTrial(x.known.answers))).total for x in lessons])
    return max(pool, key=lambda p: float(np.abs(taken - np.log(count_macs(p.architecture).total)).min()))
