import json
from pathlib import Path

import pandas as pd
from trial_frames import trials_of

from archsearch.results.health import CHECKS, health_lines
from archsearch.results.repeats import repeats_frame
from archsearch.results.run import Run

DESCRIPTION = json.dumps({"classes": 10})


def checked(name, *rows, folder=Path("nowhere"), repeats=None, extra=None, sampler="auto"):
    """Status and text of one check of a run of these trials."""
    trials = trials_of(*rows)
    for column, values in (extra or {}).items():
        trials[column] = values
    run = Run(
        folder,
        ("top1", "latency_ms"),
        trials,
        pd.DataFrame(),
        {"a0": DESCRIPTION},
        repeats=repeats_frame(repeats or {}),
    )
    run.__dict__["manifest"] = {"identity": {"sampler": sampler}}
    trained = trials[trials["outcome"] == "trained"]
    finding = CHECKS[name](run, trained)
    return [(finding.status, finding.text)]


def halving(count, **more):
    """A front: each trial dearer and better than the one before."""
    return [{"latency_ms": 1.0 + n, "top1": 0.50 + n / 100, **more} for n in range(count)]


def seeds(deviation):
    return {f"final:a0:{n}": {"top1": 0.5 + n * deviation, "samples": 512} for n in (-1, 0, 1)}


NOISE = "the front is more than noise"


def test_a_front_that_rises_by_more_than_seeds_do_is_no_noise():
    ((status, text),) = checked(NOISE, *halving(5), repeats=seeds(0.001))

    assert status == "ok"
    assert (
        text
        == "top-1 rises by 0.040 along the 5 points of the front; two trainings are told apart from 0.006 on"
    )


def test_a_front_within_the_seeds_is_noise():
    assert checked(NOISE, *halving(5), repeats=seeds(0.05))[0][0] == "warn"


def test_without_repeated_seeds_nobody_knows():
    ((status, text),) = checked(NOISE, *halving(5))

    assert status == "unknown"
    assert "nobody knows how much of it is chance" in text
    assert checked(NOISE, *halving(1))[0][0] == "unknown"


BOUND = "no bound is always hit"


def test_an_option_whose_end_the_whole_front_takes_is_named():
    rows = [*halving(4), {"latency_ms": 9.0, "top1": 0.1}, {"latency_ms": 9.0, "top1": 0.1}]
    kernels = pd.array([7, 7, 7, 7, 3, 5], dtype="Int64")
    ((status, text),) = checked(BOUND, *rows, extra={"stages.0.conv.kernel": kernels})

    assert status == "warn"
    assert "stages.0.conv.kernel 7 (tried 3 to 7)" in text


def test_an_option_in_the_middle_or_of_two_values_is_no_bound():
    rows = [*halving(4), {"latency_ms": 9.0, "top1": 0.1}, {"latency_ms": 9.0, "top1": 0.1}]
    middle = pd.array([5, 5, 5, 5, 3, 7], dtype="Int64")
    two = pd.array([5, 5, 5, 5, 3, 3], dtype="Int64")

    assert checked(BOUND, *rows, extra={"stages.0.heads": middle})[0][0] == "ok"
    assert checked(BOUND, *rows, extra={"stages.0.heads": two})[0][0] == "ok"


def test_a_limit_that_the_whole_front_uses_up_is_named():
    rows = halving(4, macs=970)
    near = checked(BOUND, *rows, extra={"excess.macs": [-30.0] * 4})
    far = checked(BOUND, *halving(4, macs=500), extra={"excess.macs": [-500.0] * 4})

    assert near[0][0] == "warn"
    assert "macs within 5 % of its limit" in near[0][1]
    assert far[0][0] == "ok"
    assert checked(BOUND, *halving(3))[0][0] == "unknown"


def test_a_kind_or_a_family_that_was_never_trained_is_named():
    name = "every family had its chance"
    rows = [{}, {"outcome": "infeasible", "family": "all-global"}]
    kinds = {"stages.0.kind": pd.array(["conv", "mhsa"], dtype="string")}
    ((status, text),) = checked(name, *rows, extra=kinds)

    assert status == "warn"
    assert text == "proposed and never trained: all-global, mhsa at stages.0"
    assert checked(name, {}, {})[0][0] == "ok"


CHANCE = "the search beats chance"


def test_proposals_that_lie_nearer_to_the_front_than_chance_beat_it():
    drawn = [{"latency_ms": 10.0 + n, "top1": 0.3} for n in range(10)]
    found = [{"latency_ms": 1.0 + n / 10, "top1": 0.6 + n / 100} for n in range(12)]
    ((status, text),) = checked(CHANCE, *drawn, *found)

    assert status == "ok"
    assert "candidates of auto lie 0.000 behind the final front" in text
    assert checked(CHANCE, *found, *drawn)[0][0] == "warn"


def test_chance_itself_and_short_runs_are_not_judged():
    assert checked(CHANCE, *halving(30), sampler="random")[0][0] == "unknown"
    assert checked(CHANCE, *halving(12))[0][0] == "unknown"


def test_disturbed_latencies_are_counted():
    name = "latencies are undisturbed"
    rows = [{"latency_flags": "busy"}] * 2 + [{}] * 6

    assert checked(name, *rows) == [
        ("warn", "2 of 8 latencies were measured while the machine was disturbed")
    ]
    assert checked(name, *rows, *[{}] * 4)[0][0] == "ok"


def test_failures_and_networks_that_learned_nothing_are_counted():
    failed = {"outcome": "failed", "error": "out of memory"}
    rows = [*[{}] * 4, failed, {"top1": 0.105}]

    assert checked("candidates came through", *rows) == [
        ("warn", "1 of 6 candidates failed; most often: out of memory")
    ]
    asleep = "networks learned something"
    assert checked(asleep, *rows) == [("ok", "1 of 5 trained networks are no better than a guess")]
    assert checked(asleep, {}, {"top1": 0.11})[0][0] == "warn"


def test_a_real_run_has_a_row_for_every_check(run):
    frame = run.health

    assert list(frame.columns) == ["check", "status", "text"]
    assert set(frame["check"]) == set(CHECKS)
    assert set(frame["status"]) <= {"ok", "warn", "unknown"}
    assert len(health_lines(frame)) == (frame["status"] == "warn").sum()
