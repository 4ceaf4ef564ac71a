"""Who goes on from a rung, and that a search by rungs comes to an end."""

from dataclasses import dataclass, field, replace

import pytest
from fake_search_spaces import observation
from hypothesis import given
from hypothesis import strategies as st

from archsearch.search import Reading, SuccessiveHalving, next_promotion

# Nobody goes on by chance, unless a test says so.
LADDER = SuccessiveHalving((0.1, 0.3), random_promotion=0.0)
NUMBERS = st.integers(0, 4)


def entry(slot, top1, *costs, state="paused", **settings):
    """A candidate at its first rung, or at the rung of its latest reading."""
    top1 = top1 if isinstance(top1, tuple) else (top1,)
    return observation(slot, state, top1, costs=tuple(map(float, costs)), **settings)


def with_losses(found, losses):
    """The same candidates, each with a training loss at its rung."""
    return [
        replace(k, readings=(Reading(k.readings[0].top1, loss),))
        for k, loss in zip(found, losses, strict=True)
    ]


def sent_on(found, halving=LADDER, *, more_to_come=False):
    """All who go on from the rungs where they are, one after the other; by slot, whether by chance."""
    sent, found = {}, list(found)
    while (choice := next_promotion(found, halving, more_to_come=more_to_come)) is not None:
        slot, by_chance = choice
        assert slot not in sent
        sent[slot] = by_chance
        found = [replace(k, state="running") if k.slot == slot else k for k in found]
    return sent


def field_of(top1s, **settings):
    """One family at its first rung, of one objective."""
    return [entry(slot, top1, **settings) for slot, top1 in enumerate(top1s)]


def entered(rows, order=None):
    """Candidates of one family at a full rung, that came in this order."""
    slots = order or range(len(rows))
    return [entry(slot, top1 / 10, *costs) for slot, (top1, *costs) in zip(slots, rows, strict=True)]


def rows_of(costs):
    """Accuracies in tenths and costs; few values, so that many are equal."""
    return st.lists(st.tuples(*[NUMBERS] * (costs + 1)), min_size=1, max_size=10)


rungs_of_rows = st.integers(0, 3).flatmap(rows_of)
factors = st.integers(2, 4)


@pytest.mark.parametrize(
    ("entries", "factor", "before", "after"),
    [
        (1, 3, 0, 1),
        (2, 3, 0, 1),
        (3, 3, 1, 1),
        (7, 3, 2, 3),
        (9, 3, 3, 3),
        (5, 2, 2, 3),
        (6, 2, 3, 3),
        (7, 4, 1, 2),
        (8, 4, 2, 2),
    ],
)
def test_one_in_so_many_goes_on_rounded_down_while_candidates_may_come_and_then_up(
    entries, factor, before, after
):
    halving = SuccessiveHalving((0.5,), factor, random_promotion=0.0)
    found = field_of([slot / 10 for slot in range(entries)])

    assert halving.quota(entries, complete=False) == before
    assert halving.quota(entries, complete=True) == after
    # The last ones are the best.
    assert sorted(sent_on(found, halving, more_to_come=True)) == list(range(entries - before, entries))
    assert sorted(sent_on(found, halving)) == list(range(entries - after, entries))


def test_one_in_three_goes_on_and_one_in_ten_by_chance_unless_it_is_said_otherwise():
    assert (
        SuccessiveHalving(()).reduction_factor,
        SuccessiveHalving(()).random_promotion,
        SuccessiveHalving(()).seed,
    ) == (3, 0.1, 0)


def test_the_candidate_of_the_lowest_slot_goes_first():
    assert next_promotion(field_of([0.1, 0.8, 0.2, 0.9, 0.3, 0.0]), LADDER, more_to_come=True) == (1, False)


def test_nobody_goes_on_from_no_rung():
    assert next_promotion([], LADDER, more_to_come=False) is None
    assert next_promotion([observation(0, "running", ())], LADDER, more_to_come=False) is None
    assert (
        next_promotion(
            field_of([0.1, 0.2, 0.3]), SuccessiveHalving((), random_promotion=0.0), more_to_come=False
        )
        is None
    )


def test_a_place_belongs_to_a_candidate_and_not_to_the_order_of_their_ranks():
    # Syne Tune's MOASHA 0.16 reads the permutation that sorts (1, 2, 0 here) as the ranks (2, 0, 1).
    assert sent_on(field_of([0.7, 0.9, 0.8])) == {1: False}


def test_on_a_front_it_is_the_room_that_decides():
    # None dominates another. By room: both ends, then (4, 2); by hand in test_dominance.
    found = [entry(0, 0.6, 4), entry(1, 0.2, 0), entry(2, 0.8, 8), entry(3, 0.4, 3)]
    halving = SuccessiveHalving((0.5,), 2, random_promotion=0.0)

    assert sorted(sent_on(found, halving)) == [1, 2]


def test_who_trains_still_keeps_its_place():
    found = [entry(0, 0.9, state="running"), *(entry(slot, 0.1 * slot) for slot in range(1, 6))]

    # Six entries, two places: one is taken.
    assert sent_on(found, more_to_come=True) == {5: False}


