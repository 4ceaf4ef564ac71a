"""The model of accuracy, the coding it is told, and the improvement that is expected of a candidate."""

import random
import sys
from dataclasses import replace

import moocore
import numpy as np
import pytest
from fake_search_spaces import Made, among, history, lever_cost, lever_top1, levers, observation_of, stages
from scipy.stats import norm

from archsearch.search.observations import training_rows
from archsearch.search.samplers.gp import (
    INTEGRATION_POINTS,
    Coding,
    costs_of,
    draw_offers,
    gp,
    improvement,
    predict,
    spread_points,
)
from archsearch.trial import FixedTrial, RandomTrial, proposal_of

# The function of its name hides the module.
ROOM = sys.modules[gp.__module__]
# Of known candidates: error, then the logarithm of one cost.
KNOWN = np.array([[0.5, 1.0], [0.3, 2.0], [0.2, 3.0], [0.6, 2.5]])
# The normal distribution in equal shares, each by its middle.
DRAWS = norm.ppf((np.arange(800) + 0.5) / 800)


def volume_gained(error, spread, cost, known, reference):
    """The mean gain in hypervolume over the distribution of the error, each gain exact."""
    before = moocore.hypervolume(known, ref=reference)
    gains = [
        moocore.hypervolume(np.vstack([known, [draw, *cost]]), ref=reference) - before
        for draw in error + spread * DRAWS
    ]
    return float(np.mean(gains))


def reference_of(known):
    return known.max(axis=0) + 0.1 * (known.max(axis=0) - known.min(axis=0))


def volumes(error, spread, costs, known):
    """``improvement`` as a volume: it is a sum over so many points of the box of the costs."""
    low = np.minimum(known[:, 1:].min(axis=0), costs.min(axis=0))
    box = np.prod(reference_of(known)[1:] - low)
    return improvement(np.array(error), np.array(spread), costs, known) * box / INTEGRATION_POINTS


def test_the_improvement_with_one_cost_is_that_of_the_integral():
    error, spread = [0.35, 0.1, 0.5, 0.9], [0.1, 0.05, 0.3, 0.2]
    costs = np.array([[1.5], [2.4], [0.5], [2.9]])
    wanted = [
        volume_gained(*one, KNOWN, reference_of(KNOWN)) for one in zip(error, spread, costs, strict=True)
    ]

    assert volumes(error, spread, costs, KNOWN) == pytest.approx(wanted, rel=0.03, abs=1e-3)


def test_the_improvement_with_two_costs_is_that_of_the_integral():
    known = np.array([[0.5, 1.0, 4.0], [0.3, 2.0, 5.0], [0.2, 3.0, 3.0], [0.6, 1.0, 2.5]])
    error, spread = [0.3, 0.15, 0.45], [0.1, 0.05, 0.2]
    costs = np.array([[1.2, 3.1], [2.0, 3.9], [0.7, 2.6]])
    wanted = [
        volume_gained(*one, known, reference_of(known)) for one in zip(error, spread, costs, strict=True)
    ]

    assert volumes(error, spread, costs, known) == pytest.approx(wanted, rel=0.06)


def test_the_improvement_without_costs_is_that_of_one_objective():
    known = np.array([[0.5], [0.3]])
    # z = (0.3 - 0.4) / 0.1 = -1; sigma * (z Phi(z) + phi(z)).
    wanted = 0.1 * (-norm.cdf(-1) + norm.pdf(-1))
    gains = improvement(np.array([0.4, 0.3]), np.array([0.1, 0.0]), np.empty((2, 0)), known)

    assert gains == pytest.approx([wanted, 0.0], abs=1e-9)


def test_an_error_that_is_certain_gains_what_it_is_below_the_best():
    assert improvement(np.array([0.1]), np.array([0.0]), np.empty((1, 0)), np.array([[0.5], [0.3]])) == (
        pytest.approx([0.2])
    )


def test_beyond_the_reference_nothing_is_gained():
    worst = reference_of(KNOWN)
    gains = improvement(np.array([0.0, 0.0]), np.full(2, 0.1), np.array([[worst[1] + 0.01], [1.0]]), KNOWN)

    assert gains[0] == 0
    assert gains[1] > 0
    # A certain error at the reference gains nothing, though nothing known is as cheap as it is.
    assert improvement(worst[:1], np.zeros(1), np.array([[0.5]]), KNOWN) == pytest.approx([0], abs=1e-9)


def test_points_are_spread_over_the_box_and_always_the_same():
    points = spread_points(np.array([1.0, -2.0]), np.array([3.0, 0.0]))

    assert points.shape == (INTEGRATION_POINTS, 2)
    assert points.min(axis=0) == pytest.approx([1, -2], abs=0.05)
    assert points.max(axis=0) == pytest.approx([3, 0], abs=0.05)
    assert points.mean(axis=0) == pytest.approx([2, -1], abs=0.03)
    assert np.array_equal(points, spread_points(np.array([1.0, -2.0]), np.array([3.0, 0.0])))
    assert spread_points(np.empty(0), np.empty(0)).shape == (1, 0)


