"""Trials that choose: what the grid visits, what is recorded, and what a child inherits."""

import random
from collections import Counter

import numpy as np
import pytest
from fake_search_spaces import Made, history, stages
from hypothesis import given
from hypothesis import strategies as st

from archsearch.trial import (
    FixedTrial,
    GridTrial,
    OffspringTrial,
    RecordingTrial,
    part_of,
    proposal_of,
    rising,
)

STAGES = Made(stages)
CONV = {
    "stages.0.kind": "conv",
    "stages.0.conv.kernel": 3,
    "stages.1.kind": "conv",
    "stages.1.conv.kernel": 1,
    "stem.channels": 32,
}
MHSA = {
    "stages.0.kind": "mhsa",
    "stages.0.mhsa.heads": 4,
    "stages.1.kind": "mhsa",
    "stages.1.mhsa.heads": 2,
    "stem.channels": 8,
}


def born(*couple, mutations=0, seed=0):
    """The answers of a child."""
    return proposal_of(STAGES, OffspringTrial(couple, random.Random(seed), mutations)).params


class Always(random.Random):
    """Chance that always comes out the same, and choices that are noted."""

    def __init__(self, share):
        super().__init__(0)
        self.share = share
        self.offered = []

    def random(self):
        return self.share

    def choice(self, seq):
        self.offered.append(tuple(seq))
        return seq[0]


def test_the_last_question_turns_first():
    grid, seen = GridTrial(), []
    for _ in range(4):
        kind = grid.suggest_categorical("kind", ("conv", "mhsa"))
        seen.append((kind, grid.suggest_categorical("kernel" if kind == "conv" else "heads", "123")))
        assert grid.step()

    assert seen == [("conv", "1"), ("conv", "2"), ("conv", "3"), ("mhsa", "1")]


def test_a_trial_remembers_what_it_was_asked_and_what_was_chosen():
    trial = RecordingTrial(FixedTrial({"a": 2, "b": "x"}))

    assert trial.suggest_categorical("b", ["x", "y"]) == "x"
    assert trial.suggest_categorical("a", (1, 2)) == 2
    assert list(trial.params.items()) == [("b", "x"), ("a", 2)]
    assert list(trial.choices.items()) == [("b", ("x", "y")), ("a", (1, 2))]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("stages.0.conv.kernel", "stages.0"),
        ("stages.11.kind", "stages.11"),
        ("params.mlp_ratio", "params.mlp_ratio"),
        ("stem.conv.kernel", "stem"),
        ("stem.channels", "stem"),
        ("head.pool", "head"),
    ],
)
def test_a_part_is_a_stage_the_stem_the_head_or_one_shared_parameter(name, part):
    assert part_of(name) == part


@pytest.mark.parametrize("parent", [CONV, MHSA])
def test_a_child_of_one_parent_without_changes_is_the_parent(parent):
    assert all(born(parent, seed=seed) == parent for seed in range(20))


def test_each_part_of_a_child_is_one_parents():
    seen = set()
    for seed in range(60):
        child = born(CONV, MHSA, seed=seed)
        for part in ("stages.0", "stages.1", "stem"):
            here = {n: a for n, a in child.items() if part_of(n) == part}
            giver = [p for p in (CONV, MHSA) if here.items() <= p.items()]
            assert len(giver) == 1
            assert here == {n: a for n, a in giver[0].items() if part_of(n) == part}
        seen.add((child["stages.0.kind"], child["stages.1.kind"], child["stem.channels"]))

    # Three parts of two parents: every mixture occurs.
    assert len(seen) == 2**3


def test_what_the_giver_of_a_part_was_not_asked_comes_from_whoever_was():
    child = OffspringTrial((CONV, MHSA), Always(0.99), mutations=0)

    # ``Always`` takes the first: CONV gives ``stages.0``, and has no heads.
    assert child.suggest_categorical("stages.0.kind", ("conv", "mhsa")) == "conv"
    assert child.suggest_categorical("stages.0.mhsa.heads", (2, 4)) == 4


def test_what_no_parent_was_asked_is_drawn_from_all_choices():
    chance = Always(0.99)
    child = OffspringTrial((CONV,), chance, mutations=0)
    child.suggest_categorical("stages.0.mhsa.heads", (2, 4))

    assert chance.offered == [(CONV,), (2, 4)]


