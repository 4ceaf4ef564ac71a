"""What every sampler promises, and that those that learn are better than chance."""

import random
import re
import sys
from functools import cache

import moocore
import numpy as np
import pytest
from fake_search_spaces import (
    NINETY_SIX,
    NO_QUESTION,
    ONE_QUESTION,
    Made,
    among,
    blind,
    history,
    levers,
    observation_of,
)
from paths import ROOT
from typer.main import get_command

from archsearch.cli.app import app
from archsearch.counting import count_macs
from archsearch.errors import StudyFileError
from archsearch.search import SAMPLER_NAMES, ProposalSeed, propose
from archsearch.search.observations import training_rows
from archsearch.search.samplers import SAMPLERS
from archsearch.search.samplers.macs import rank_by_macs
from archsearch.search.samplers.tpe import as_frozen_trial
from archsearch.study.config import StudyConfig, load_study
from archsearch.trial import FixedTrial

PLACE = ProposalSeed(3, 30)
SAMPLER = pytest.mark.parametrize("sampler", SAMPLER_NAMES)


@pytest.fixture(scope="module")
def thirty(ninety_six):
    """Thirty of the 96 architectures, trained."""
    return history(ninety_six, 30)


def mixed(found):
    """Candidates in every state, some within their limits and some not."""
    states = ["trained"] * 12 + ["paused", "stopped", "running", "infeasible", "failed"] * 3
    return [
        among(
            [k],
            state=state,
            readings=() if state in ("running", "infeasible") else k.readings,
            excess=None if state == "running" else {"macs": 5.0 if state == "infeasible" else -5.0},
        )[0]
        for k, state in zip(found, states, strict=False)
    ]


@SAMPLER
def test_a_study_may_name_every_sampler(sampler):
    assert load_study(None, "", None, {"sampler": sampler}).sampler == sampler


def test_a_study_may_name_no_other_sampler():
    with pytest.raises(StudyFileError, match=f"climb is unknown; use one of {', '.join(SAMPLER_NAMES)}"):
        load_study(None, "", None, {"sampler": "climb"})
    with pytest.raises(ValueError, match=f"use one of {', '.join(SAMPLER_NAMES)}"):
        StudyConfig(sampler="climb")


def test_every_sampler_says_in_one_line_what_it_does():
    for sampler in SAMPLERS.values():
        assert sampler.__doc__.split("\n")[0].endswith((".", ";"))


def test_the_help_and_the_readme_name_samplers_that_there_are():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    row = re.search(r"^sampler: (\w+) +# or (.*)$", readme, re.MULTILINE)
    (option,) = [p for p in get_command(app).commands["run"].params if p.name == "sampler"]

    assert {row[1], *row[2].split(", ")} <= set(SAMPLER_NAMES)
    assert set(re.findall(r"\w+", option.help)) - {"or"} <= set(SAMPLER_NAMES)


@SAMPLER
def test_a_proposal_is_a_point_of_the_space_that_its_answers_lead_to(ninety_six, thirty, sampler):
    for found in (thirty, mixed(thirty)):
        proposal = propose(ninety_six, sampler, found, PLACE)

        assert ninety_six.sample(FixedTrial(proposal.params)) == proposal.architecture
        assert proposal.params.keys() == proposal.choices.keys()
        assert all(answer in proposal.choices[name] for name, answer in proposal.params.items())
        # A stage is asked what its kind is asked, and nothing else.
        kind = proposal.params["stages.0.kind"]
        own = {"conv": "stages.0.conv.kernel", "mhsa": "stages.0.mhsa.heads"}
        assert {own[kind]} == {name for name in own.values() if name in proposal.params}


@SAMPLER
def test_a_proposal_is_a_function_of_seed_slot_and_what_is_known(ninety_six, thirty, sampler):
    found = mixed(thirty)
    shuffled = random.Random(1).sample(found, len(found))
    one = propose(ninety_six, sampler, found, PLACE)

    assert propose(ninety_six, sampler, found, PLACE) == one
    assert propose(ninety_six, sampler, shuffled, PLACE) == one


