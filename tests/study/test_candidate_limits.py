"""What a single candidate may cost, and what is noted of it on the way: a study outlives any of them."""

import math

import pandas as pd
import pytest
import torch
from table_search import GLANCE, SHORT, recorded, search, states

from archsearch.api import run_study
from archsearch.cli.results import results_command
from archsearch.errors import FailedTrialError, StudyFileError
from archsearch.storage.trial_record import SCORES
from archsearch.study import train_candidate as module
from archsearch.study.callbacks import Callback, CallbackList
from archsearch.study.config import StudyConfig, load_study
from archsearch.study.step_hook import StepHook


def study(**settings):
    """Two candidates, trained for four steps."""
    usual = {"objectives": ("top1", "macs"), "trials": 2, "device": "cpu", "latency_seconds": GLANCE}
    return StudyConfig(**{**usual, "recipe": SHORT, "scores": False, **settings})


@pytest.fixture(scope="module")
def scored(space, tmp_path_factory):
    """A run whose candidates are scored."""
    return run_study(space, study(scores=True), tmp_path_factory.mktemp("scored"))


LOSS = torch.zeros(())


class Acting(Callback):
    """Does something at every step of the first candidate."""

    def __init__(self, act):
        self.act, self.slot, self.threads = act, None, []

    def on_phase(self, slot, what):
        self.slot = slot

    def on_step(self, done, total, loss):
        self.threads.append(torch.get_num_threads())
        if self.slot == 0:
            self.act(done)


class Clock:
    """Stands in for the module ``time``: it goes on when it is told to."""

    def __init__(self):
        self.now = 0.0

    def passes(self, seconds):
        self.now += seconds

    def monotonic(self):
        return self.now

    perf_counter = monotonic


@pytest.fixture
def clock(monkeypatch):
    stopped = Clock()
    for name in ("archsearch.study.step_hook", "archsearch.proxy.train"):
        monkeypatch.setattr(f"{name}.time", stopped)
    return stopped


def test_a_training_that_takes_too_long_costs_the_candidate_and_not_the_study(space, out, clock):
    search(space, study(candidate_seconds=2.0), out, callbacks=[Acting(lambda done: clock.passes(0.8))])

    lost, kept = recorded(out)
    assert lost.user_attrs["outcome"] == "failed"
    assert lost.user_attrs["error"] == "train: took 2 s by step 3 of 4; candidate_seconds is 2"
    assert kept.user_attrs["outcome"] == "trained"


def test_the_time_is_up_behind_the_step_that_exceeds_it(clock):
    deadline = StepHook(10.0, CallbackList())
    clock.passes(10.0)
    deadline(1, 4, LOSS)
    clock.passes(0.5)

    with pytest.raises(FailedTrialError, match=r"train: took 10 s by step 2 of 4; candidate_seconds is 10$"):
        deadline(2, 4, LOSS)


def test_time_spent_before_an_interruption_counts(clock):
    deadline = StepHook(10.0, CallbackList())
    deadline.spent = 8.0
    clock.passes(3.0)

    with pytest.raises(FailedTrialError, match="took 11 s"):
        deadline(1, 4, LOSS)


def test_without_a_limit_a_training_takes_what_it_takes(clock):
    deadline = StepHook(None, CallbackList())
    clock.passes(1e9)

    deadline(1, 4, LOSS)


def test_a_resumed_training_remembers_how_long_it_took(space, out, clock):
    """A second in front of the rung, and one behind it."""

    def interrupts(done):
        clock.passes(0.5)
        if done == 3:
            raise KeyboardInterrupt

    config = study(rungs=(0.5,), candidate_seconds=1.9, trials=1)
    with pytest.raises(KeyboardInterrupt):
        search(space, config, out, callbacks=[Acting(interrupts)])
    search(space, config, out, callbacks=[Acting(lambda done: clock.passes(0.5))])

    assert recorded(out)[-1].user_attrs["error"].startswith("train: took 2 s by step 4 of 4")


def test_a_training_that_takes_too_much_memory_costs_the_candidate_and_not_the_study(space, out):
    """The first one asks for a GiB."""
    taken = []

    def takes(done):
        taken.append(bytearray(2**30))

    search(space, study(candidate_memory_mib=512), out, callbacks=[Acting(takes)])

    lost, kept = recorded(out)
    assert lost.user_attrs["error"] == "train: out of memory with batches of 32 images"
    assert kept.user_attrs["outcome"] == "trained"
    assert taken == []


