"""What a study will take, by a few candidates."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from table_search import SHORT, blind

from archsearch.study import forecast
from archsearch.study.forecast import forecast_time, time_candidate

CPU = torch.device("cpu")


def test_a_study_takes_its_trials_times_what_a_few_candidates_took_on_average(tiny, monkeypatch):
    seconds = itertools.count(1)
    monkeypatch.setattr(forecast, "time_candidate", lambda *_: float(next(seconds)))

    expected = forecast_time(tiny, blind(trials=10), CPU)

    # (1 + 2 + ... + 8) / 8 = 4.5
    assert (expected.seconds_per_trial, expected.seconds, expected.steps) == (4.5, 45.0, 12)
    assert expected.timed == tuple(tiny.draw(seed).layout for seed in range(8))


@pytest.mark.parametrize(("batch", "trained"), [(32, 16), (8, 8)])
def test_a_candidate_takes_its_profiling_and_all_images_at_the_speed_of_the_later_steps(
    six, monkeypatch, batch, trained
):
    # Two seconds of profiling, a slow first step, and eleven of one second.
    ticks = iter([0, 2, 100, *range(101, 112)])
    monkeypatch.setattr(forecast, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    monkeypatch.setattr(forecast, "profile_architecture", lambda *_, **__: None)
    recipe = SHORT.model_copy(update={"batch_size": batch})

    seconds = time_candidate(six.draw(0), blind(recipe=recipe), CPU)

    # 128 images to train with, and 64 to validate at a third of their price.
    assert seconds == pytest.approx(2 + (128 + 64 / 3) / trained)