@pytest.mark.parametrize("state", ["trained", "stopped", "running"])
def test_who_has_gone_on_or_was_stopped_is_not_sent_on_again(state):
    later = (0.9, 0.95) if state != "stopped" else 0.9
    found = [entry(0, later, state=state), entry(1, 0.2), entry(2, 0.1)]

    assert sent_on(found) == {}


@pytest.mark.parametrize("state", ["failed", "infeasible"])
def test_who_fails_later_frees_its_place(state):
    others = [entry(1, 0.2), entry(2, 0.1)]

    assert sent_on([entry(0, 0.9, state="running"), *others]) == {}
    # Without it they are two, and the better of the two goes on.
    assert sent_on([entry(0, 0.9, state=state), *others]) == {1: False}


def test_who_is_on_the_way_to_a_rung_keeps_it_open():
    found = field_of([0.1, 0.2, 0.3, 0.4])

    assert sorted(sent_on(found)) == [2, 3]
    assert sorted(sent_on([*found, observation(4, "running", ())])) == [3]
    # Who left the rung, was stopped or failed before it keeps nothing open.
    assert sorted(sent_on([*found, observation(4, "failed", ())])) == [2, 3]


def test_a_rung_is_open_as_long_as_anybody_waits_to_be_sent_there():
    # Four were read at the second rung; 4 is about to go on from the first.
    second = [entry(slot, (0.5, 0.1 * slot)) for slot in range(4)]

    assert sent_on([*second, entry(4, 0.9)], more_to_come=False).keys() == {3, 4}
    # Without it, the second rung is full and two of four go on.
    assert sent_on(second).keys() == {2, 3}


def test_a_rung_is_open_as_long_as_anybody_is_on_the_way_to_an_earlier_one():
    second = [entry(slot, (0.5, 0.1 * slot)) for slot in range(4)]

    assert sent_on([*second, observation(4, "running", ())]).keys() == {3}
    assert sent_on([*second, entry(4, 0.5, state="running")]).keys() == {3}
    assert sent_on(second, more_to_come=True).keys() == {3}


def test_the_highest_rung_is_served_first():
    second = [entry(slot, (0.9, 0.1 * slot)) for slot in range(3, 6)]
    found = [*field_of([0.99, 0.1, 0.2]), *second]

    assert next_promotion(found, LADDER, more_to_come=True) == (5, False)


def test_candidates_are_compared_at_the_rung_where_they_are_with_all_that_were_there():
    # At the second rung 0 is best, though its first reading was the worst.
    found = [entry(0, (0.1, 0.9)), entry(1, (0.8, 0.2)), entry(2, (0.9, 0.3))]

    assert sent_on(found) == {0: False}


def test_each_family_sends_its_own_best():
    bad = [entry(slot, 0.01 * slot, 9, family="global") for slot in range(3)]
    good = [entry(slot, 0.1 * slot, 1, family="local") for slot in range(3, 9)]

    assert sorted(sent_on([*bad, *good])) == [2, 7, 8]
    assert sorted(sent_on([*good, *bad], more_to_come=True)) == [2, 7, 8]


def test_training_loss_counts_where_every_candidate_has_one():
    found = field_of([0.9, 0.5, 0.1])

    assert sent_on(with_losses(found, [3.0, 2.0, 1.0])) == {2: False}
    assert sent_on(with_losses(found, [3.0, None, 1.0])) == {0: False}
    assert sent_on(with_losses(found, [None, None, None])) == {0: False}


def test_the_loss_of_another_family_decides_nothing():
    told = with_losses(field_of([0.9, 0.5, 0.1]), [3.0, 2.0, 1.0])
    untold = [entry(slot, top1, family="other") for slot, top1 in ((3, 0.9), (4, 0.5), (5, 0.1))]

    assert sorted(sent_on([*told, *untold])) == [2, 3]


def test_chance_sends_on_whoever_it_wants_and_says_so():
    halving = SuccessiveHalving((0.5,), 3, random_promotion=1.0)

    assert sent_on(field_of([0.1, 0.9, 0.2]), halving) == {0: True, 1: False, 2: True}


def test_the_audited_share_is_that_of_the_ladder():
    halving = SuccessiveHalving((0.5,), seed=3)
    share = sum(halving.promotes_by_chance(slot, 0) for slot in range(10_000)) / 10_000

    # 0.1, give or take three standard deviations of 0.003.
    assert 0.091 < share < 0.109
    assert not any(
        SuccessiveHalving((), random_promotion=0.0).promotes_by_chance(slot, 0) for slot in range(1000)
    )
    assert all(
        SuccessiveHalving((), random_promotion=1.0).promotes_by_chance(slot, 0) for slot in range(1000)
    )


def test_who_is_audited_is_a_matter_of_seed_slot_and_rung_alone():
    def lot(rung=0, **settings):
        return [
            slot
            for slot in range(200)
            if SuccessiveHalving((0.5,), **settings).promotes_by_chance(slot, rung)
        ]

    # Written down: a study that goes on after an update audits the same ones.
    assert lot()[:6] == [6, 13, 14, 22, 23, 24]
    assert lot(reduction_factor=4) == lot()
    assert lot(seed=1) != lot()
    assert lot(rung=1) != lot()
    # A larger share is the smaller one and more.
    assert set(lot()) < set(lot(random_promotion=0.3))


