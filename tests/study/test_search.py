"""The search: slot after slot, a new candidate each, judged in the order of what each judgement costs."""

import math
import os
import random
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from optuna.study import StudyDirection
from paths import HELPERS
from table_search import (
    GLANCE,
    SHORT,
    SIX,
    TINY,
    Calls,
    Heard,
    blind,
    opened,
    outcome_of,
    recorded,
    search,
    settled,
    states,
    table,
)

from archsearch.architecture import Architecture
from archsearch.counting import count_macs, count_params
from archsearch.errors import FailedTrialError, InfeasibleError, InputError
from archsearch.profiling import profile_architecture
from archsearch.search import SAMPLER_NAMES
from archsearch.space import load_space
from archsearch.study import evaluate_candidate as objective
from archsearch.study.config import StudyConfig
from archsearch.study.inputs import Budget
from archsearch.study.run import Ending

# A limit that about every eighth architecture of the space keeps.
TIGHT = TINY + "limits: {params: 400}\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Sixteen trials, six of them the sampler's: the run folder, how it ended, who was evaluated, what was found."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "space.yaml").write_text(TINY)
    calls = Calls()
    ending = search(load_space(folder / "space.yaml"), blind(trials=16), folder, evaluate=calls)
    return SimpleNamespace(folder=folder, ending=ending, calls=calls, found=settled(folder))


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """The run folder of one trial with three objectives."""
    folder = tmp_path_factory.mktemp("single")
    (folder / "space.yaml").write_text(SIX)
    config = blind(objectives=("top1", "macs", "params"), trials=1)
    search(load_space(folder / "space.yaml"), config, folder, evaluate=table)
    return folder


def first(count, found):
    return {slot: found[slot] for slot in range(count)}


def test_exactly_the_budget_is_trained(whole):
    assert whole.ending == Ending(used=16, exhausted=False)
    assert len(whole.calls.asked) == 16
    assert states(whole.folder) == {"COMPLETE": 16}


def test_no_architecture_is_trained_twice(whole):
    assert whole.calls.most == 1


def test_every_slot_of_the_budget_is_used_once(whole):
    assert sorted(trial.user_attrs["slot"] for trial in recorded(whole.folder)) == list(range(16))


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_a_space_smaller_than_the_budget_is_tried_whole_and_once(six, out, sampler):
    calls = Calls()

    ending = search(six, blind(trials=9, sampler=sampler), out, evaluate=calls)

    assert ending == Ending(used=6, exhausted=True)
    assert len(calls.asked) == len(set(calls.asked)) == 6


def test_the_recipe_of_the_study_is_handed_to_the_evaluation(six, out):
    seen = []

    def evaluate(architecture, budget):
        seen.append((type(architecture), budget))
        return 0.5

    search(six, blind(trials=1, recipe=SHORT), out, evaluate=evaluate)

    assert seen == [(Architecture, Budget(recipe=SHORT, share=1.0, samples=128, slot=0))]


def test_values_are_recorded_in_the_order_of_the_objectives(single):
    (trial,) = recorded(single)
    architecture = Architecture.model_validate_json(trial.user_attrs["description"])
    assert trial.values == [
        table(architecture, SHORT),
        count_macs(architecture).total,
        count_params(architecture),
    ]


def test_objectives_have_names_and_directions(single):
    with opened(single) as study:
        assert study.metric_names == ["top1", "macs", "params"]
        assert study.directions == [
            StudyDirection.MAXIMIZE,
            StudyDirection.MINIMIZE,
            StudyDirection.MINIMIZE,
        ]


def test_latency_is_an_objective_like_any_other(six, out):
    search(six, StudyConfig(trials=1, latency_seconds=GLANCE), out, evaluate=table)

    (trial,) = recorded(out)
    assert trial.values == [trial.user_attrs["top1"], trial.user_attrs["latency_ms"]]
    assert trial.values[1] > 0


