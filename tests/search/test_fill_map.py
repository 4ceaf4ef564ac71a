from collections import Counter

from fake_search_spaces import Made, history, known_of, stages

from archsearch.results import map as results_map
from archsearch.search import ProposalSeed, propose, training_rows
from archsearch.search.samplers.fill_map import fill_cells
from archsearch.stats.cells import GLOBALITY_CELLS, cells_of
from archsearch.trial import FixedTrial, proposal_of


def test_the_search_aims_at_the_cells_that_the_map_shows():
    assert GLOBALITY_CELLS == results_map.GLOBALITY_CELLS


def test_cells_are_fifths_of_globality_and_of_the_logarithm_of_size():
    points = [(4.0, 0.0), (4.9, 0.19), (5.1, 0.2), (9.0, 1.0), (8.9, 0.99)]

    assert cells_of(points) == [(0, 0), (0, 0), (1, 1), (4, 4), (4, 4)]


def test_points_of_one_size_share_a_column():
    assert cells_of([(4.0, 0.5), (4.0, 0.1)]) == [(2, 0), (0, 0)]


# Points of one size, whose globality is their only answer: five cells in a row.
STRIP = Made(
    lambda ask: ask("stages.0.channels", *range(100)),
    told=lambda point: (6.0, point["stages.0.channels"] / 100),
)


STAGES = Made(stages)


def crowd(space, places):
    """Known candidates at these stages, each of them trained."""
    return [
        known_of(space, slot, proposal_of(space, FixedTrial({"stages.0.channels": stage})), top1=(0.5,))
        for slot, stage in enumerate(places)
    ]


def test_it_aims_at_the_cell_with_the_fewest_candidates():
    found = crowd(STRIP, [*range(20), *range(20, 60, 2), *range(81, 99)])

    for slot in range(40, 50):
        proposal = propose(STRIP, "map", found, ProposalSeed(0, slot))
        assert 60 <= proposal.architecture["stages.0.channels"] < 80


def test_candidates_one_after_another_fill_the_cells_evenly():
    found = crowd(STRIP, range(10))
    for slot in range(10, 58):
        proposal = propose(STRIP, "map", found, ProposalSeed(1, slot))
        found.append(known_of(STRIP, slot, proposal, top1=(0.5,)))
    counts = Counter(cell for cell, _ in cells_of([k.features for k in found]))

    assert max(counts.values()) - min(counts.values()) <= 1


def test_it_never_proposes_what_is_known(ninety_six):
    found = history(ninety_six, 90)
    left = {propose(ninety_six, "map", found, ProposalSeed(2, slot)).architecture.id for slot in range(10)}

    assert not left & {k.identity for k in found}


def test_where_points_have_no_features_chance_draws():
    proposal = fill_cells(STAGES, training_rows(history(STAGES, 12)), 3)

    assert STAGES.sample(FixedTrial(proposal.params)) == proposal.architecture