@given(rungs_of_rows, factors)
def test_who_dominates_all_others_of_a_full_rung_goes_on(rows, factor):
    best = (9, *(-1 for _ in rows[0][1:]))
    found = entered([*rows, best])

    assert sent_on(found, SuccessiveHalving((0.5,), factor, random_promotion=0.0))[len(rows)] is False


@given(rungs_of_rows, factors, st.floats(0, 1), st.integers(0, 99))
def test_who_is_dominated_by_all_others_goes_on_by_chance_or_not_at_all(rows, factor, audit, seed):
    worst = (-1, *(9 for _ in rows[0][1:]))
    halving = SuccessiveHalving((0.5,), factor, audit, seed)
    sent = sent_on(entered([*rows, worst]), halving)

    assert sent.get(len(rows)) is (True if halving.promotes_by_chance(len(rows), 0) else None)
    assert len(rows) not in sent_on(entered([*rows, worst]), replace(halving, random_promotion=0.0))


@given(rungs_of_rows, factors, st.randoms())
def test_at_a_full_rung_the_order_of_arrival_does_not_matter(rows, factor, chance):
    order = chance.sample(range(len(rows)), len(rows))
    halving = SuccessiveHalving((0.5,), factor, random_promotion=0.0)
    one = [rows[slot] for slot in sent_on(entered(rows), halving)]
    other = [rows[order.index(slot)] for slot in sent_on(entered(rows, order), halving)]

    assert sorted(one) == sorted(other)


@given(rungs_of_rows, factors, st.randoms(), st.booleans())
def test_the_order_in_which_candidates_are_listed_never_matters(rows, factor, chance, more):
    found = entered(rows)
    halving = SuccessiveHalving((0.5,), factor, seed=7)
    shuffled = chance.sample(found, len(found))

    assert sent_on(shuffled, halving, more_to_come=more) == sent_on(found, halving, more_to_come=more)


@given(st.integers(0, 3).flatmap(lambda costs: st.tuples(*[rows_of(costs)] * 2)))
def test_what_one_family_sends_on_is_what_it_would_alone(families):
    rows, others = families
    alone = entered(rows)
    beside = [replace(k, slot=k.slot + 100, family="another") for k in entered(others)]

    assert {s: c for s, c in sent_on([*alone, *beside]).items() if s < 100} == sent_on(alone)


@dataclass
class Simulated:
    """A search of several workers, whose next step is anybody's; the moves are those of ``study.loop``."""

    halving: SuccessiveHalving
    trials: int
    workers: int
    chance: object
    failing: float
    found: dict = field(default_factory=dict)
    steps: int = 0

    def run(self):
        while self.step():
            self.steps += 1
            # Nobody is read more often than the ladder has rungs, and once at the end.
            assert self.steps <= 2 * self.trials * (len(self.halving.shares) + 1)
        return list(self.found.values())

    def step(self):
        busy = [k for k in self.found.values() if k.state == "running"]
        idle = len(busy) < self.workers and self.next_move()
        if busy and (not idle or self.chance.random() < 0.5):
            self.read(self.chance.choice(busy))
            return True
        if idle:
            self.found[idle.slot] = idle
        return bool(idle)

    def next_move(self):
        more = len(self.found) < self.trials
        choice = next_promotion(list(self.found.values()), self.halving, more_to_come=more)
        if choice is not None:
            return replace(self.found[choice[0]], state="running")
        return self.new(len(self.found)) if more else None

    def new(self, slot):
        costs = (float(self.chance.randrange(5)),)
        return observation(slot, "running", (), costs=costs, family=self.chance.choice("abc"))

    def read(self, candidate):
        readings = (*candidate.readings, Reading(self.chance.randrange(5) / 5, self.chance.random()))
        state = "paused" if len(readings) <= len(self.halving.shares) else "trained"
        if self.chance.random() < self.failing:
            state, readings = "failed", candidate.readings
        self.found[candidate.slot] = replace(candidate, state=state, readings=readings)


@given(
    st.randoms(use_true_random=False),
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(0, 2),
    factors,
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([0.0, 0.2]),
)
def test_every_search_ends_with_nobody_left_to_send_on_and_somebody_trained_in_each_family(
    chance, trials, workers, rungs, factor, audit, failing
):
    halving = SuccessiveHalving((0.1, 0.3)[:rungs], factor, audit)
    found = Simulated(halving, trials, workers, chance, failing).run()

    assert len(found) == trials
    assert next_promotion(found, halving, more_to_come=False) is None
    assert {k.state for k in found} <= {"paused", "trained", "failed"}
    alive = {k.family for k in found if k.state != "failed"}
    assert alive == {k.family for k in found if k.state == "trained"}
    for number in range(rungs):
        for family in alive:
            here = [
                k for k in found if k.family == family and k.state != "failed" and len(k.readings) > number
            ]
            beyond = [k for k in here if len(k.readings) > number + 1]
            assert len(beyond) >= len(here) / factor
