from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from fake_search_spaces import Made, history, observation_of, stages
from trial_frames import trials_of

from archsearch.results.map import map_frame
from archsearch.search import ProposalSeed, propose
from archsearch.search.observations import training_rows
from archsearch.search.samplers.fill_map import axes, fill_cells, fill_in
from archsearch.stats.cells import Grid
from archsearch.trial import FixedTrial, proposal_of

# Points of one size, whose globality is their only answer: five cells in a row.
STRIP = Made(
    lambda ask: ask("stages.0.channels", *range(100)),
    told=lambda point: (6.0, point["stages.0.channels"] / 100),
)


STAGES = Made(stages)


def crowd(space, places):
    """Known candidates at these stages, each of them trained."""
    return [
        observation_of(space, slot, proposal_of(space, FixedTrial({"stages.0.channels": stage})), top1=(0.5,))
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
        found.append(observation_of(STRIP, slot, proposal, top1=(0.5,)))
    grid = Grid.of([1.0])
    counts = Counter(grid.place(k.features[-1], 1.0) for k in found)

    assert max(counts.values()) - min(counts.values()) <= 1


def test_it_never_proposes_what_is_known(ninety_six):
    found = history(ninety_six, 90)
    left = {propose(ninety_six, "map", found, ProposalSeed(2, slot)).architecture.id for slot in range(10)}

    assert not left & {k.identity for k in found}


def test_where_points_have_no_features_chance_draws():
    proposal = fill_cells(STAGES, training_rows(history(STAGES, 12)), 3)

    assert STAGES.sample(FixedTrial(proposal.params)) == proposal.architecture


# Points of one globality, that take 1 to 10 ms by a formula of their first feature.
TIMED = Made(
    lambda ask: ask("stages.0.channels", *range(100)),
    cost=lambda point: (None,),
    told=lambda point: (point["stages.0.channels"] / 25, 0.5),
)


def latency(stage):
    return 10 ** (stage / 100)


def timed(stages):
    """Trained candidates at these stages, measured."""
    return [replace(k, costs=(latency(k.answers["stages.0.channels"]),)) for k in crowd(TIMED, stages)]


def test_a_cost_that_has_to_be_measured_is_the_axis_all_the_same():
    # Of the fifths of 1 to 10 ms the third is empty.
    found = timed([0, *range(1, 38, 2), *range(62, 99, 2), 99])

    for slot in range(40, 50):
        proposal = propose(TIMED, "map", found, ProposalSeed(0, slot))
        assert 40 <= proposal.architecture["stages.0.channels"] < 60


def test_it_aims_at_the_cells_of_the_map_that_would_be_shown():
    rows = training_rows(timed(range(0, 100, 9)))
    pool = [proposal_of(TIMED, FixedTrial({"stages.0.channels": 50}))]
    features, costs = axes(TIMED, pool, rows)
    trials = trials_of(
        *(
            {"globality": k.features[-1], "latency_ms": k.costs[0], "top1": 0.5}
            for k in timed(range(0, 100, 9))
        )
    )
    shown = map_frame(trials, "latency_ms")
    places = [Grid.of(costs[1:]).place(0.5, cost) for cost in costs[1:]]

    assert shown["trials"].tolist() == list(Counter(places).values())
    assert features[0].tolist() == [2.0, 0.5]
    assert costs[0] == pytest.approx(latency(50), rel=0.05)


def test_a_study_without_costs_is_filled_by_macs_as_its_map_is():
    _, costs = axes(STRIP, [proposal_of(STRIP, FixedTrial({"stages.0.channels": 3}))], [])

    assert costs == pytest.approx([1e6])


def test_costs_are_filled_in_by_what_the_features_say():
    features = np.array([[1.0, 0.5], [2.0, 0.5], [3.0, 0.5], [4.0, 0.5]])
    told = fill_in([10.0, 100.0, 1000.0, None], features)

    # Steps of one feature are steps of the logarithm, but for the ridge: of three points, a fourth is drawn in.
    assert told[:3].tolist() == [1, 2, 3]
    assert 3 < told[3] < 4
    # Nothing was measured: MACs, whose logarithm comes first, give the order.
    assert fill_in([None] * 4, features).tolist() == [1, 2, 3, 4]