def test_a_latency_is_measured_for_as_long_as_the_study_says(six, out, monkeypatch):
    seconds = []

    def measured(architecture, **how):
        seconds.append(how["seconds"])
        return profile_architecture(architecture, **how)

    monkeypatch.setattr(objective, "profile_architecture", measured)
    search(six, blind(trials=2, latency_seconds=0.03), out, evaluate=table)

    assert seconds == [0.03, 0.03]


def test_accuracy_alone_can_be_searched_for(six, out):
    search(six, blind(objectives=("top1",), trials=6), out, evaluate=table)

    with opened(out) as study:
        assert study.best_value == max(trial.value for trial in study.get_trials())


def test_parameters_of_a_trial_are_the_choices_in_the_words_of_the_file(single):
    (trial,) = recorded(single)
    assert set(trial.params) == {"stem.channels", "stages.0.channels"}
    assert trial.params["stem.channels"] in (4, 8)
    assert trial.params["stages.0.channels"] in (4, 8, 12)


def test_parameters_of_a_trial_lead_back_to_its_architecture(tiny, whole):
    class Replay:
        def __init__(self, params):
            self.params = params

        def suggest_categorical(self, name, choices):
            return self.params[name]

    trials = recorded(whole.folder)
    assert [tiny.sample(Replay(trial.params)).id for trial in trials] == [
        trial.user_attrs["architecture"] for trial in trials
    ]


def test_attributes_of_a_trial_are_flat_and_complete(single):
    (trial,) = recorded(single)
    assert trial.user_attrs.keys() == {
        *("slot", "outcome", "worker", "architecture", "description", "layout", "family"),
        *("globality", "params", "macs", "activations", "top1", "samples", "device"),
        *("globality_macs", "global_macs_share", "global_params_share", "global_latency_share"),
        *("seconds", "train_seconds"),
        *("latency_ms", "latency_iqr_ms", "latency_repeats", "latency_batch", "anchor_ms", "profile_seconds"),
    } | ({"global_depth", "global_tokens", "latency_flags"} & trial.user_attrs.keys())
    assert all(isinstance(value, str | int | float) for value in trial.user_attrs.values())


def test_the_description_of_a_trial_is_its_architecture(whole):
    for trial in recorded(whole.folder):
        described = Architecture.model_validate_json(trial.user_attrs["description"])
        assert described.id == trial.user_attrs["architecture"]


def test_candidates_over_a_counted_limit_are_rarely_even_proposed_at_random(space_of, out):
    search(space_of(TIGHT), blind(trials=8, sampler="random"), out, evaluate=table)

    assert states(out) == {"COMPLETE": 8}
    assert all(trial.user_attrs["params"] <= 400 for trial in recorded(out))


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """Six trials below 600 parameters, by the limits of the study: the run folder, and who was evaluated."""
    folder = tmp_path_factory.mktemp("limited")
    (folder / "space.yaml").write_text(TINY)
    calls = Calls()
    config = blind(trials=6, limits={"params": 600.0, "macs": 1e9})
    search(load_space(folder / "space.yaml"), config, folder, evaluate=calls)
    return folder, calls


def test_candidates_over_a_counted_limit_of_the_study_are_never_even_proposed(limited):
    folder, calls = limited

    assert states(folder) == {"COMPLETE": 6}
    assert len(calls.asked) == 6
    assert all(trial.user_attrs["params"] <= 600 for trial in recorded(folder))


def test_every_trial_has_the_constraints_of_all_counted_limits(limited):
    for trial in recorded(limited[0]):
        assert trial.constraints == {
            "params": trial.user_attrs["params"] - 600.0,
            "macs": trial.user_attrs["macs"] - 1e9,
        }


