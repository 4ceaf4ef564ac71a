"""Who has children in evolution: the objectives, the elite, and the parents."""

import random

import numpy as np
import pytest
from fake_search_spaces import Made, observation

from archsearch.search.observations import training_rows
from archsearch.search.samplers import evolution
from archsearch.search.samplers.evolution import elite, feasible, nsga2, parents, regularized_evolution
from archsearch.search.samplers.sampler import objectives, subsample


@pytest.fixture
def quick(monkeypatch):
    """Places of one objective by sorting: a hundred fronts of one row each take a while to be peeled off."""
    monkeypatch.setattr(evolution, "positions", lambda costs: costs[:, 0].argsort().argsort())


def test_objectives_are_the_error_and_the_logarithms_of_the_costs():
    taught = training_rows(
        [observation(0, top1=(0.75,), costs=(100.0, 0.01)), observation(1, top1=(0.5,), costs=(1e6, 0.0))]
    )
    first, second = objectives(taught)

    assert first == pytest.approx([0.25, 2, -2])
    assert second[:2] == pytest.approx([0.5, 6])
    # A cost of nothing is a very small one, and no infinity.
    assert second[2] == np.log10(np.finfo(float).tiny)


def test_parents_are_within_the_limits_if_anybody_is():
    taught = training_rows(
        [observation(0, excess={"macs": 1.0}), observation(1, excess={"macs": -1.0}), observation(2)]
    )

    assert [row.observation.slot for row in feasible(taught)] == [1, 2]
    assert feasible(taught[:1]) == taught[:1]


def falling(count):
    """Lessons of falling accuracy: slot 0 is the best."""
    return training_rows(
        [observation(slot, top1=(1 - slot / 1000,), answers={"slot": slot}) for slot in range(count)]
    )


def slots(found):
    return [row.observation.slot for row in found]


def test_most_is_told_by_the_best_half_and_the_latest():
    assert slots(subsample(falling(10), 4)) == [0, 1, 8, 9]
    assert slots(subsample(falling(10), 5)) == [0, 1, 7, 8, 9]
    assert slots(subsample(falling(10), 10)) == list(range(10))
    # The best ones are the latest: the rest is the latest of the others.
    rising_ones = training_rows([observation(slot, top1=(slot / 10,)) for slot in range(10)])
    assert slots(subsample(rising_ones, 4)) == [6, 7, 8, 9]


def test_the_elite_is_the_best_by_place():
    assert slots(elite(falling(30), 3)) == [0, 1, 2]
    # The best last: they are found wherever they are.
    assert slots(elite(training_rows([observation(s, top1=(s / 30,)) for s in range(30)]), 2)) == [29, 28]


def test_the_winner_of_a_tournament_of_all_is_the_best():
    assert parents(falling(6), random.Random(0), count=2, meet=6) == [{"slot": 0}, {"slot": 0}]
    assert parents(falling(3), random.Random(0), count=1, meet=50) == [{"slot": 0}]


def test_the_more_meet_in_a_tournament_the_better_its_winner(quick):
    def mean(meet):
        chance = random.Random(0)
        return np.mean([parents(falling(20), chance, 1, meet)[0]["slot"] for _ in range(500)])

    # The least of m of the numbers 0 to 19 is 20 / (m + 1) less a bit in the mean: 21 / (m + 1) - 1.
    assert mean(1) == pytest.approx(9.5, abs=0.8)
    assert mean(2) == pytest.approx(6, abs=0.8)
    assert mean(6) == pytest.approx(2, abs=0.5)


class Told(Made):
    """A space that hands its trial on instead of asking it."""

    def sample(self, trial):
        trial.suggest_categorical("slot", tuple(range(1000)))
        return trial


def family(sampler, taught, seeds=80):
    """The parents that a sampler takes, over many seeds."""
    children = [sampler(Told(None), taught, seed).architecture.inner for seed in range(seeds)]
    return [[parent["slot"] for parent in child.parents] for child in children]


def test_regularised_evolution_looks_at_the_youngest_hundred_only(quick):
    # The best are the oldest; of 150, 50 to 149 live, and of 24 of those that meet the best is one of the first.
    taken = [slot for (slot,) in family(regularized_evolution, falling(150))]

    assert min(taken) >= 50
    assert min(taken) < 55
    # The least of 24 of 100 numbers: 101 / 25 - 1 beyond the first.
    assert np.mean(taken) == pytest.approx(50 + 101 / 25 - 1, abs=1.5)


def test_regularised_evolution_takes_no_parent_beyond_a_limit():
    found = [
        observation(s, top1=(1 - s / 100,), answers={"slot": s}, excess={"macs": 5.0 - s}) for s in range(10)
    ]

    assert {slot for (slot,) in family(regularized_evolution, training_rows(found))} == {5}


def test_nsga2_takes_one_or_two_of_the_fifty_best(quick):
    couples = family(nsga2, falling(150), seeds=400)
    taken = [slot for couple in couples for slot in couple]

    assert max(taken) < 50
    # The less of two of fifty numbers: 51 / 3 - 1.
    assert np.mean(taken) == pytest.approx(16, abs=2)
    assert np.mean([len(couple) == 2 for couple in couples]) == pytest.approx(0.9, abs=0.05)


def test_nsga2_takes_no_parent_beyond_a_limit():
    found = [
        observation(s, top1=(1 - s / 100,), answers={"slot": s}, excess={"macs": 5.0 - s}) for s in range(10)
    ]
    taken = {slot for couple in family(nsga2, training_rows(found)) for slot in couple}

    assert min(taken) == 5


@pytest.mark.parametrize("sampler", [nsga2, regularized_evolution])
def test_a_child_is_one_change_away_from_its_parents_in_the_mean(sampler):
    child = sampler(Told(None), falling(20), 0).architecture.inner

    assert child.mutations == 1
