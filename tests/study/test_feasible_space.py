"""A space as a study searches it, and a study's record as the search reads it."""

import math

import optuna
import pytest
from fake_search_spaces import NINETY_SIX, blind
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from archsearch.counting import count_activations, count_macs, count_params, globality
from archsearch.search.draws import feasible_points
from archsearch.search.observations import Reading, features_of
from archsearch.storage.observation_cache import ObservationCache, rung_family, state_of
from archsearch.trial import FixedTrial

# Four heads do not divide a width of 12 * 0.5.
BROKEN = NINETY_SIX.replace("heads: {choice: [1, 2]}", "heads: {choice: [2, 4]}")
CONV = {
    "stem.channels": 10,
    "stages.0.kind": "conv",
    "stages.0.channels": 16,
    "stages.0.depth": 2,
    "stages.0.conv.kernel": 3,
}
MHSA = {
    "stem.channels": 4,
    "stages.0.kind": "mhsa",
    "stages.0.channels": 12,
    "stages.0.depth": 1,
    "stages.0.mhsa.heads": 4,
}


@pytest.fixture(scope="module")
def largest(ninety_six):
    return ninety_six.sample(FixedTrial(CONV))


def test_features_are_sizes_as_logarithms_and_globality(ninety_six, largest):
    assert features_of(1000, 100, 10, 0.5) == pytest.approx((3, 2, 1, 0.5))
    wanted = (count_macs(largest).total, count_params(largest), count_activations(largest))
    assert ninety_six.features(largest) == pytest.approx((*map(math.log10, wanted), globality(largest)))


def test_costs_are_the_objectives_beside_accuracy_in_their_order(searched_of, largest):
    macs, params = float(count_macs(largest).total), float(count_params(largest))

    assert searched_of(NINETY_SIX, blind()).costs(largest) == ()
    assert searched_of(NINETY_SIX, blind("params", "macs")).costs(largest) == (params, macs)
    # What is measured is not known before.
    assert searched_of(NINETY_SIX, blind("latency_ms", "macs")).costs(largest) == (None, macs)


def test_a_point_within_all_limits_has_nothing_against_it(searched_of, largest):
    params = float(count_params(largest))
    searched = searched_of(NINETY_SIX, blind(limits={"params": params, "latency_ms": 0.001}))

    assert searched.violations(largest) == []
    # Latency is not counted: it says nothing before it is measured.
    assert searched.limited.excess(largest) == {"params": 0.0}


def test_every_limit_that_is_exceeded_is_a_reason_and_the_stricter_one_is_the_limit(searched_of, largest):
    macs, params = count_macs(largest).total, count_params(largest)
    space = NINETY_SIX + f"limits: {{params: {params}, macs: {macs - 1000}}}\n"
    searched = searched_of(space, blind(limits={"params": params - 2.0, "macs": macs - 1.0}))

    assert searched.limited.limits == {"macs": macs - 1000, "params": params - 2}
    assert searched.limited.excess(largest) == {"macs": 1000.0, "params": 2.0}
    assert searched.violations(largest) == [f"macs > {macs - 1000:,g}", f"params > {params - 2:,g}"]


def test_what_cannot_be_built_is_not_counted(searched_of):
    searched = searched_of(BROKEN, blind(limits={"params": 1.0}))

    assert searched.violations(searched.sample(FixedTrial(MHSA))) == ["cannot be built"]


@pytest.mark.parametrize(
    ("of_space", "of_study", "excess"), [(10, 7, 10), (7, 10, 10), (None, 10, 10), (7, None, 7)]
)
def test_the_excess_is_that_of_the_stricter_limit(searched_of, largest, of_space, of_study, excess):
    macs = count_macs(largest).total
    text = NINETY_SIX + ("" if of_space is None else f"limits: {{macs: {macs - of_space}}}\n")
    limits = {} if of_study is None else {"macs": float(macs - of_study)}

    # A limit of ``macs - 10`` is exceeded by ten.
    assert searched_of(text, blind(limits=limits)).limited.excess(largest) == {"macs": float(excess)}