def test_rising_numbers_are_coded_by_their_place_and_other_choices_by_a_column_each():
    coding = Coding.of(
        [{"b.kind": ("conv", "mhsa"), "a.kernel": (1, 3, 7)}, {"c.heads": (2, 4), "d": ("one",)}]
    )
    told = coding.rows(
        [{"a.kernel": 3, "b.kind": "conv"}, {"a.kernel": 7, "b.kind": "mhsa", "c.heads": 4, "d": "one"}],
        [(0.5,), (0.25,)],
    )

    # Kernel: place, asked; kind: conv, mhsa; heads: place, asked; the feature. One choice is no question.
    assert told.tolist() == [
        [0.5, 1, 1, 0, 0, 0, 0.5],
        [1.0, 1, 0, 1, 1.0, 1, 0.25],
    ]


def test_the_first_of_rising_numbers_is_told_from_a_question_that_was_not_asked():
    coding = Coding({"a.kernel": (1, 3)})

    assert coding.row({"a.kernel": 1}) == [0.0, 1.0]
    assert coding.row({}) == [0.0, 0.0]
    # Nor is an answer that is none of the choices any of them.
    assert coding.row({"a.kernel": 5}) == [0.0, 0.0]


def test_questions_have_one_order_whoever_asked_them_first():
    one, other = {"b": (1, 2)}, {"a": (1, 2, 3)}

    assert list(Coding.of([one, other]).questions) == list(Coding.of([other, one]).questions) == ["a", "b"]


def test_smooth_values_are_predicted_between_what_is_told():
    inside = np.linspace(0, 1, 25)[:, None]
    outside = np.linspace(0.05, 0.95, 40)[:, None]
    mean, spread = predict(inside, 3 + np.sin(5 * inside[:, 0]), outside)

    assert mean == pytest.approx(3 + np.sin(5 * outside[:, 0]), abs=0.03)
    assert spread.max() < 0.1


def test_far_from_what_is_told_less_is_certain():
    inside = np.linspace(0, 1, 12)[:, None]
    _, spread = predict(inside, np.sin(9 * inside[:, 0]), np.array([[0.5], [3.0]]))

    assert spread[1] > 3 * spread[0]


def test_noise_is_averaged_and_not_followed():
    chance = np.random.default_rng(0)
    inside = np.repeat(np.linspace(0, 1, 6), 10)[:, None]
    noisy = 2 * inside[:, 0] + chance.normal(0, 0.3, 60)
    mean, _ = predict(inside, noisy, np.array([[0.2], [0.8]]))

    # Ten readings each: a standard error of 0.1.
    assert mean == pytest.approx([0.4, 1.6], abs=0.2)


def test_a_column_that_is_the_same_for_all_that_is_told_is_left_out():
    inside = np.column_stack([np.linspace(0, 1, 12), np.full(12, 0.1)])
    # The mean of twelve tenths is no tenth exactly: a column of a tiny spread.
    assert inside[:, 1].std() > 0
    here = predict(inside, inside[:, 0], np.array([[0.5, 0.1]]))
    there = predict(inside, inside[:, 0], np.array([[0.5, 7.0]]))

    assert here == there


def test_equal_accuracies_are_predicted_as_they_are():
    mean, spread = predict(np.arange(12.0)[:, None], np.full(12, 0.25), np.array([[3.5], [40.0]]))

    assert mean == pytest.approx([0.25, 0.25])
    assert np.isfinite(spread).all()


def costly(point):
    return (100.0 if point["stages.0.kind"] == "conv" else 10.0, float(point["stem.channels"]))


def measured(point):
    return (costly(point)[0], None)


COUNTED = Made(stages, costly)
MEASURED = Made(stages, measured)


def offers_of(space, count):
    chance = RandomTrial(random.Random(5))
    return [proposal_of(space, chance) for _ in range(count)]


def test_what_is_counted_is_taken_as_it_is():
    offers = offers_of(COUNTED, 9)
    found = costs_of(COUNTED, offers, np.empty((0, 3)), np.empty((0, 2)), np.empty((9, 3)))

    assert found == pytest.approx(np.log10([costly(offer.architecture) for offer in offers]))


def test_what_has_to_be_measured_is_modelled_on_what_was():
    offers = offers_of(MEASURED, 9)
    inside = np.linspace(0, 1, 20)[:, None]
    outside = np.linspace(0.1, 0.9, 9)[:, None]
    # The first cost is counted; what was known of it is not to be looked at.
    found = costs_of(MEASURED, offers, inside, np.column_stack([np.full(20, 99.0), 2 * inside]), outside)

    assert found[:, 0] == pytest.approx(np.log10([costly(offer.architecture)[0] for offer in offers]))
    assert found[:, 1] == pytest.approx(2 * outside[:, 0], abs=0.05)


def test_without_costs_there_is_no_column():
    assert costs_of(Made(stages), offers_of(Made(stages), 4), None, np.empty((0, 0)), None).shape == (4, 0)


