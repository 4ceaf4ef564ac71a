"""Which candidate comes next: chance, the walk through a small space, and where samplers begin."""

import random
from collections import Counter

import pytest
from fake_search_spaces import (
    NINETY_SIX,
    NO_QUESTION,
    ONE_QUESTION,
    Made,
    among,
    history,
    levers,
    observation,
    observation_of,
    stages,
)
from hypothesis import given
from hypothesis import strategies as st

from archsearch.search import SAMPLER_NAMES, ProposalSeed, propose
from archsearch.search import draws as room
from archsearch.search.draws import feasible_draws, feasible_points
from archsearch.search.propose import SAMPLERS, guesses
from archsearch.trial import MAX_DRAWS, FixedTrial, GridTrial, OffspringTrial, proposal_of

STAGES = Made(stages)
EIGHT = Made(levers)
PLACE = ProposalSeed(0, 0)
# Conditional choices, a parameter of the whole file, a list of choices.
SHARED = """\
name: shared
image: {channels: 1, height: 8, width: 8}
classes: 10
params:
  ratio: {choice: [2, 3]}
stem:
  kind:
    patch: {channels: {choice: [4, 8]}, size: 4}
    t2t: {channels: 8, kernels: [3, {choice: [3, 5]}], strides: [2, 1], token_channels: 4}
stages:
  - channels: {choice: [8, 12]}
    depth: 1
    kind:
      conv: {kernel: {choice: [1, 3]}, expansion: 0.5}
      token_transformer: {split_kernel: {choice: [1, 3]}, heads: 2, mlp_ratio: $ratio}
"""


@pytest.mark.parametrize("text", [NINETY_SIX, ONE_QUESTION, NO_QUESTION, SHARED])
def test_the_grid_visits_every_point_exactly_once(searched_of, text):
    space = searched_of(text).space
    grid, seen = GridTrial(), []
    while True:
        seen.append(space.sample(grid).id)
        if not grid.step():
            break

    assert len(seen) == len(set(seen)) == space.size()


@given(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=3), min_size=1, max_size=3))
def test_the_grid_visits_every_point_of_any_tree(kinds):
    # The first question decides which others are asked, and how many choices they have.
    tree = Made(
        lambda ask: [
            ask(str(n), *range(size)) for n, size in enumerate(kinds[ask("kind", *range(len(kinds)))])
        ]
    )
    seen = [proposal.architecture.id for proposal in feasible_points(tree)]
    wanted = sum(product(sizes) for sizes in kinds)

    assert len(seen) == len(set(seen)) == wanted


def product(numbers):
    total = 1
    for number in numbers:
        total *= number
    return total


def test_a_walk_leaves_out_what_is_not_feasible():
    space = Made(stages, against=lambda p: ["wide"] if p["stem.channels"] == 32 else [])

    assert len(list(feasible_points(space))) == 50


def test_a_walk_ends_after_so_many_points(monkeypatch):
    assert room.MAX_POINTS == 20_000
    monkeypatch.setattr(room, "MAX_POINTS", 7)

    assert len(list(feasible_points(STAGES))) == 7


def test_draws_are_the_feasible_ones_of_a_thousand():
    asked = Counter()

    def against(point):
        asked[point["stem.channels"]] += 1
        return ["wide"] if point["stem.channels"] > 8 else []

    drawn = list(feasible_draws(Made(stages, against=against), random.Random(0)))

    assert {p.architecture["stem.channels"] for p in drawn} == {8}
    assert asked.total() == MAX_DRAWS == 1000
    assert len(drawn) == asked[8] == pytest.approx(1000 / 3, abs=50)


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_first_come_those_that_are_to_be_first_unless_they_are_known(ninety_six, sampler):
    everything = history(ninety_six, 96)
    found, told = everything[:20], everything[20:22]
    first = [proposal_of(ninety_six, FixedTrial(k.answers)) for k in told]

    assert propose(ninety_six, sampler, found, PLACE, first) == first[0]
    assert propose(ninety_six, sampler, [*found, told[0]], PLACE, first) == first[1]
    last = propose(ninety_six, sampler, [*found, *told], PLACE, first)
    assert last.architecture.id not in {k.identity for k in (*found, *told)}


def test_a_first_one_may_be_infeasible_for_its_owner_wants_it():
    space = Made(stages, against=lambda p: ["wide"] if p["stem.channels"] == 32 else [])
    wide = next(p for p in feasible_points(STAGES) if p.architecture["stem.channels"] == 32)

    assert propose(space, "random", [], PLACE, [wide]) is wide


def test_the_first_ten_are_drawn_by_chance_whatever_the_sampler(ninety_six):
    found = []
    for slot in range(10):
        proposals = {name: propose(ninety_six, name, found, ProposalSeed(5, slot)) for name in SAMPLER_NAMES}
        assert len({p.architecture.id for p in proposals.values()}) == 1
        found.append(observation_of(ninety_six, slot, proposals["random"], top1=(slot / 10,)))
    others = {name: propose(ninety_six, name, found, ProposalSeed(5, 10)) for name in SAMPLER_NAMES}

    assert len({p.architecture.id for p in others.values()}) > 3