def test_the_distance_is_the_factor_over_the_worst_limit(searched_of, largest):
    macs, params = count_macs(largest).total, count_params(largest)
    text = NINETY_SIX + f"limits: {{macs: {macs // 2}, params: {params}}}\n"
    layout = largest.layout

    # The stricter one of each counts: a quarter of the parameters, and half of the MACs.
    searched = searched_of(text, blind(limits={"params": params / 4, "macs": macs * 2.0}))
    assert searched.limited.distance(largest) == (
        4,
        f"{layout} with {params:,} params (limit {params / 4:,g})",
    )
    searched = searched_of(text, blind(limits={"params": params * 9.0}))
    assert searched.limited.distance(largest) == (
        macs / (macs // 2),
        f"{layout} with {macs:,} macs (limit {macs // 2:,g})",
    )


def test_an_explanation_says_how_many_keep_the_limits_what_is_nearest_and_what_fails_most(searched_of):
    searched = searched_of(NINETY_SIX, blind(limits={"params": 1.0}))
    points = [proposal.architecture for proposal in feasible_points(searched_of(NINETY_SIX))]
    fewest = min(points, key=count_params)

    assert searched.limited.explain_infeasible(seed=0) == (
        "0 of 1,000 drawn candidates are feasible by what can be counted; "
        f"nearest: {fewest.layout} with {count_params(fewest):,} params (limit 1); "
        "what failed most: params > 1 (1,000)"
    )


def test_an_explanation_counts_what_is_feasible_and_what_cannot_be_built(searched_of):
    said = searched_of(BROKEN, blind()).limited.explain_infeasible(seed=0)
    feasible, failed = said.split("; ")

    # One in two is attention, of them one in three is 12 wide, and of those one in two has four heads.
    count = int(feasible.split(" of ")[0].replace(",", ""))
    assert failed == f"what failed most: cannot be built ({1000 - count:,})"
    assert count == pytest.approx(1000 * 11 / 12, abs=40)


def test_the_explanation_of_a_space_without_limits_says_that_all_are_feasible(searched_of):
    assert searched_of(NINETY_SIX, blind()).limited.explain_infeasible(seed=0) == (
        "1,000 of 1,000 drawn candidates are feasible by what can be counted"
    )


SIZES = {"macs": 1000, "params": 100, "activations": 10, "globality": 0.5}


def recorded(outcome="trained", state=TrialState.COMPLETE, constraints=None, **attributes):
    """A trial as a study records it."""
    usual = {"slot": 4, "architecture": "abc", "family": "all-local", "outcome": outcome, **SIZES}
    choices = {"a": CategoricalDistribution((1, 2)), "b": CategoricalDistribution(("x", "y"))}
    return create_trial(
        state=state,
        values=[0.5, 1.0] if state == TrialState.COMPLETE else None,
        params={"a": 2, "b": "x"},
        distributions=choices,
        constraints=constraints,
        user_attrs={name: value for name, value in {**usual, **attributes}.items() if value is not None},
    )


RUNGS = [{"top1": 0.2, "train_loss": 2.0, "share": 0.1}, {"top1": 0.3, "share": 0.3}]


def test_a_recorded_trial_is_known_with_all_that_the_search_asks_of_it():
    trial = recorded(top1=0.6, train_loss=1.5, rungs=RUNGS, constraints={"params": -5.0})
    known = ObservationCache(("latency_ms", "macs")).of(trial)

    assert (known.slot, known.identity, known.family, known.state) == (4, "abc", "all-local", "trained")
    assert known.answers == {"a": 2, "b": "x"}
    assert known.choices == {"a": (1, 2), "b": ("x", "y")}
    assert known.costs == (None, 1000)
    assert known.readings == (Reading(0.2, 2.0), Reading(0.3, None), Reading(0.6, 1.5))
    assert known.excess == {"params": -5.0}
    assert known.features == pytest.approx((3, 2, 1, 0.5))


def test_the_end_is_read_of_those_that_were_trained_to_it_alone():
    trial = recorded("stopped", TrialState.PRUNED, top1=0.6, rungs=RUNGS)

    assert ObservationCache(()).of(trial).readings == (Reading(0.2, 2.0), Reading(0.3, None))


@pytest.mark.parametrize(
    ("outcome", "state", "wanted"),
    [
        ("running", TrialState.RUNNING, "running"),
        ("", TrialState.RUNNING, "running"),
        ("paused", TrialState.RUNNING, "paused"),
        # Trained as far as its record says, and not told yet.
        ("trained", TrialState.RUNNING, "running"),
        ("trained", TrialState.COMPLETE, "trained"),
        ("stopped", TrialState.PRUNED, "stopped"),
        ("infeasible", TrialState.PRUNED, "infeasible"),
        ("failed", TrialState.FAIL, "failed"),
        ("interrupted", TrialState.FAIL, None),
        ("", TrialState.COMPLETE, None),
    ],
)
def test_the_state_of_a_candidate_is_its_outcome_once_it_has_ended(outcome, state, wanted):
    assert state_of(recorded(outcome, state)) == wanted


def test_trials_that_stand_for_no_candidate_are_left_out():
    study = optuna.create_study(directions=["minimize"] * 2)
    uncounted = recorded(top1=0.5, params=None)
    study.add_trials([recorded("interrupted", TrialState.FAIL), recorded(top1=0.5, slot=7), uncounted])
    study.enqueue_trial({})

    assert [known.slot for known in ObservationCache(()).known(study.trials)] == [7]


def test_a_finished_trial_is_read_once_and_a_running_one_each_time():
    memory = ObservationCache(())
    study = optuna.create_study(directions=["minimize"] * 2)
    study.add_trials(
        [
            recorded(top1=0.5),
            recorded("running", TrialState.RUNNING),
            recorded("interrupted", TrialState.FAIL),
        ]
    )
    first, second = memory.known(study.trials), memory.known(study.trials)

    assert first[0] is second[0]
    assert first[1] == second[1]
    assert first[1] is not second[1]
    assert memory.finished.keys() == {0, 2}


def test_equal_choices_are_kept_once_for_all_trials():
    memory = ObservationCache(())
    one, other = memory.read(recorded(top1=0.5)), memory.read(recorded(top1=0.6))

    assert one.choices["a"] is other.choices["a"]


def test_what_is_no_choice_of_several_is_refused():
    trial = create_trial(
        state=TrialState.RUNNING,
        params={"a": 2},
        distributions={"a": IntDistribution(1, 3)},
        user_attrs={"slot": 0, "architecture": "abc", "family": "mixed", **SIZES},
    )

    with pytest.raises(TypeError, match=r"a is recorded as IntDistribution.*every choice is one of several"):
        ObservationCache(()).of(trial)


def test_all_that_turns_global_at_some_stage_is_one_family_at_a_rung():
    families = ("all-local", "all-global", "mixed", "global-from-1", "global-from-3")

    assert [rung_family(family) for family in families] == [*families[:3], "global-from", "global-from"]