def test_a_reference_over_a_limit_of_the_study_is_infeasible_and_uses_up_no_slot(space_of, out):
    space = space_of(SIX)
    largest = max((space.draw(seed) for seed in range(30)), key=count_params)
    config = blind(trials=2, limits={"params": count_params(largest) - 1.0})
    search(replace(space, references=(largest,)), config, out, evaluate=table)

    assert [trial.user_attrs["outcome"] for trial in recorded(out)] == ["infeasible", "trained", "trained"]
    assert recorded(out)[0].values is None
    assert sorted(settled(out)) == [0, 1]


def test_limits_of_the_space_are_constraints_of_every_trial(space_of, out):
    search(space_of(TIGHT), blind(trials=3), out, evaluate=table)

    for trial in recorded(out):
        assert trial.constraints == {"params": trial.user_attrs["params"] - 400}


def test_a_tighter_limit_of_the_study_is_added_to_that_of_the_space(space_of, out):
    search(space_of(TIGHT), blind(trials=2, limits={"params": 370.0}), out, evaluate=table)

    assert all(trial.user_attrs["params"] <= 370 for trial in recorded(out) if trial.state.name == "COMPLETE")


def test_a_looser_limit_of_the_study_does_not_loosen_that_of_the_space(space_of, out):
    search(space_of(TIGHT), blind(trials=4, limits={"params": 1e9}), out, evaluate=table)

    assert all(trial.user_attrs["params"] <= 400 for trial in recorded(out) if trial.state.name == "COMPLETE")


def test_a_latency_that_nothing_reaches_leaves_nothing_to_show(six, out):
    calls = Calls()

    with pytest.raises(
        InfeasibleError, match=r"six: .*within the limits .*latency_ms is exceeded by .*; raise"
    ):
        search(six, blind(trials=3, limits={"latency_ms": 1e-6}), out, evaluate=calls)

    assert calls.asked == []
    assert states(out) == {"PRUNED": 6}


def test_candidates_over_the_latency_limit_say_by_how_much(six, out):
    with pytest.raises(InfeasibleError):
        search(six, blind(limits={"latency_ms": 1e-6}), out, evaluate=table)

    for trial in recorded(out):
        assert trial.constraints == {"latency_ms": trial.user_attrs["latency_ms"] - 1e-6}


def test_a_latency_that_all_reach_changes_nothing(six, out):
    search(six, blind(trials=3, limits={"latency_ms": 1e6}), out, evaluate=table)

    assert states(out) == {"COMPLETE": 3}


def test_a_search_for_the_impossible_gives_up_in_a_large_space_too(space_of, out):
    large = space_of(TINY.replace("channels: {choice: [4, 6, 8, 10]}", "channels: {range: [1, 100]}"))
    assert large.size() == 100 * 3 * 2 * 4

    with pytest.raises(InfeasibleError):
        search(large, blind(limits={"latency_ms": 1e-6}), out, evaluate=table, callbacks=[Heard(patience=50)])


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU tells its memory")
@pytest.mark.parametrize(
    "settings",
    [{"objectives": ("top1", "peak_memory_mib")}, {"limits": {"peak_memory_mib": 5.0}}],
    ids=["objective", "limit"],
)
def test_memory_is_refused_where_the_device_does_not_tell_it(six, out, settings):
    with pytest.raises(InputError, match="peak_memory_mib"):
        search(six, blind(**settings), out, evaluate=table)

    assert not out.exists()


def test_a_device_that_is_not_here_is_refused_before_anything_is_written(six, out):
    with pytest.raises(InputError, match="tpu is not here"):
        search(six, blind(device="tpu"), out, evaluate=table)

    assert not out.exists()


def test_a_way_to_measure_that_the_device_has_not_is_refused_before_anything_is_written(six, out):
    with pytest.raises(InputError, match="cuda_graph needs a CUDA device, not cpu"):
        search(six, blind(device="cpu", latency_mode="cuda_graph"), out, evaluate=table)

    assert not out.exists()


def test_data_that_does_not_fit_the_space_is_refused_before_anything_is_written(space_of, out):
    space = space_of(TINY.replace("classes: 10", "classes: 11"))

    with pytest.raises(InputError, match="the data has 10 classes and the space says 11"):
        search(space, blind(recipe=SHORT), out)

    assert not out.exists()