@SAMPLER
def test_other_seeds_slots_and_attempts_bring_other_proposals(ninety_six, thirty, sampler):
    # The proxy of MACs needs architectures; of 96 points, the best one is the best for every seed.
    space, found = (ninety_six, thirty) if sampler == "macs" else (EASY, history(EASY, 12))
    for places in (
        [ProposalSeed(seed, 30) for seed in range(3)],
        [ProposalSeed(0, slot) for slot in range(30, 33)],
        [ProposalSeed(0, 30, attempt) for attempt in range(3)],
    ):
        assert len({propose(space, sampler, found, place).architecture.id for place in places}) > 1


@SAMPLER
def test_nothing_that_is_known_is_proposed_and_nothing_beyond_a_limit(searched_of, sampler):
    # About half of the 96 are within.
    searched = searched_of(NINETY_SIX, blind("macs", limits={"macs": 12_000.0}))
    found = history(searched, 96)
    assert 20 < len(found) < 80
    for slot in range(2):
        proposal = propose(searched, sampler, found[:-5], ProposalSeed(0, slot))

        assert proposal.architecture.id in {k.identity for k in found[-5:]}


@SAMPLER
@pytest.mark.parametrize(
    "costs", [(), ("macs",), ("macs", "params"), ("latency_ms",)], ids=lambda c: "+".join(c) or "none"
)
def test_one_objective_or_several_are_all_the_same_to_a_sampler(searched_of, sampler, costs):
    searched = searched_of(NINETY_SIX, blind(*costs))
    found = history(searched, 14)
    if costs == ("latency_ms",):
        found = [among([k], costs=(0.1 + k.slot,))[0] for k in found]

    assert propose(searched, sampler, found, PLACE) is not None


@SAMPLER
@pytest.mark.parametrize("top1", [0.0, 0.1, 1.0])
def test_equal_accuracies_are_no_obstacle(ninety_six, thirty, sampler, top1):
    found = among(
        thirty[:14], readings=history(ninety_six, 1, top1=lambda p: top1)[0].readings, costs=(100.0,)
    )

    assert propose(ninety_six, sampler, found, PLACE).architecture.id not in {k.identity for k in found}


@SAMPLER
@pytest.mark.parametrize("state", ["running", "infeasible", "failed", "paused"])
def test_candidates_that_are_all_in_one_state_are_no_obstacle(ninety_six, thirty, sampler, state):
    readings = thirty[0].readings if state == "paused" else ()
    excess = {"macs": 5.0} if state == "infeasible" else None
    found = among(thirty, state=state, readings=readings, excess=excess)

    assert propose(ninety_six, sampler, found, PLACE).architecture.id not in {k.identity for k in found}


@SAMPLER
def test_candidates_that_are_all_over_a_measured_limit_are_no_obstacle(ninety_six, thirty, sampler):
    found = among(thirty, excess={"latency_ms": 1.0})

    assert propose(ninety_six, sampler, found, PLACE) is not None


@SAMPLER
def test_one_question_is_enough(searched_of, sampler):
    searched = searched_of(ONE_QUESTION)
    found = history(searched, 12)
    proposal = propose(searched, sampler, found, PLACE)

    assert proposal.params.keys() == {"stem.channels"}
    assert proposal.architecture.id not in {k.identity for k in found}


@SAMPLER
def test_a_space_of_one_architecture_has_one_candidate(searched_of, sampler):
    searched = searched_of(NO_QUESTION)
    proposal = propose(searched, sampler, [], PLACE)
    known = observation_of(searched, 0, proposal)

    assert proposal.params == {}
    assert propose(searched, sampler, [known], PLACE) is None
    # However often it is there, nobody stumbles over it.
    twelve = [among([known], slot=slot)[0] for slot in range(12)]
    assert propose(searched, sampler, twelve, PLACE) is None


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(10, "gp"), (1999, "gp"), (2000, "regularized_evolution")],
)
def test_the_automatic_sampler_hands_over_as_rows_add_up(monkeypatch, count, chosen):
    module = sys.modules[SAMPLERS["auto"].__module__]
    asked = []
    for name in ("gp", "regularized_evolution"):
        monkeypatch.setattr(module, name, lambda *told, name=name: asked.append((name, told)))
    SAMPLERS["auto"]("space", range(count), 7)

    assert asked == [(chosen, ("space", range(count), 7))]


