"""The sampler that fills the map: it aims at cells of globality and size that hold the fewest candidates."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from archsearch.search.draws import feasible_draws
from archsearch.search.observations import TrainingRow
from archsearch.search.samplers.evolution import OffspringTrial
from archsearch.stats.cells import cells_of
from archsearch.trial import Proposal, RandomTrial, Searchable, proposal_of

# Half of the pool is drawn by chance, half are children of what is known: of rare cells chance draws few.
DRAWN = 96
CHILDREN = 96
MUTATIONS = 2


def fill_cells(space: Searchable, lessons: Sequence[TrainingRow], seed: int) -> Proposal:
    """A feasible point in a cell with the fewest candidates, as MAP-Elites spreads them; learns nothing of accuracy.

    Cells are those of ``stats.cells``: MACs stand for the cost of the map, whatever it is, since they are
    known before anything is measured. Where points have no features, one drawn by chance.
    """
    generator = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    pool = list(islice(feasible_draws(space, generator), DRAWN))
    pool += islice(children(space, lessons, generator), CHILDREN)
    known = {lesson.known.identity for lesson in lessons}
    pool = [proposal for proposal in pool if proposal.architecture.id not in known]
    if not pool:
        return proposal_of(space, RandomTrial(generator))
    features = [space.features(proposal.architecture) for proposal in pool]
    if not features[0]:
        return pool[0]
    cells = cells_of([*features, *(lesson.known.features for lesson in lessons)])
    taken = Counter(cells[len(pool) :])
    return min(zip(pool, cells, strict=False), key=lambda pair: taken[pair[1]])[0]


def children(
    space: Searchable, lessons: Sequence[TrainingRow], generator: random.Random
) -> Iterator[Proposal]:
    """Feasible children of any candidates, good or bad: a parent is chosen for where it stands."""
    for _ in range(2 * CHILDREN if lessons else 0):
        parent = generator.choice(lessons).known.answers
        proposal = proposal_of(space, OffspringTrial((parent,), generator, MUTATIONS))
        if not space.reasons_against(proposal.architecture):
            yield proposal