def test_only_candidates_that_were_read_and_did_not_fail_count_to_ten():
    read = history(STAGES, 9)

    def asked(*more):
        return next(guesses(STAGES, "nsga2", [*read, *more], PLACE), None) is not None

    (extra,) = among(history(STAGES, 10)[9:], slot=9)
    assert not asked()
    assert not asked(*among([extra], state="running", readings=()))
    assert not asked(*among([extra], state="infeasible", readings=()))
    assert not asked(*among([extra], state="failed"))
    assert asked(*among([extra], state="paused"))
    assert asked(extra)


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_candidates_that_all_failed_after_a_rung_leave_it_to_chance(ninety_six, sampler):
    found = among(history(ninety_six, 12), state="failed")

    assert propose(ninety_six, sampler, found, PLACE) == propose(ninety_six, "random", found, PLACE)


def test_after_ten_turned_down_chance_takes_over():
    found = history(STAGES, 20)

    assert next(guesses(STAGES, "nsga2", found, ProposalSeed(0, 20, 9)), None) is not None
    assert next(guesses(STAGES, "nsga2", found, ProposalSeed(0, 20, 10)), None) is None
    assert next(guesses(STAGES, "random", found, ProposalSeed(0, 20)), None) is None


def test_a_sampler_has_ten_tries_each_with_a_seed_of_its_own(monkeypatch):
    seeds = []

    def stuck(space, rows, seed):
        seeds.append(seed)
        return proposal_of(space, FixedTrial(rows[0].observation.answers))

    monkeypatch.setitem(SAMPLERS, "gp", stuck)
    found = history(STAGES, 20)
    proposal = propose(STAGES, "gp", found, ProposalSeed(1, 20))

    assert len(set(seeds)) == len(seeds) == 10
    # What it has is known already: so it is chance's turn.
    assert proposal == propose(STAGES, "random", found, ProposalSeed(1, 20))


def test_what_a_sampler_proposes_beyond_a_limit_is_passed_over(monkeypatch):
    limited = Made(stages, against=lambda p: ["wide"] if p["stem.channels"] == 32 else [])
    points = iter(feasible_points(STAGES))
    monkeypatch.setitem(SAMPLERS, "gp", lambda space, learned, seed: next(points))
    proposals = list(guesses(limited, "gp", history(STAGES, 20), PLACE))

    # Of ten points, of which the width turns first, three are of the greatest.
    assert len(proposals) == 7
    assert {p.architecture["stem.channels"] for p in proposals} == {8, 16}


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_the_very_last_point_of_a_space_is_found_and_then_there_is_none(ninety_six, sampler):
    everything = history(ninety_six, 96)
    assert len(everything) == 96
    *others, last = everything

    assert propose(ninety_six, sampler, others, PLACE).architecture.id == last.identity
    assert propose(ninety_six, sampler, everything, PLACE) is None


def test_a_point_that_chance_never_draws_is_walked_to():
    # A thousand draws of one point in a hundred thousand find it once in a hundred.
    space = Made(
        lambda ask: [ask(str(n), *range(10)) for n in range(4)],
        against=lambda p: [] if p.id == LAST else ["no"],
    )

    assert propose(space, "random", [], PLACE).architecture.id == LAST


LAST = "0=9 1=8 2=7 3=6"


def test_a_space_without_a_feasible_point_has_none():
    assert propose(Made(stages, against=lambda p: ["no"]), "gp", [], PLACE) is None


def test_a_seed_belongs_to_one_use_at_one_place():
    places = [
        ProposalSeed(seed, slot, attempt) for seed in range(3) for slot in range(3) for attempt in range(3)
    ]
    seeds = [place.seed_of(what, number) for place in places for what in ("gp", "tpe") for number in range(2)]

    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert ProposalSeed(1, 2).attempt == 0
    assert ProposalSeed(1, 2).seed_of("gp") == ProposalSeed(1, 2, 0).seed_of("gp", 0)
    # Written down: a study that goes on after an update proposes as it did.
    assert ProposalSeed(1, 2, 3).seed_of("random") == 4071998131


def test_proposals_differ_from_slot_to_slot_and_from_attempt_to_attempt():
    space = Made(levers)
    places = [ProposalSeed(0, slot, attempt) for slot in range(5) for attempt in range(5)]

    assert len({propose(space, "random", [], place).architecture.id for place in places}) == len(places)


def test_whoever_is_known_is_not_proposed_whatever_became_of_it():
    first = propose(STAGES, "random", [], PLACE)

    for state in ("running", "paused", "trained", "stopped", "infeasible", "failed"):
        again = propose(STAGES, "random", [observation(0, state, identity=first.architecture.id)], PLACE)
        assert again.architecture.id != first.architecture.id


def climb(space, rows, seed):
    """A user's own sampler: one change away from the most accurate one."""
    best = max(rows, key=lambda row: row.top1)
    trial = OffspringTrial((best.observation.answers,), random.Random(seed), mutations=1)
    return proposal_of(space, trial)


def test_a_sampler_of_ones_own_is_a_function():
    found = history(EIGHT, 12, top1=lambda point: point["stages.0.channels"] / 4)
    best = max(found, key=lambda k: k.top1)
    proposal = propose(EIGHT, climb, found, ProposalSeed(0, 12))
    changed = [name for name, answer in best.answers.items() if proposal.params[name] != answer]

    assert 1 <= len(changed) <= 4
    assert propose(EIGHT, climb, found, ProposalSeed(0, 12)) == proposal
    assert propose(EIGHT, climb, found, ProposalSeed(0, 13)) != proposal


def test_a_sampler_of_ones_own_is_asked_for_nothing_before_ten_candidates_were_read():
    def never(space, rows, seed):
        raise AssertionError

    assert propose(EIGHT, never, history(EIGHT, 9), ProposalSeed(0, 9)) is not None
