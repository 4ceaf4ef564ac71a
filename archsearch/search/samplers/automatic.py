"""The sampler that a study gets if it names none."""

from collections.abc import Sequence

from archsearch.search.observations import TrainingRow
from archsearch.search.samplers.evolution import regularized_evolution
from archsearch.search.samplers.gp import gp
from archsearch.trial import Proposal, Searchable

# Candidates from which on a proposal has to cost next to nothing.
MANY = 2_000


def automatic(space: Searchable, rows: Sequence[TrainingRow], seed: int) -> Proposal:
    """Gaussian processes up to 2,000 candidates, then regularised evolution, which costs next to nothing.

    After 200 trainings of NAS-Bench-Macro they had reached a hypervolume of 0.910 and 0.895, TPE 0.901, which
    takes as long as the process does, and random search 0.765 (``studies/search_tables``,
    ``studies/bench_search``). The hand-over depends on what is known and not on a clock, so that the same
    study proposes the same on every machine.
    """
    return (gp if len(rows) < MANY else regularized_evolution)(space, rows, seed)