def odd_ones_fail(number, architecture):
    if number % 2 == 1:
        raise RuntimeError(f"no room for number {number}\nand a second line")


def test_a_candidate_that_breaks_is_recorded_and_the_search_continues(tiny, out):
    search(tiny, blind(trials=6), out, evaluate=Calls(odd_ones_fail))

    assert states(out) == {"FAIL": 3, "COMPLETE": 3}


def test_a_broken_candidate_says_in_one_line_why_and_in_which_phase(tiny, out):
    search(tiny, blind(trials=1), out, evaluate=Calls(odd_ones_fail))

    (trial,) = recorded(out)
    assert trial.user_attrs["outcome"] == "failed"
    assert trial.user_attrs["error"] == "evaluate: RuntimeError: no room for number 1"


def test_a_broken_candidate_may_say_itself_what_happened(tiny, out):
    def lost(number, architecture):
        raise FailedTrialError("train", "the node is gone")

    search(tiny, blind(trials=1), out, evaluate=Calls(lost))

    assert recorded(out)[0].user_attrs["error"] == "train: the node is gone"


def test_a_broken_candidate_keeps_its_choices_and_what_was_counted(tiny, out):
    search(tiny, blind(trials=1), out, evaluate=Calls(odd_ones_fail))

    (trial,) = recorded(out)
    described = Architecture.model_validate_json(trial.user_attrs["description"])
    assert trial.user_attrs["macs"] == count_macs(described).total
    assert "stem.channels" in trial.params


def test_a_broken_candidate_uses_up_its_slot_and_is_not_tried_again(tiny, out):
    calls = Calls(odd_ones_fail)
    search(tiny, blind(trials=6), out, evaluate=calls)

    assert len(calls.asked) == len(set(calls.asked)) == 6
    assert sorted(trial.user_attrs["slot"] for trial in recorded(out)) == [0, 1, 2, 3, 4, 5]


def test_those_beside_a_broken_candidate_keep_their_values(tiny, out, whole):
    broken = outcome_of(tiny, blind(trials=6), out, Calls(odd_ones_fail))

    assert broken == {slot: whole.found[slot] for slot in (1, 3, 5)}


def always_fail(number, architecture):
    raise ValueError(f"number {number} is no good")


def test_ten_failures_in_a_row_are_no_accident(tiny, out):
    calls = Calls(always_fail)

    with pytest.raises(InfeasibleError, match=r"last 10 candidates failed.*ValueError: number 10 is no good"):
        search(tiny, blind(trials=20), out, evaluate=calls)

    assert len(calls.asked) == 10
    assert states(out) == {"FAIL": 10}


def test_nine_failures_in_a_row_may_be_one(tiny, out):
    def nine_of_ten(number, architecture):
        if number % 10:
            raise ValueError

    search(tiny, blind(trials=20), out, evaluate=Calls(nine_of_ten))

    assert states(out) == {"FAIL": 18, "COMPLETE": 2}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1.5, -0.1])
def test_a_number_that_is_no_share_of_images_is_never_recorded_as_accuracy(six, out, number):
    search(six, blind(trials=1), out, evaluate=lambda architecture, recipe: number)

    (trial,) = recorded(out)
    assert (trial.state.name, trial.values) == ("FAIL", None)
    assert "top1" not in trial.user_attrs
    assert f"evaluate returned {number}" in trial.user_attrs["error"]


@pytest.mark.parametrize("answer", [None, "good"])
def test_an_answer_that_is_no_number_fails_the_candidate(six, out, answer):
    search(six, blind(trials=1), out, evaluate=lambda architecture, recipe: answer)

    assert states(out) == {"FAIL": 1}