def test_scores_are_columns_of_the_results(scored):
    table = pd.read_parquet(scored.folder / "trials.parquet")

    assert table[["nwot", "nwot_per_image", "synflow", "trainability"]].map(math.isfinite).all(axis=None)
    assert (table["score_seconds"] > 0).all()


def test_scores_change_nothing_of_the_training(scored, space, out):
    run = run_study(space, study(), out)

    assert list(run.trials["top1"]) == list(scored.trials["top1"])
    assert list(run.trials["val_loss"]) == list(scored.trials["val_loss"])


def test_who_wants_no_scores_gets_none(space, out):
    search(space, study(trials=1), out)

    assert not {*SCORES, "score_seconds"} & recorded(out)[0].user_attrs.keys()


@pytest.mark.parametrize(
    "error",
    [FailedTrialError("score", "no activation was met"), RuntimeError("oom"), MemoryError()],
    ids=["refused", "broken", "out of memory"],
)
def test_a_network_that_cannot_be_scored_is_trained_all_the_same(space, out, monkeypatch, error):
    def refuses(*_, **__):
        raise error

    monkeypatch.setattr(module, "zero_cost_scores", refuses)
    search(space, study(scores=True, trials=1), out)

    assert states(out) == {"COMPLETE": 1}
    assert not {*SCORES} & recorded(out)[0].user_attrs.keys()


def test_a_score_that_is_no_number_is_left_out_and_the_others_are_kept(space, out, monkeypatch):
    given = module.zero_cost_scores
    monkeypatch.setattr(
        module, "zero_cost_scores", lambda *a, **k: replaced(given(*a, **k), nwot=-math.inf, synflow=math.nan)
    )
    search(space, study(scores=True, trials=1), out)

    assert {*SCORES} & recorded(out)[0].user_attrs.keys() == {"nwot_per_image", "trainability"}


def replaced(scores, **values):
    for name, value in values.items():
        object.__setattr__(scores, name, value)
    return scores


def test_a_training_has_as_many_threads_as_the_study_says(space, out):
    before = torch.get_num_threads()
    acting = Acting(lambda done: None)
    search(space, study(threads=before + 1, trials=1), out, callbacks=[acting])

    assert set(acting.threads) == {before + 1}
    assert torch.get_num_threads() == before


def test_threads_are_as_before_when_a_study_breaks_off(space, out):
    def breaks_off(done):
        raise KeyboardInterrupt

    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        search(space, study(threads=before + 1), out, callbacks=[Acting(breaks_off)])

    assert torch.get_num_threads() == before


REFUSED = {
    "threads: 0": "threads: 0 is too small; write at least 1",
    "candidate_seconds: 0": "candidate_seconds: 0 is too small; write more than 0",
    "candidate_seconds: .inf": "candidate_seconds: .inf is no finite number; ",
    "candidate_memory_mib: 0": "candidate_memory_mib: 0 is too small; write at least 1",
    "candidate_memory_mib: 0.5": "candidate_memory_mib: 0.5 is a decimal number; write an integer",
    "scores: 3": "scores: 3 is an integer; ",
}


@pytest.mark.parametrize("written", REFUSED)
def test_a_limit_that_is_none_is_refused_with_its_place(tmp_path, written):
    (tmp_path / "study.yaml").write_text(f"{written}\n")
    with pytest.raises(StudyFileError) as caught:
        load_study(None, "space.yaml", tmp_path / "study.yaml")

    assert caught.value.lines()[0].startswith(f"{tmp_path}/study.yaml:1: {REFUSED[written]}")


def test_what_a_candidate_may_cost_is_no_part_of_the_identity_but_threads_and_scores_are():
    budgets = ({}, {"candidate_seconds": 5.0}, {"candidate_memory_mib": 100})

    assert len({study(**budget).fingerprint for budget in budgets}) == 1
    assert len({study(**other).fingerprint for other in ({}, {"threads": 1}, {"scores": True})}) == 3


def test_the_proxy_report_is_a_file(scored):
    report = pd.read_csv(scored.folder / "proxies.csv")

    assert list(report.columns) == list(scored.proxies.columns)
    assert {"macs", *SCORES} <= set(report["proxy"])
    assert set(report["status"].dropna()) == {"too few"}


def test_results_say_that_two_trainings_are_too_few_to_judge_a_proxy_by(scored, capsys):
    results_command(scored.folder, as_json=False)
    printed = " ".join(capsys.readouterr().out.split())

    assert "2 final trainings are too few to judge a proxy by: 30 are needed." in printed
    assert "So no candidate may be rejected by a proxy." in printed
