import json
from pathlib import Path

import pandas as pd
import pytest
from trial_frames import trials_of

from archsearch.results.answer import explain_codes
from archsearch.results.repeats import repeats_frame
from archsearch.results.run import Run

LOCAL = {"latency_ms": 2.0, "top1": 0.50}
GLOBAL = {"latency_ms": 2.0, "family": "global-from-1", "layout": "C-CTT", "globality": 0.6}


def run_of(*rows, repeats=None, objectives=("top1", "latency_ms"), **more):
    return Run(
        Path("nowhere"),
        objectives,
        trials_of(*rows),
        pd.DataFrame(),
        {},
        repeats=repeats_frame(repeats or {}),
        **more,
    )


def seeds(*top1):
    return {f"final:a0:{seed}": {"top1": value, "samples": 512} for seed, value in enumerate(top1)}


def told(run, words):
    """The sentences that hold ``words``."""
    return [line for line in run.answer if words in line]


def test_a_run_without_a_trained_candidate_has_no_answer_and_says_so():
    assert run_of({"outcome": "failed"}).answer == [
        "No candidate was trained to its end, so there is no answer yet."
    ]


def test_it_begins_with_the_most_accurate_network_and_where_it_stands():
    best = run_of(LOCAL, {**GLOBAL, "top1": 0.61, "global_macs_share": 0.25, "global_tokens": 64}).answer[0]

    assert best == (
        "Most accurate: trial 1 (C-CTT, global-from-1) with top-1 0.610 (one training) at 2 ms; globality 0.60, "
        "25% of its MACs in attention, first attention over 64 tokens."
    )


def test_a_difference_that_seeds_do_not_explain_stands_with_its_interval():
    # Deviation 0.001 with two degrees of freedom.
    (line,) = told(
        run_of(LOCAL, {**GLOBAL, "latency_ms": 1.9, "top1": 0.61}, repeats=seeds(0.5, 0.501, 0.499)),
        "global-from-1 against all-local",
    )

    assert "best against best +0.110 top-1 for 0.1 ms less" in line
    assert "seeds" not in line


def test_a_winner_that_was_trained_again_is_told_with_its_own_seeds():
    run = run_of({**LOCAL, "top1": 0.53}, repeats=seeds(0.50, 0.51, 0.49))

    assert "with top-1 0.530, 0.500 (0.475 to 0.525) over 3 other seeds, at 2 ms" in run.answer[0]


def test_where_seeds_hide_a_difference_the_sentence_says_so():
    run = run_of(
        {**LOCAL, "latency_ms": 1.0, "top1": 0.49},
        LOCAL,
        {**GLOBAL, "latency_ms": 1.0, "top1": 0.50},
        {**GLOBAL, "top1": 0.51},
        repeats=seeds(0.50, 0.52, 0.48),
    )
    (line,) = told(run, "global-from-1 against all-local")

    assert "+0.010 top-1 at equal latency (-" in line
    assert "not separated by the seeds" in line
    assert "within the 0.122 that seeds make" in line


def test_without_repeated_seeds_it_says_that_nobody_knows():
    run = run_of(
        {**LOCAL, "latency_ms": 1.0},
        LOCAL,
        {**GLOBAL, "latency_ms": 1.0, "top1": 0.60},
        {**GLOBAL, "top1": 0.61},
    )

    assert "(how much of it is due to seeds is not known)" in told(run, "against all-local")[0]
    assert "how far that is the seed's doing is not known" in told(run, "best cell of the map")[0]
    assert run.answer[-1].startswith("No architecture was trained from several seeds")


def test_the_map_names_the_cells_that_the_seeds_do_not_tell_from_the_best():
    rows = [{**LOCAL, "globality": 0.1, "top1": 0.60}, {**GLOBAL, "top1": 0.61}]
    (line,) = told(run_of(*rows, repeats=seeds(0.50, 0.51, 0.49)), "best cell of the map")

    assert "at globality 0.60; cells from 0.10 to 0.60 are not told apart from it by the seeds" in line
    (line,) = told(run_of(*rows, repeats=seeds(0.500, 0.501, 0.499)), "best cell of the map")
    assert "no other cell is within what seeds make (2 of 5 cells" in line


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([GLOBAL], "No all-local network was trained"),
        ([LOCAL], "Only all-local networks were trained"),
    ],
)
def test_a_side_that_was_never_tried_is_named(rows, words):
    assert told(run_of(*rows), words)


def test_what_choosing_by_macs_would_cost_is_told():
    run = run_of(
        {**GLOBAL, "macs": 10, "latency_ms": 6.0, "top1": 0.5}, {**LOCAL, "macs": 20, "latency_ms": 2.0}
    )

    assert told(
        run, "1 networks of the MACs front are off the latency front, by a factor of up to 3.00 (trial 0"
    )


def test_the_last_sentence_says_what_the_intervals_are_made_of():
    line = run_of(LOCAL, repeats=seeds(0.50, 0.51, 0.49)).answer[-1]

    assert line.startswith("Seeds deviate by 0.0100 (2 degrees of freedom, trainings of 512 images)")


def test_the_letters_and_families_of_this_run_are_explained():
    run = run_of(
        {**LOCAL, "layout": "P-CC"},
        {**GLOBAL, "layout": "T-CT"},
        {**GLOBAL, "outcome": "failed", "family": "mixed"},
    )
    parts = {"a0": ("patch", "conv", "conv"), "a1": ("t2t", "conv", "token_transformer")}
    for name, (stem, *stages) in parts.items():
        described = {"stem": {"kind": stem}, "stages": [{"kind": kind} for kind in stages]}
        run.descriptions[name] = json.dumps(described)

    assert explain_codes(run) == (
        "A layout has a letter for the stem (P patch and T t2t), then one for each stage (C conv and T "
        "token_transformer). Families (stages count from 0): all-local: every stage mixes locally; global-from-1: stages before stage 1 mix locally, the others globally."
    )


def test_a_cost_of_the_users_own_is_told_by_its_name():
    rows = [{**LOCAL, "top1": 0.6}, GLOBAL]
    run = run_of(*rows, objectives=("top1", "energy_mj"))
    run.trials["energy_mj"] = [3.5, 2.5]

    assert "with top-1 0.600 (one training) at 3.5; globality" in run.answer[0]
    assert told(run, "global-from-1 against all-local: ")