@pytest.mark.parametrize("share", [0, 1, np.float32(0.5), torch.tensor(0.25)])
def test_every_kind_of_number_between_nought_and_one_is_an_accuracy(six, out, share):
    search(six, blind(trials=1), out, evaluate=lambda architecture, recipe: share)

    assert recorded(out)[0].values[0] == float(share)


def test_the_same_seed_finds_the_same(tiny, tmp_path):
    """With the usual sampler; that every other finds the same again is shown in test_resume.py, with a stop between."""
    config = blind(trials=13, seed=5)
    first = outcome_of(tiny, config, tmp_path / "first")

    assert outcome_of(tiny, config, tmp_path / "second") == first


def test_another_seed_finds_something_else(tiny, tmp_path):
    found = [outcome_of(tiny, blind(seed=seed), tmp_path / str(seed)) for seed in (0, 1, 2)]

    assert found[0] != found[1] != found[2] != found[0]


def test_the_sampler_takes_over_once_ten_are_trained(tiny, out, whole):
    chance = outcome_of(tiny, blind(trials=16, sampler="random"), out)

    assert first(10, whole.found) == first(10, chance)
    assert whole.found != chance


SCRIPT = """
import sys
from archsearch.search import SAMPLER_NAMES
from archsearch.space import load_space
from table_search import blind, search, table
search(load_space(sys.argv[1]), blind(trials=16), sys.argv[2], evaluate=table)
"""


def test_another_process_with_other_hashes_finds_the_same(whole, out):
    subprocess.run(
        [sys.executable, "-c", SCRIPT, whole.folder / "space.yaml", out],
        env={**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": str(HELPERS)},
        check=True,
    )

    assert settled(out) == whole.found


def test_more_trials_of_the_same_search_continue_it(tiny, out, whole):
    for trials in (4, 8):
        search(tiny, blind(trials=trials), out, evaluate=table)

    assert settled(out) == first(8, whole.found)


def test_more_trials_continue_into_the_hands_of_the_sampler(tiny, out, whole):
    for trials in (7, 12, 16):
        search(tiny, blind(trials=trials), out, evaluate=table)

    assert settled(out) == whole.found


def test_the_same_search_again_trains_nothing(tiny, out):
    search(tiny, blind(trials=4), out, evaluate=table)
    calls = Calls()

    assert search(tiny, blind(trials=4), out, evaluate=calls) == Ending(used=4, exhausted=False)
    assert calls.asked == []


def test_a_smaller_budget_afterwards_trains_and_deletes_nothing(tiny, out):
    before = outcome_of(tiny, blind(trials=4), out)
    calls = Calls()

    assert outcome_of(tiny, blind(trials=2), out, calls) == before
    assert calls.asked == []


def test_nobody_elses_random_numbers_are_touched(tiny, out):
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)  # noqa: NPY002 - the global generator is the point
    expected = (torch.rand(3).tolist(), random.random(), np.random.rand())  # noqa: NPY002
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)  # noqa: NPY002

    search(tiny, blind(trials=12), out, evaluate=table)

    assert (torch.rand(3).tolist(), random.random(), np.random.rand()) == expected  # noqa: NPY002


def test_a_callback_gets_the_slots_used_and_every_trial(six, out):
    heard = Heard()
    search(six, blind(trials=2), out, evaluate=table, callbacks=[heard])

    assert heard.beginning == (0, 2)
    assert [(record.slot, record.outcome) for record in heard.records] == [(0, "trained"), (1, "trained")]


def test_a_callback_gets_on_resuming_what_is_done(six, out):
    search(six, blind(trials=2), out, evaluate=table)
    heard = Heard()
    search(six, blind(trials=3), out, evaluate=table, callbacks=[heard])

    assert heard.beginning == (2, 3)
    assert [record.slot for record in heard.records] == [2]


def test_a_callback_is_called_before_each_phase(six, out):
    heard = Heard()
    search(six, blind(trials=1), out, evaluate=table, callbacks=[heard])

    assert heard.phases == [(0, "profiling P-C"), (0, "training P-C")]