def test_a_row_is_told_to_optuna_with_its_choices_and_its_limits(ninety_six, thirty):
    row = training_rows(among(thirty[:1], excess={"macs": 2.0, "params": -1.0}))[0]
    trial = as_frozen_trial(row, [0.25, 4.0])

    assert trial.values == [0.25, 4.0]
    assert trial.params == thirty[0].answers
    assert {name: d.choices for name, d in trial.distributions.items()} == thirty[0].choices
    assert trial.constraints == {"macs": 2.0, "params": -1.0}
    assert as_frozen_trial(training_rows(thirty[:1])[0], [0.5]).constraints == {}


def test_the_proxy_of_macs_goes_where_no_macs_are_known(ninety_six):
    everything = history(ninety_six, 96)
    amounts = {
        k.identity: np.log(count_macs(ninety_six.sample(FixedTrial(k.answers))).total) for k in everything
    }
    # Known: the cheaper half; the dearest of 64 that are drawn is farthest from it.
    ordered = sorted(everything, key=lambda k: amounts[k.identity])
    dearest = rank_by_macs(ninety_six, training_rows(ordered[:48]), 0)
    cheapest = rank_by_macs(ninety_six, training_rows(ordered[48:]), 0)

    assert amounts[dearest.architecture.id] > np.quantile(list(amounts.values()), 0.95)
    assert amounts[cheapest.architecture.id] < np.quantile(list(amounts.values()), 0.05)


def test_the_proxy_of_macs_proposes_anything_where_nothing_is_feasible(ninety_six, thirty):
    class Barren(type(ninety_six)):
        def violations(self, architecture):
            return ["no"]

    barren = Barren(ninety_six.space, ninety_six.config)

    assert rank_by_macs(barren, training_rows(thirty), 0) == rank_by_macs(barren, training_rows(thirty), 0)


SPENDERS = [f"stages.{n}.channels" for n in range(7)]


def waste(point):
    """What seven of eight numbers spend for nothing, as a share."""
    return sum(point[name] for name in SPENDERS) / 28


def price(point):
    return (10.0 ** (waste(point) + point["stages.7.channels"] / 4),)


def accuracy(point):
    """Wasting costs accuracy too; the eighth number buys some of it."""
    return 0.8 * (1 - waste(point)) + 0.2 * point["stages.7.channels"] / 4


EASY = Made(levers, price)


@cache
def mean_volume(sampler, trials):
    """The hypervolume that a search reaches on an easy table, in the mean over five seeds."""
    return np.mean([volume(sampler, seed, trials) for seed in range(5)])


def volume(sampler, seed, trials):
    found = []
    for slot in range(trials):
        proposal = propose(EASY, sampler, found, ProposalSeed(seed, slot))
        found.append(observation_of(EASY, slot, proposal, top1=(accuracy(proposal.architecture),)))
    rows = np.array([[1 - k.top1, np.log10(k.costs[0])] for k in found])
    return moocore.hypervolume(rows, ref=[1.0, 2.0])


@pytest.mark.parametrize(
    ("sampler", "trials", "ratio"),
    [("gp", 30, 1.4), ("tpe", 60, 1.15), ("nsga2", 60, 1.08), ("evolution", 60, 1.15)],
)
def test_who_learns_finds_more_than_chance(sampler, trials, ratio):
    # Chance has sixty trials each time, and the process, which takes its time, half of them.
    assert mean_volume(sampler, trials) > ratio * mean_volume("random", 60)
