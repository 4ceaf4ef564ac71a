"""The finalists: their accuracy after retraining, with its deviation over seeds."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from archsearch.results.trials import trained_trials
from archsearch.stats.intervals import mean_and_deviation
from archsearch.storage.trial_record import FINAL, TIMED

COLUMNS = {
    "architecture": "string",
    "number": "Int64",
    "layout": "string",
    "family": "string",
    "search_top1": "Float64",
    "seeds": "Int64",
    "samples": "Int64",
    "val_top1_mean": "Float64",
    "val_top1_sd": "Float64",
    "test_top1_mean": "Float64",
    "test_top1_sd": "Float64",
    "latency_ms": "Float64",
    "latency_low_ms": "Float64",
    "latency_high_ms": "Float64",
    "latency_tie": "boolean",
    "errors": "string",
}


def finalists_frame(attributes: Mapping[str, Any], trials: pd.DataFrame) -> pd.DataFrame:
    """One row a finalist, the most accurate on test images first; empty if the study has none.

    ``search_top1`` is what the search saw. ``val_top1_mean``, ``test_top1_mean`` and their ``_sd`` (n - 1; NA
    for one seed) are over ``seeds`` trainings of ``samples`` images each. ``latency_ms`` is the median of the
    medians that were measured after retraining, ``latency_low_ms`` and ``latency_high_ms`` their range, and
    ``latency_tie`` says whether that range meets another finalist's. ``errors`` are trainings that broke.
    """
    done: dict[str, list[Mapping[str, Any]]] = {}
    for key, value in attributes.items():
        if key.startswith(f"{FINAL}:") and "worker" not in value:
            done.setdefault(key.split(":")[1], []).append(value)
    timed = {key.split(":")[1]: v for key, v in attributes.items() if key.startswith(f"{TIMED}:") and v}
    trained = trained_trials(trials)
    rows = [
        finalist_row(trial, done[trial["architecture"]], timed)
        for _, trial in trained.iterrows()
        if trial["architecture"] in done
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return frame.sort_values("test_top1_mean", ascending=False, kind="stable").reset_index(drop=True)


def finalist_row(
    trial: "pd.Series[Any]", done: Sequence[Mapping[str, Any]], timed: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """One finalist."""
    identity = trial["architecture"]
    medians = timed.get(identity)
    whole = [entry for entry in done if "error" not in entry]
    val_mean, val_sd = mean_and_deviation([entry["top1"] for entry in whole])
    test_mean, test_sd = mean_and_deviation([entry["test_top1"] for entry in whole])
    return {
        **trial,
        "search_top1": trial["top1"],
        "seeds": len(whole),
        "samples": whole[0]["samples"] if whole else None,
        "val_top1_mean": val_mean,
        "val_top1_sd": val_sd,
        "test_top1_mean": test_mean,
        "test_top1_sd": test_sd,
        "latency_ms": statistics.median(medians) if medians else None,
        "latency_low_ms": min(medians) if medians else None,
        "latency_high_ms": max(medians) if medians else None,
        "latency_tie": is_tied(identity, timed),
        "errors": "; ".join(sorted({entry["error"] for entry in done if "error" in entry})) or None,
    }


def is_tied(identity: str, timed: Mapping[str, Sequence[float]]) -> bool | None:
    """Whether the range of its latencies meets that of another finalist."""
    if identity not in timed:
        return None
    own = timed[identity]
    others = (medians for other, medians in timed.items() if other != identity)
    return any(min(own) <= max(other) and min(other) <= max(own) for other in others)
