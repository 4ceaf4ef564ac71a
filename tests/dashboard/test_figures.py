"""The dashboard's figures of a table that one can check by hand."""

import json

import pandas as pd
import pytest

from archsearch.dashboard.figures import as_graph, frontier_figure, map_figure
from archsearch.results.frontier import frontier_frame
from archsearch.results.map import map_frame

TRIALS = pd.DataFrame(
    {
        "number": [0, 1, 2, 3, 4],
        "outcome": ["trained", "trained", "trained", "trained", "infeasible"],
        "architecture": ["aaa", "bbb", "ccc", "ddd", "eee"],
        "reference": pd.array([None, "<b>known</b>", None, None, None], dtype="string"),
        "layout": ["C-C", "C-M", "C-M", "C-M", "C-M"],
        "family": ["all-local", "all-global", "all-global", "all-global", "all-local"],
        "globality": [0.1, 0.9, 0.9, 0.85, 0.5],
        "macs": [1e6, 2e6, 4e6, 5e6, 9e6],
        "params": [10, 20, 30, 40, 50],
        "latency_ms": pd.array([1.0, 2.0, 5.0, None, None], dtype="Float64"),
        "top1": pd.array([0.5, 0.4, 0.7, 0.6, None], dtype="Float64"),
        "on_frontier": [True, False, True, False, False],
    }
)
CHOICES = {2: {f"stages.{index}.kind": "mhsa" for index in range(4)}}


@pytest.fixture
def frontier():
    return frontier_figure(TRIALS, frontier_frame(TRIALS, ("top1", "macs")), "macs", CHOICES)


def test_the_line_climbs_through_the_best_of_each_cost(frontier):
    line = frontier["data"][0]

    assert (line["x"], line["y"]) == ([1e6, 4e6], [0.5, 0.7])


def test_the_line_leaves_out_what_is_best_for_a_third_objective_only():
    # Trial 1 is on a front with parameters, and buys nothing for its MACs.
    line = frontier_figure(TRIALS, TRIALS.iloc[[0, 1, 2]], "macs", {})["data"][0]

    assert line["y"] == [0.5, 0.7]


def test_families_are_told_apart_by_symbols_and_globality_by_colour(frontier):
    local, everywhere = frontier["data"][1:]

    assert (local["name"], everywhere["name"]) == ("all-local", "all-global")
    assert local["marker"]["symbol"] != everywhere["marker"]["symbol"]
    assert everywhere["marker"]["color"] == [0.9, 0.9, 0.85]
    assert [width > 0 for width in everywhere["marker"]["line"]["width"]] == [False, True, False]


def test_a_point_says_what_it_is_and_what_was_chosen(frontier):
    text = frontier["data"][2]["text"][1]

    assert text.split("<br>") == [
        "<b>trial 2</b> ccc",
        "C-M, all-global, globality 0.900",
        "top1 0.7000, 4M MACs, 30 parameters, 5.000 ms",
        "stages.0.kind mhsa, stages.1.kind mhsa, stages.2.kind mhsa",
        "stages.3.kind mhsa",
    ]


def test_names_cannot_write_html(frontier):
    assert "&lt;b&gt;known" in frontier["data"][2]["text"][0]


def test_costs_are_named_as_one_reads_them(frontier):
    assert frontier["layout"]["xaxis"]["ticktext"] == ["1M", "2M", "5M", "10M", "20M", "50M"]


def test_a_cell_of_the_map_has_its_best_candidate():
    figure = map_figure(map_frame(TRIALS, "macs"), "macs")
    heat = figure["data"][0]
    filled = {value for row in heat["z"] for value in row if value is not None}

    assert filled == {0.5, 0.4, 0.7}
    assert (heat["z"][0][0], heat["z"][-1][-1]) == (0.5, 0.7)
    assert heat["text"][-1][-1].endswith("best of 2 trained")
    assert {note["text"] for note in figure["layout"]["annotations"]} == {
        *("0.500<br>(1)", "0.400<br>(1)", "0.700<br>(2)")
    }


def test_candidates_of_one_cost_are_a_map_too():
    same = TRIALS.assign(macs=1e6)
    heat = map_figure(map_frame(same, "macs"), "macs")["data"][0]

    assert [value for row in heat["z"] for value in row if value is not None] == [0.5, 0.7]
    assert heat["x"] == [0.9e6, 1.1e6]


def test_a_figure_is_json(frontier):
    graph = as_graph("frontier", frontier)

    assert json.loads(graph["graph_object"])["layout"]["xaxis"]["type"] == "log"
