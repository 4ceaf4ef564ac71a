"""The search study: tables answer as measured, every search pays for what it trains, and the measure is right."""

import random
import time
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from optuna.samplers import RandomSampler
from scipy.stats import kendalltau

from studies.proxy_fairness.training import GROUPS
from studies.search_tables.cifar10 import Cifar10
from studies.search_tables.competitors import search_at_random, search_by_optuna, search_by_rungs
from studies.search_tables.measure import Finished, Scale, scale_of, steps
from studies.search_tables.ours import ours
from studies.search_tables.report import curve, first
from studies.search_tables.tables import Download, Point, Reading, feasible_draws

TABLE = "0123456789"


class ToySpace:
    """A hundred points; the costliest of all cannot be trained."""

    references = ()

    def sample(self, trial):
        digits = [trial.suggest_categorical(name, list(TABLE)) for name in ("quality", "cost")]
        return Point("".join(digits), "all", tuple(map(int, digits)))

    def violations(self, point):
        return ["cost > 8"] if point.chosen[1] == 9 else []


@dataclass
class Toy:
    """The better the first digit, and the cheaper the second, the better; it notes what was read."""

    name: str = "toy"
    cost: str = "cost"
    full_samples: float = 9.0
    rungs: tuple = (1 / 9, 1 / 3)
    space: ToySpace = field(default_factory=ToySpace)
    asked: list = field(default_factory=list)

    def costs(self, point):
        return (10.0 ** point.chosen[1],)

    def read(self, point, share, seed):
        self.asked.append((point.id, share))
        return Reading(self.final(point), 1 - self.final(point))

    def final(self, point):
        return point.chosen[0] / 10

    def known(self):
        return [Point(f"{q}{c}", "all", (q, c)) for q in range(10) for c in range(9)]


class Stubborn:
    """A scheduler that stops every second trial at its first rung."""

    def __init__(self):
        self.trials = -1

    def ask(self, question):
        if not question:
            self.trials += 1
            return {"trial": self.trials, "draw": self.trials}
        return {"stop": question["level"] == 2 or question["trial"] % 2 == 0}


@pytest.fixture(scope="module")
def cifar10():
    return Cifar10()


@pytest.fixture(scope="module")
def groups(cifar10):
    """Ten groups of sixteen of each family, as the measured candidates were, but others."""
    pools = {name: [] for name in GROUPS}
    for point in feasible_draws(cifar10.space, random.Random(5)):
        if len(pools[point.family]) < 160:
            pools[point.family].append(point)
        if all(len(pool) == 160 for pool in pools.values()):
            break
    return [[point for pool in pools.values() for point in pool[16 * g : 16 * g + 16]] for g in range(10)]


@pytest.mark.parametrize(
    ("rung", "by_loss", "low", "high"),
    [(0, False, -0.10, 0.24), (0, True, 0.35, 0.59), (1, False, 0.50, 0.69), (1, True, 0.69, 0.82)],
)
def test_rungs_rank_new_architectures_as_they_ranked_the_measured_ones(
    cifar10, groups, rung, by_loss, low, high
):
    """The bounds are the intervals of ``studies/proxy_fairness/ladder.csv``."""

    def tau(points):
        read = [cifar10.read(point, cifar10.rungs[rung], 0) for point in points]
        scores = [-reading.train_loss if by_loss else reading.top1 for reading in read]
        return kendalltau(scores, [cifar10.read(point, 1.0, 0).top1 for point in points]).statistic

    found = [tau(points) for points in groups]

    assert low < np.mean(found) < high


def test_new_architectures_are_as_different_as_the_measured_ones(cifar10, groups):
    deviation = np.mean([np.std([cifar10.final(point) for point in points]) for points in groups])

    assert deviation == pytest.approx(0.032, abs=0.004)


def test_a_training_is_the_same_whoever_asks(cifar10, groups):
    point = groups[0][0]
    again = Cifar10()

    assert again.read(point, 1 / 3, 4) == cifar10.read(point, 1 / 3, 4)
    assert cifar10.read(point, 1 / 3, 5) != cifar10.read(point, 1 / 3, 4)


