"""What a space holds by a sample of it, and what a study will take by a few candidates."""

import itertools
import statistics
from types import SimpleNamespace

import pytest
import torch
from fake_predictors import ByParams, predictor
from table_search import SHORT, TINY, blind

from archsearch.counting import count_activations, count_params, family
from archsearch.study import space_summary as envelope
from archsearch.study.space_summary import Spread, forecast, seconds_of, summarize_space

CPU = torch.device("cpu")


def test_every_family_has_the_spread_of_what_is_predicted_of_its_members(tiny):
    said = predictor(kind=ByParams)
    members = {}
    for architecture in tiny.draws(3, 20):
        members.setdefault(family(architecture), []).append(count_params(architecture) / 100)

    assert len(members) == 2
    assert summarize_space(tiny, 20, seed=3, predictor=said).latency_ms == {
        name: Spread(min(ms), statistics.median(ms), max(ms)) for name, ms in members.items()
    }


def test_no_latency_is_predicted_where_nothing_is_fitted(tiny):
    assert summarize_space(tiny, 10).latency_ms is None


def test_only_feasible_points_are_predicted(space_of):
    limited = space_of(TINY + "limits: {params: 400}\n")

    found = summarize_space(limited, 40, predictor=predictor(kind=ByParams))

    assert 0 < found.feasible < 40
    assert max(spread.high for spread in found.latency_ms.values()) <= 400 / 100


def test_activations_are_counted_by_family(six):
    counts = [count_activations(architecture) for architecture in six.draws(0, 12)]

    assert summarize_space(six, 12).activations == {
        "all-local": Spread(min(counts), statistics.median(counts), max(counts))
    }


def test_a_study_takes_its_trials_times_what_a_few_candidates_took_on_average(tiny, monkeypatch):
    seconds = itertools.count(1)
    monkeypatch.setattr(envelope, "seconds_of", lambda *_: float(next(seconds)))

    expected = forecast(tiny, blind(trials=10), CPU)

    # (1 + 2 + ... + 8) / 8 = 4.5
    assert (expected.seconds_per_trial, expected.seconds, expected.steps) == (4.5, 45.0, 12)
    assert expected.timed == tuple(tiny.draw(seed).layout for seed in range(8))


@pytest.mark.parametrize(("batch", "trained"), [(32, 16), (8, 8)])
def test_a_candidate_takes_its_profiling_and_all_images_at_the_speed_of_the_later_steps(
    six, monkeypatch, batch, trained
):
    # Two seconds of profiling, a slow first step, and eleven of one second.
    ticks = iter([0, 2, 100, *range(101, 112)])
    monkeypatch.setattr(envelope, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    monkeypatch.setattr(envelope, "profile_architecture", lambda *_, **__: None)
    recipe = SHORT.model_copy(update={"batch_size": batch})

    seconds = seconds_of(six.draw(0), blind(recipe=recipe), CPU)

    # 128 images to train with, and 64 to validate at a third of their price.
    assert seconds == pytest.approx(2 + (128 + 64 / 3) / trained)
