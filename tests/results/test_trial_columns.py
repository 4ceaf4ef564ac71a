"""Each documented column of ``run.trials``, held against its definition."""

import math
import warnings

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState, create_trial
from two_family_run import STUDY, table

from archsearch.architecture import Architecture
from archsearch.counting import (
    count_activations,
    count_macs,
    count_params,
    family,
    global_depth,
    global_shares,
    global_tokens,
    globality,
)
from archsearch.results.trials import TABLE_FIELDS, trials_frame

# What a table in the place of training cannot know, and what this CPU cannot.
UNKNOWN = ["val_loss", "train_loss", "nwot", "nwot_per_image", "synflow", "trainability", "score_seconds"]
UNKNOWN += ["predicted_latency_ms", "peak_memory_mib", "audit", "test_top1"]

COUNTED = {
    "architecture": lambda a: a.id,
    "layout": lambda a: a.layout,
    "family": family,
    "globality": globality,
    "global_depth": global_depth,
    "global_tokens": global_tokens,
    "params": count_params,
    "macs": lambda a: count_macs(a).total,
    "activations": count_activations,
    "globality_macs": lambda a: global_shares(a).globality_macs,
    "global_macs_share": lambda a: global_shares(a).global_macs,
    "global_params_share": lambda a: global_shares(a).global_params,
}
MEASURED = {
    "latency_ms": lambda row: row["latency_ms"] > 0,
    "latency_iqr_ms": lambda row: row["latency_iqr_ms"] >= 0,
    "latency_repeats": lambda row: row["latency_repeats"] >= 11,
    "latency_batch": lambda row: row["latency_batch"] == STUDY.latency_batch,
    "latency_flags": lambda row: pd.isna(row["latency_flags"]) or row["latency_flags"] != "",
    "anchor_ms": lambda row: row["anchor_ms"] > 0,
    "device": lambda row: row["device"] != "",
    "global_latency_share": lambda row: (
        row["global_latency_share"] == 0
        if row["family"] == "all-local"
        else 0 < row["global_latency_share"] <= 1
    ),
    "profile_seconds": lambda row: 0 < row["profile_seconds"] <= row["seconds"],
    "train_seconds": lambda row: 0 <= row["train_seconds"] <= row["seconds"],
    "seconds": lambda row: row["seconds"] < 60,
    "samples": lambda row: row["samples"] == STUDY.recipe.samples,
    "reference": lambda row: pd.isna(row["reference"]),
}
STATES = {"trained": "COMPLETE", "infeasible": "PRUNED", "failed": "FAIL"}
OTHERS = {"number", "state", "slot", "outcome", "top1", "error", "on_frontier", "started"}


def architectures(run):
    """Each row with its architecture."""
    for _, row in run.trials.iterrows():
        yield row, Architecture.model_validate_json(run.descriptions[row["architecture"]])


def test_no_documented_column_is_left_out_here():
    assert {*COUNTED, *MEASURED, *UNKNOWN, *OTHERS} == {"number", "state", *TABLE_FIELDS} | {
        *("on_frontier", "test_top1", "started")
    }


@pytest.mark.parametrize("column", COUNTED)
def test_what_is_counted_is_that_of_the_architecture_whatever_came_of_it(run, column):
    for row, architecture in architectures(run):
        expected = COUNTED[column](architecture)
        assert pd.isna(row[column]) if expected is None else row[column] == expected


@pytest.mark.parametrize("column", MEASURED)
def test_what_is_measured_is_there_for_every_trained_candidate(run, column):
    for _, row in run.trials[run.trials["outcome"] == "trained"].iterrows():
        assert MEASURED[column](row)


@pytest.mark.parametrize("column", UNKNOWN)
def test_what_nobody_measured_is_missing_and_no_zero(run, column):
    assert run.trials[column].isna().all()


def test_slot_is_the_place_in_the_budget_of_what_used_it_up(run):
    used = run.trials[run.trials["outcome"].isin(["trained", "failed"])]

    assert sorted(used["slot"]) == list(range(8))


def test_state_and_outcome_say_the_same_in_two_vocabularies(run):
    assert run.trials["state"].tolist() == [STATES[outcome] for outcome in run.trials["outcome"]]


def test_number_is_the_trials_own(run):
    assert run.trials["number"].tolist() == list(range(len(run.trials)))


def test_top1_is_what_training_came_to_and_missing_where_there_was_none(run):
    for row, architecture in architectures(run):
        if row["outcome"] == "trained":
            assert row["top1"] == table(architecture, None)
        else:
            assert pd.isna(row["top1"])


def test_error_is_one_line_for_what_failed_and_missing_elsewhere(run):
    assert (run.trials["error"].notna() == (run.trials["outcome"] == "failed")).all()
    assert run.trials["error"].dropna().str.contains("no heads, please").all()


def test_on_frontier_is_not_to_be_beaten(run):
    trained = run.trials[run.trials["outcome"] == "trained"]
    for _, row in trained.iterrows():
        better = (trained["top1"] >= row["top1"]) & (trained["macs"] <= row["macs"])
        better &= (trained["top1"] > row["top1"]) | (trained["macs"] < row["macs"])
        assert row["on_frontier"] == (not better.any())


def test_started_is_the_time_by_the_clock_of_the_machine(run):
    assert math.isfinite(run.trials["started"].max().timestamp())
    assert run.trials["started"].is_monotonic_increasing


def test_an_objective_of_the_users_own_has_a_column_and_is_minimised():
    study = optuna.create_study(directions=["maximize", "minimize"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.set_metric_names(["top1", "energy_mj"])
    for top1, energy in ((0.5, 2.0), (0.6, 3.0), (0.4, 4.0)):
        trial = study.ask()
        record = {"outcome": "trained", "top1": top1, "architecture": f"a{energy}", "energy_mj": energy}
        for name, value in record.items():
            trial.set_user_attr(name, value)
        study.tell(trial, [top1, energy])

    frame = trials_frame(study)

    assert list(frame["energy_mj"]) == [2.0, 3.0, 4.0]
    assert list(frame["on_frontier"]) == [True, True, False]


def test_attributes_that_somebody_else_wrote_are_no_values():
    study = optuna.create_study()
    attributes = {"outcome": "failed", "note": "look again", "starred": True, "tags": ["a"], "watts": 7}
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs=attributes))

    frame = trials_frame(study)

    assert list(frame["watts"]) == [7.0]
    assert not {"note", "starred", "tags"} & {*frame.columns}
