"""A fitted predictor spares candidates that cannot meet the limit of latency; a run keeps the one it began with."""

import pandas as pd
import pytest
import torch
from fake_predictors import ByParams, predictor
from table_search import Calls, blind, recorded, search, states, table

from archsearch.api import run_study
from archsearch.counting import count_activations, count_macs, count_params
from archsearch.errors import InfeasibleError
from archsearch.profiling import Latency, Profile, conditions_of, keep_fitted
from archsearch.profiling.fitted import predictor_file
from archsearch.study import evaluate_candidate as objective
from archsearch.study.context import TrialContext
from archsearch.study.evaluate_candidate import evaluate_candidate, new_record

CPU = torch.device("cpu")
# Wrong by a quarter at the worst: what is predicted to take over 125 ms takes over 100.
LIMIT, WORST = {"latency_ms": 100.0}, 1.25


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache in which nothing is fitted."""
    monkeypatch.setenv("ARCHSEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Measured:
    """Measures three milliseconds, and remembers of whom."""

    def __init__(self, flags=()):
        self.asked = []
        self.flags = flags

    def __call__(self, architecture, context):
        self.asked.append(architecture.id)
        new_record = (count_params(architecture), count_macs(architecture), count_activations(architecture))
        latency = Latency(3.0, 2.5, 3.75, 11, anchor_ms=0.25, flags=self.flags)
        return Profile(*new_record, latency, None, None, conditions_of("cpu"))


@pytest.fixture
def measure(monkeypatch):
    """What stands in for measuring."""
    measure = Measured()
    monkeypatch.setattr(objective, "profile_candidate", measure)
    return measure


@pytest.fixture
def judged(six):
    """A candidate of which ``said`` is predicted, judged."""

    def candidate(said, limits):
        config = blind(device="cpu", limits=limits)
        architecture = six.draw(0)
        context = TrialContext(six, config, CPU, evaluate=table, predictor=said)
        return evaluate_candidate(new_record(architecture, 0, six), architecture, context)

    return candidate


def test_a_candidate_that_cannot_meet_the_limit_is_neither_measured_nor_trained(judged, measure):
    candidate = judged(predictor(126.0, WORST), LIMIT)

    assert measure.asked == []
    assert (candidate.record.outcome, candidate.record.predicted_latency_ms) == ("infeasible", 126.0)
    assert (candidate.record.latency_ms, candidate.record.top1) == (None, None)


def test_it_is_over_the_limit_by_the_least_that_it_can_take(judged, measure):
    candidate = judged(predictor(126.0, WORST), LIMIT)

    assert candidate.constraints == {"latency_ms": pytest.approx(126.0 / 1.25 - 100.0)}


@pytest.mark.parametrize("ms", [124.0, 125.0])
def test_a_candidate_that_may_meet_the_limit_is_measured(judged, measure, ms):
    candidate = judged(predictor(ms, WORST), LIMIT)

    assert len(measure.asked) == 1
    assert (candidate.record.outcome, candidate.record.predicted_latency_ms) == ("trained", ms)
    assert candidate.constraints == {"latency_ms": 3.0 - 100.0}


def test_what_is_measured_and_not_what_is_predicted_decides(judged, measure):
    candidate = judged(predictor(1.0, WORST), {"latency_ms": 2.5})

    assert (candidate.record.outcome, candidate.constraints) == ("infeasible", {"latency_ms": 3.0 - 2.5})


@pytest.mark.parametrize("limits", [{}, {"macs": 1e9}])
def test_nobody_is_skipped_where_latency_has_no_limit(judged, measure, limits):
    candidate = judged(predictor(1e9), limits)

    assert (candidate.record.outcome, candidate.record.predicted_latency_ms) == ("trained", 1e9)


def test_nothing_is_predicted_where_nothing_is_fitted(judged, measure):
    assert judged(None, LIMIT).record.predicted_latency_ms is None


def test_what_was_wrong_while_measuring_is_recorded_in_words(judged, monkeypatch):
    monkeypatch.setattr(objective, "profile_candidate", Measured(flags=("hot", "crowded")))

    record = judged(None, {}).record

    assert (record.latency_flags, record.anchor_ms) == ("hot; crowded", 0.25)


def test_no_words_are_recorded_where_nothing_was_wrong(judged, measure):
    assert judged(None, {}).record.latency_flags is None


def test_a_search_skips_by_the_fitted_predictor_and_says_how_near_it_came(six, out):
    keep_fitted(predictor(5.0, WORST), six.fingerprint)
    calls = Calls()

    # 5 / 1.25 - 3.5 = 0.5
    with pytest.raises(InfeasibleError, match=r"latency_ms is exceeded by 0\.5 or more"):
        search(six, blind(device="cpu", limits={"latency_ms": 3.5}), out, evaluate=calls)

    assert (calls.asked, states(out)) == ([], {"PRUNED": 6})
    for trial in recorded(out):
        assert trial.constraints == {"latency_ms": 0.5}
        assert (trial.user_attrs["outcome"], trial.user_attrs["predicted_latency_ms"]) == ("infeasible", 5.0)
        assert "latency_ms" not in trial.user_attrs


def test_the_sampler_learns_from_skipped_and_measured_alike(tiny, out, measure, monkeypatch):
    monkeypatch.setattr("archsearch.study.open_run.predictor_of", lambda *_: predictor(kind=ByParams))
    # At ten microseconds a parameter, 600 parameters.
    limits = {"params": 1e9, "latency_ms": 6.0}
    search(tiny, blind(trials=14, device="cpu", limits=limits), out, evaluate=table)

    small = {t.user_attrs["architecture"] for t in recorded(out) if t.user_attrs["params"] <= 600}
    assert small == set(measure.asked)
    assert states(out) == {"COMPLETE": 14, "PRUNED": len(recorded(out)) - 14}
    assert len(recorded(out)) > 14


def predictions(folder):
    return [trial.user_attrs.get("predicted_latency_ms") for trial in recorded(folder)]


def test_a_run_writes_down_the_predictor_that_it_begins_with(six, out):
    keep_fitted(predictor(5.0, WORST), six.fingerprint)
    search(six, blind(device="cpu", trials=2), out, evaluate=table)

    assert (out / "latency_predictor.json").read_text() == predictor(5.0, WORST).to_json()
    assert predictions(out) == [5.0, 5.0]


def test_a_run_keeps_its_predictor_when_the_cache_is_lost(six, out):
    file = keep_fitted(predictor(5.0), six.fingerprint)
    search(six, blind(device="cpu", trials=1), out, evaluate=table)
    file.unlink()
    search(six, blind(device="cpu", trials=3), out, evaluate=table)

    assert predictions(out) == [5.0] * 3


def test_a_run_keeps_its_predictor_when_another_is_fitted(six, out):
    for trials, ms in ((1, 5.0), (3, 7.0)):
        keep_fitted(predictor(ms), six.fingerprint)
        search(six, blind(device="cpu", trials=trials), out, evaluate=table)

    assert predictions(out) == [5.0] * 3


def test_a_run_that_began_without_a_predictor_continues_without(six, out):
    search(six, blind(device="cpu", trials=1), out, evaluate=table)
    keep_fitted(predictor(5.0), six.fingerprint)
    search(six, blind(device="cpu", trials=3), out, evaluate=table)

    assert predictions(out) == [None] * 3
    assert not (out / "latency_predictor.json").exists()


def test_a_predictor_that_a_beginning_left_behind_is_not_that_of_the_run(six, out):
    """A kill between the predictor and the manifest, and a cache that is lost before the run begins again."""
    out.mkdir()
    (out / "latency_predictor.json").write_text(predictor(5.0).to_json())
    search(six, blind(device="cpu", trials=1), out, evaluate=table)
    search(six, blind(device="cpu", trials=3), out, evaluate=table)

    assert predictions(out) == [None] * 3


@pytest.mark.parametrize("other", [{"latency_batch": 2}, {"latency_dtype": "bfloat16"}])
def test_a_predictor_for_other_conditions_is_none_of_this_run(six, out, other):
    keep_fitted(predictor(5.0), six.fingerprint)
    search(six, blind(device="cpu", trials=1, **other), out, evaluate=table)

    assert predictions(out) == [None]


def test_a_predictor_for_the_conditions_of_the_run_is_taken(six, out):
    said = predictor(5.0, batch_size=2, dtype="bfloat16")
    assert keep_fitted(said, six.fingerprint) == predictor_file(six.fingerprint, said.conditions)
    config = blind(device="cpu", trials=1, latency_batch=2, latency_dtype="bfloat16")
    search(six, config, out, evaluate=table)

    assert predictions(out) == [5.0]


DAMAGED = {
    "nothing": "",
    "half of it": predictor(5.0).to_json()[:200],
    "a list": "[]",
    "null": "null",
    "no weights": predictor(5.0).to_json().replace("weights", "heights"),
    "one weight less": predictor(5.0).to_json().replace('"pass"', '"fail"'),
    "a word for a weight": predictor(5.0).to_json().replace('"pass": 5.0', '"pass": "five"'),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_predictor_is_none(six, out, name):
    keep_fitted(predictor(5.0), six.fingerprint)
    search(six, blind(device="cpu", trials=1), out, evaluate=table)
    (out / "latency_predictor.json").write_text(DAMAGED[name])
    search(six, blind(device="cpu", trials=2), out, evaluate=table)

    assert predictions(out) == [5.0, None]


def test_predictions_and_what_was_seen_of_the_machine_are_columns_with_their_types(six, out, monkeypatch):
    monkeypatch.setattr(objective, "profile_candidate", Measured(flags=("hot", "crowded")))
    keep_fitted(predictor(5.0), six.fingerprint)
    run_study(six, blind(device="cpu", trials=2), out, evaluate=table)

    trials = pd.read_parquet(out / "trials.parquet")
    types = {name: str(kind) for name, kind in trials.dtypes.items()}
    assert (types["activations"], types["latency_flags"]) == ("Int64", "string")
    assert types["predicted_latency_ms"] == types["anchor_ms"] == types["latency_ms"] == "Float64"
    assert list(trials["predicted_latency_ms"]) == [5.0, 5.0]
    assert list(trials["latency_flags"]) == ["hot; crowded"] * 2
    assert list(trials["anchor_ms"]) == [0.25, 0.25]