def test_seeds_differ_as_much_as_they_did(cifar10, groups):
    point = groups[0][0]
    ends = [cifar10.read(point, 1.0, seed).top1 for seed in range(300)]

    assert np.mean(ends) == pytest.approx(cifar10.final(point), abs=0.0012)
    assert np.std(ends) == pytest.approx(0.006, abs=0.001)


@pytest.mark.alone
def test_a_reading_takes_no_time(cifar10, groups):
    point = groups[0][1]
    cifar10.read(point, 1.0, 0)
    start = time.perf_counter()
    for seed in range(100):
        cifar10.read(point, 1.0, seed)

    assert time.perf_counter() - start < 0.1


def test_a_file_that_is_not_the_one_measured_on_is_refused(tmp_path):
    file = tmp_path / "macro.json"
    file.write_text("{}")

    with pytest.raises(SystemExit, match="has SHA-256 44136fa3"):
        Download("https://example.org/macro.json", "686dee83").verify(file)


def test_hypervolume_is_the_area_between_a_front_and_the_reference_point():
    scale = Scale(ideal=np.array([0.0, 0.0]), nadir=np.array([0.5, 2.0]))
    trace = [Finished(1, "a", 0.75, 10.0), Finished(2, "b", 0.5, 1.0)]

    # Errors 0.25 and 0.5 of 0.5, tens of 1 and 0 of 2: the points (0.5, 0.5) and (1, 0) below (1.1, 1.1).
    assert scale.hypervolume(trace) == pytest.approx(0.6 * 0.6 + 0.1 * 0.5)


def test_steps_are_where_the_hypervolume_grows_and_where_the_budget_ends():
    scale = Scale(ideal=np.array([0.0, 0.0]), nadir=np.array([1.0, 1.0]))
    tops = {1: 0.1, 2: 0.0, 5: 0.2, 6: 0.1}
    trace = [Finished(samples, str(samples), top1, 1.0) for samples, top1 in tops.items()]
    found = steps(trace, scale, budget=10)

    assert [(step.samples, step.finished) for step in found] == [(1, 1), (5, 3), (10, 4)]


def test_the_scale_of_a_table_is_that_of_its_front():
    scale = scale_of(Toy())

    assert scale.ideal.tolist() == pytest.approx([0.1, 0.0])
    assert (scale.nadir - scale.ideal).tolist() == pytest.approx([0.0, 0.0])


def test_random_search_pays_for_full_trainings_and_trains_nothing_twice():
    trace = search_at_random(Toy(), seed=0, budget=9 * 60)

    assert [f.samples for f in trace] == [9 * n for n in range(1, 61)]
    assert len({f.point for f in trace}) == 60


def test_optuna_does_not_pay_for_repeats_nor_for_what_cannot_be_trained():
    trace = search_by_optuna(Toy(), RandomSampler(seed=0), seed=0, budget=9 * 60)

    assert [f.samples for f in trace] == [9 * n for n in range(1, 61)]
    assert len({f.point for f in trace}) == 60
    assert all(not f.point.endswith("9") for f in trace)


def test_a_training_that_is_stopped_costs_its_share():
    trace = search_by_rungs(Toy(), Stubborn(), seed=0, budget=100, by_loss=False)

    # One sample for each that is stopped, nine for each that is not.
    assert [f.samples for f in trace] == pytest.approx([10 * n for n in range(1, 11)])


@pytest.mark.parametrize("method", ["ours-random", "ours-random-rungs", "ours-nsga2-rungs"])
def test_our_search_pays_for_every_share_once(method):
    toy = Toy()
    trace = ours(toy, method, seed=0, budget=9 * 20)
    paid = sum({1 / 9: 1, 1 / 3: 2, 1.0: 6 if "rungs" in method else 9}[share] for _, share in toy.asked)

    assert len(toy.asked) == len(set(toy.asked))
    assert trace[-1].samples <= 9 * 20 <= paid < 9 * 21


def test_the_curve_of_a_search_is_read_from_its_steps():
    rows = pd.DataFrame({"trainings": [1.0, 2.5, 200.0], "hypervolume": [0.1, 0.3, 0.3]})

    assert curve(rows)[[0, 1, 2, 199]].tolist() == [0.1, 0.1, 0.3, 0.3]
    assert first(rows, 0.2) == 2.5
    assert first(rows, 0.4) == np.inf