def test_an_answer_that_is_no_longer_a_choice_is_drawn_anew():
    assert OffspringTrial((CONV,), random.Random(0), 0).suggest_categorical("stem.channels", (64, 128)) in (
        64,
        128,
    )


def test_a_stage_that_becomes_another_kind_is_asked_what_that_kind_is_asked():
    changed = 0
    for seed in range(300):
        child = born(CONV, mutations=3, seed=seed)
        for stage in ("stages.0", "stages.1"):
            heads, kernel = (f"{stage}.{name}" in child for name in ("mhsa.heads", "conv.kernel"))
            assert (heads, kernel) == ((True, False) if child[f"{stage}.kind"] == "mhsa" else (False, True))
            changed += heads

    assert changed > 100


def test_changes_are_as_many_as_are_asked_for():
    flat = Made(lambda ask: [ask(f"stages.{n}.kind", *"abcd") for n in range(8)])
    parent = {f"stages.{n}.kind": "a" for n in range(8)}

    def changes(mutations):
        children = (
            proposal_of(flat, OffspringTrial((parent,), random.Random(s), mutations)).params
            for s in range(400)
        )
        return np.mean([sum(a != "a" for a in child.values()) for child in children])

    # Binomial, eight questions: four standard errors are below 0.3.
    assert changes(1) == pytest.approx(1, abs=0.2)
    assert changes(4) == pytest.approx(4, abs=0.3)
    assert changes(8) == 8


def test_the_rate_of_changes_goes_by_the_parent_that_was_asked_most():
    assert (
        OffspringTrial(({"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3, "d": 4}), random.Random(0), 2).rate
        == 2 / 4
    )
    assert OffspringTrial(({}, {}), random.Random(0), 1).rate == 1


def test_a_changed_answer_is_another_one():
    chance = Always(0.0)

    assert OffspringTrial(({"kind": "b"},), chance, 1).change("b", ("a", "b", "c")) != "b"
    # Kinds have no neighbours; every other one is possible.
    assert chance.offered == [("a", "c")]


@pytest.mark.parametrize(("answer", "neighbours"), [(1, (3,)), (3, (1, 5)), (5, (3, 7)), (9, (7,))], ids=str)
def test_the_neighbours_of_a_number_are_the_next_ones_on_both_sides(answer, neighbours):
    near, far = Always(0.49), Always(0.5)
    numbers = (1, 3, 5, 7, 9)
    OffspringTrial(({},), near, 1).change(answer, numbers)
    OffspringTrial(({},), far, 1).change(answer, numbers)

    assert near.offered == [neighbours]
    assert far.offered == [tuple(n for n in numbers if n != answer)]


def test_a_changed_number_goes_to_a_neighbour_half_of_the_time_and_anywhere_else_else():
    child = OffspringTrial(({},), random.Random(0), 1)
    share = Counter(child.change(4, tuple(range(9))) for _ in range(4000))

    # Half of them go to 3 or 5; of the other half two in eight do.
    assert (share[3] + share[5]) / 4000 == pytest.approx(0.5 + 0.5 * 2 / 8, abs=0.03)
    assert share[4] == 0
    assert set(share) == set(range(9)) - {4}


def test_a_question_with_one_choice_is_never_changed():
    assert (
        OffspringTrial(({"head.pool": "mean"},), Always(0.0), 1).suggest_categorical("head.pool", ("mean",))
        == "mean"
    )


@pytest.mark.parametrize(
    ("choices", "wanted"),
    [
        ((1, 2, 5), True),
        ((0.25, 1), True),
        ((2, 1), False),
        ((1, 1, 2), False),
        ((1,), False),
        (("1", "2"), False),
        ((False, True), False),
        ((1, "2"), False),
    ],
)
def test_rising_choices_are_two_numbers_or_more_each_above_the_one_before(choices, wanted):
    assert rising(choices) is wanted


@given(st.integers(0, 2**32), st.floats(0, 5))
def test_every_child_is_a_point_of_the_space(seed, mutations):
    couple = [k.answers for k in history(STAGES, 2, seed=seed % 100)]
    child = proposal_of(STAGES, OffspringTrial(tuple(couple), random.Random(seed), mutations))

    assert STAGES.sample(FixedTrial(child.params)) == child.architecture
