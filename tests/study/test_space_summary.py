"""What a space holds, by a sample of it."""

import statistics

from fake_predictors import ByParams, predictor
from table_search import TINY

from archsearch.counting import count_activations, count_params, family
from archsearch.study.space_summary import Spread, summarize_space


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