def test_nothing_that_is_known_or_infeasible_is_offered_and_nothing_twice():
    space = Made(stages, against=lambda point: ["narrow"] if point["stem.channels"] == 8 else [])
    found = history(space, 20)[::2]
    taken = {k.identity for k in found}
    rows = training_rows(found)
    offers = draw_offers(space, rows, rows, random.Random(0))
    identities = [offer.architecture.id for offer in offers]

    # 50 of 75 are feasible, and 160 offers find nearly all that are not taken.
    feasible = {k.identity for k in history(space, 75)}
    assert len(feasible) == 50
    assert len(identities) == len(set(identities))
    assert set(identities) <= feasible - taken
    assert len(identities) > 0.8 * len(feasible - taken)


def point_of(space, k):
    return space.sample(FixedTrial(k.answers))


def test_the_elite_is_offered_children():
    # Of a million points chance offers 64, of which one in a thousand begins with three zeros.
    wide = Made(lambda ask: [ask(f"stages.{n}.channels", *range(10)) for n in range(6)])
    best = [(0, 0, 0, 0, one, other) for one in range(4) for other in range(4)]
    found = history(wide, 30, top1=lambda point: 0.1)
    for slot, numbers in enumerate(best, start=30):
        told = {f"stages.{n}.channels": number for n, number in enumerate(numbers)}
        found.append(observation_of(wide, slot, proposal_of(wide, FixedTrial(told)), top1=(0.9,)))
    offers = draw_offers(wide, [], training_rows(found), random.Random(0))
    alike = [o for o in offers if [o.params[f"stages.{n}.channels"] for n in range(4)].count(0) >= 3]

    # Sixteen are the elite, and have 96 children with one, one, two or four changes in six answers.
    assert len(alike) > 40


def test_where_all_is_known_something_is_proposed_all_the_same():
    found = history(Made(stages), 75)
    proposal = gp(Made(stages), training_rows(found), 0)

    assert len(found) == 75
    assert proposal.architecture.id in {k.identity for k in found}


ACCURATE = Made(levers)
CHEAP = Made(levers, lever_cost)
TIMED = Made(levers, lambda point: (None,))


@pytest.mark.parametrize("space", [ACCURATE, CHEAP, TIMED], ids=["none", "counted", "measured"])
def test_what_is_proposed_is_an_improvement(space):
    found = history(space, 40, top1=lever_top1)
    if space is not ACCURATE:
        found = [replace(k, costs=lever_cost(point_of(space, k))) for k in found]

    def volume(points):
        rows = [
            [1 - lever_top1(p), *np.log10(lever_cost(p) if space is not ACCURATE else ())] for p in points
        ]
        return moocore.hypervolume(np.array(rows), ref=[1.0, 2.0][: len(rows[0])])

    points = [point_of(space, k) for k in found]
    proposals = [gp(space, training_rows(found), seed).architecture for seed in range(4)]

    assert all(volume([*points, proposal]) > 1.01 * volume(points) for proposal in proposals)


def test_the_model_is_told_answers_features_and_errors(monkeypatch):
    heard = []

    def noted(inside, values, outside):
        heard.append((inside, values, outside))
        return np.zeros(len(outside)), np.ones(len(outside))

    monkeypatch.setattr(ROOM, "predict", noted)
    space = Made(stages, measured, told=lambda point: (float(point["stem.channels"]) / 7,))
    found = [replace(k, costs=costly(point_of(space, k))) for k in history(space, 15)]
    gp(space, training_rows(found), 0)
    (inside, errors, outside), (_, seconds, _) = heard

    # Two kinds of two stages, kernels and heads with the column that says whether they were asked, the stem.
    assert inside.shape == (15, 2 * (2 + 2 + 2) + 2 + 1)
    assert inside.shape[1] == outside.shape[1]
    assert inside[:, -1] == pytest.approx([k.features[0] for k in found])
    assert set(outside[:, -1]) <= {8 / 7, 16 / 7, 32 / 7}
    assert errors == pytest.approx([1 - k.top1 for k in found])
    assert seconds == pytest.approx(np.log10([k.costs[1] for k in found]))


def test_the_model_is_told_two_hundred_at_most(monkeypatch):
    heard = []
    space = Made(levers)
    monkeypatch.setattr(ROOM, "predict", lambda *told: heard.append(told) or (np.zeros(len(told[2])),) * 2)
    # Three accuracies, three fronts.
    gp(space, training_rows(history(space, 230, top1=lambda p: p["stages.0.channels"] // 2 / 3)), 0)

    assert len(heard[0][0]) == 200


def test_infeasible_candidates_are_nothing_to_improve_on(monkeypatch):
    seen = []
    monkeypatch.setattr(
        ROOM, "improvement", lambda error, spread, costs, known: seen.append(known) or -np.arange(len(error))
    )
    found = history(COUNTED, 12)
    bad = among(found[:5], excess={"macs": 1.0})
    gp(COUNTED, training_rows([*bad, *found[5:]]), 0)
    gp(COUNTED, training_rows(among(found, excess={"macs": 1.0})), 0)

    # The seven that are feasible; all twelve where none is.
    assert [len(known) for known in seen] == [7, 12]
