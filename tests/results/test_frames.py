"""The record as tables: one row a trial, one row a part, every column with its type."""

import pandas as pd
import pytest

from archsearch.storage.trial_record import FIELDS

MEASURED = ["latency_ms", "latency_iqr_ms", "latency_repeats", "latency_batch", "anchor_ms", "device"]
LATENCIES = ["latency_iqr_ms", "predicted_latency_ms", "anchor_ms"]
BY_TRAINING = ["val_loss", "train_loss"]


def types(frame, names):
    return {str(frame[name].dtype) for name in names}


def of(run, outcome):
    return run.trials[run.trials["outcome"] == outcome]


def test_there_is_a_row_for_every_trial_in_their_order(run):
    assert list(run.trials["number"]) == list(range(10))


def test_the_table_has_every_outcome_to_show(run):
    assert run.trials["outcome"].value_counts().to_dict() == {"trained": 6, "infeasible": 2, "failed": 2}


def test_columns_are_the_record_then_the_limits_then_the_choices(run):
    record = [name for name in FIELDS if name not in ("description", "rungs")]

    assert list(run.trials.columns) == [
        *("number", "state"),
        *record,
        *("on_frontier", "test_top1", "started"),
        *("excess.macs", "excess.params"),
        *("stages.0.conv.kernel", "stages.0.kind", "stages.0.mhsa.heads", "stem.channels"),
    ]


def test_counts_are_whole_numbers(run):
    names = [
        "number",
        "slot",
        "global_tokens",
        "params",
        "macs",
        "activations",
        "latency_repeats",
        "latency_batch",
        "samples",
    ]

    assert types(run.trials, names) == {"Int64"}


def test_words_are_words(run):
    names = ["state", "outcome", "architecture", "layout", "family", "device", "latency_flags", "error"]

    assert types(run.trials, names) == {"string"}


def test_measures_are_decimal_numbers(run):
    names = ["top1", "test_top1", "globality", "global_depth", "latency_ms", "val_loss", "seconds"]

    assert types(run.trials, [*names, "peak_memory_mib", "train_loss", "train_seconds", *LATENCIES]) == {
        "Float64"
    }


def test_being_on_the_frontier_is_a_truth_value(run):
    assert types(run.trials, ["on_frontier"]) == {"boolean"}


def test_the_start_is_a_time(run):
    assert run.trials["started"].is_monotonic_increasing
    assert pd.api.types.is_datetime64_dtype(run.trials["started"])


def test_choices_have_the_types_of_their_options(run):
    assert types(run.trials, ["stages.0.conv.kernel", "stages.0.mhsa.heads", "stem.channels"]) == {"Int64"}
    assert types(run.trials, ["stages.0.kind"]) == {"string"}


def test_a_choice_that_was_not_asked_is_empty(run):
    attention = run.trials["stages.0.kind"] == "mhsa"

    assert (run.trials["stages.0.conv.kernel"].isna() == attention).all()
    assert (run.trials["stages.0.mhsa.heads"].isna() == ~attention).all()


def test_trained_trials_have_an_accuracy_and_no_other_has(run):
    assert (run.trials["top1"].notna() == (run.trials["outcome"] == "trained")).all()


def test_failed_trials_have_an_error_and_no_other_has(run):
    assert (run.trials["error"].notna() == (run.trials["outcome"] == "failed")).all()


def test_trained_trials_were_measured_and_say_where(run):
    assert of(run, "trained")[MEASURED].notna().all(axis=None)


def test_trials_over_a_limit_that_is_counted_were_never_measured(run):
    assert of(run, "infeasible")[MEASURED].isna().all(axis=None)


def test_what_was_not_measured_is_missing_and_not_nought(run):
    assert run.trials[[*BY_TRAINING, "predicted_latency_ms"]].isna().all(axis=None)


def test_every_trial_is_counted(run):
    assert run.trials[["params", "macs", "activations", "globality"]].notna().all(axis=None)


def test_the_excess_over_a_limit_is_cost_minus_limit(run):
    judged = run.trials[run.trials["outcome"] != "failed"]

    assert (judged["excess.params"] == judged["params"] - 600).all()
    assert (judged["excess.macs"] == judged["macs"] - 1_000_000).all()


def test_infeasible_trials_are_those_with_an_excess(run):
    assert (of(run, "infeasible")["excess.params"] > 0).all()
    assert (of(run, "trained")[["excess.params", "excess.macs"]] <= 0).all(axis=None)


def test_the_frontier_of_the_table_is_that_of_the_record(run):
    assert sorted(run.frontier["number"]) == sorted(run.trials.loc[run.trials["on_frontier"], "number"])


def test_the_frontier_is_cheapest_first_and_ever_more_accurate(run):
    assert run.frontier["macs"].is_monotonic_increasing
    assert run.frontier["top1"].is_monotonic_increasing


def test_there_is_a_row_for_every_part_of_every_trial(run):
    places = run.stages.groupby("number")["place"].agg(list)

    assert places.to_dict() == {number: ["stem", "stages.0"] for number in range(10)}


def test_parts_know_their_trial(run):
    joined = run.stages.merge(run.trials, on="number", suffixes=("", "_of_trial"))

    assert (joined["architecture"] == joined["architecture_of_trial"]).all()
    assert (joined["outcome"] == joined["outcome_of_trial"]).all()
    assert joined["top1"].equals(joined["top1_of_trial"])


RESIDUAL = {"channels", "depth", "stride", "activation", "norm_eps", "shortcut", "shortcut_activation"}
FIELDS_OF = {
    "patch": {"channels", "size"},
    "conv": {*RESIDUAL, "kernel", "expansion", "block", "groups"},
    "mhsa": {*RESIDUAL, "heads", "expansion", "position", "qkv_bias"},
}


@pytest.mark.parametrize("kind", FIELDS_OF)
def test_a_part_has_the_fields_that_mean_something_to_its_kind(run, kind):
    rows = run.stages[run.stages["kind"] == kind].drop(
        columns=["number", "architecture", "outcome", "top1", "place", "kind"]
    )

    assert set(rows.columns[rows.notna().all()]) == FIELDS_OF[kind]
    assert rows.drop(columns=list(FIELDS_OF[kind])).isna().all(axis=None)


def test_fields_of_parts_have_their_types(run):
    assert types(run.stages, ["channels", "depth", "kernel", "heads"]) == {"Int64"}
    assert types(run.stages, ["place", "kind", "position"]) == {"string"}
    assert types(run.stages, ["expansion"]) == {"Float64"}


def test_fields_of_parts_are_those_of_the_choices(run):
    stages = run.stages[run.stages["place"] == "stages.0"].set_index("number")
    trials = run.trials.set_index("number")

    assert stages["kind"].equals(trials["stages.0.kind"].rename("kind"))
    assert (stages["kernel"].dropna() == trials["stages.0.conv.kernel"].dropna()).all()


def test_descriptions_are_kept_by_the_id_of_their_architecture(run):
    assert run.descriptions.keys() == set(run.trials["architecture"])
