"""The measured globality of the trained winners beside the globality of their structure."""

import math
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from archsearch.results.trials import trained_trials
from archsearch.stats.intervals import mean_interval
from archsearch.stats.rank_correlation import FEWEST, rank_correlation
from archsearch.storage.trial_record import REALISED

COLUMNS = {
    "architecture": "string",
    "number": "Int64",
    "layout": "string",
    "family": "string",
    "globality": "Float64",
    "measured_globality": "Float64",
    "measured_low": "Float64",
    "measured_high": "Float64",
    "attention_distance": "Float64",
    "erf_side": "Float64",
    "images": "Int64",
    "source": "string",
}
# Below this rank correlation the axis is one in name only; set before anything was measured.
NOMINAL_BELOW = 0.7


def measured_globality_frame(attributes: Mapping[str, Any], trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each winner that was measured, in the order of the trials; empty if none was.

    ``globality`` is the structure's, ``measured_globality`` that of the trained networks on ``images`` validation
    images each: their mean over seeds, with its 95 % interval ``measured_low`` to ``measured_high`` (Student's t; NA
    for one network). ``attention_distance`` is a share of the mean distance on the grid, 1 for uniform attention, NA
    without attention. ``erf_side`` is the side of what the middle of the last map sees, as a share of the image's.
    ``source`` is ``finals`` where networks were retrained, else ``search``. See ``archsearch.analysis``.
    """
    measured = {
        key.split(":")[1]: value
        for key, value in attributes.items()
        if key.startswith(f"{REALISED}:") and "realised_globality" in value
    }
    trained = trained_trials(trials).drop_duplicates("architecture")
    rows = [
        winner_row(trial, measured[trial["architecture"]])
        for _, trial in trained.iterrows()
        if trial["architecture"] in measured
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def no_measured_globality() -> pd.DataFrame:
    """The frame of a run in which nothing was measured."""
    return pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)


def winner_row(trial: "pd.Series[Any]", entry: Mapping[str, Any]) -> dict[str, Any]:
    """One winner."""
    mean, low, high = mean_interval(entry["realised_globality"])
    distances = entry["attention_distance"]
    return {
        **{name: trial[name] for name in ("architecture", "number", "layout", "family", "globality")},
        "measured_globality": mean,
        "measured_low": None if low is None else max(0.0, low),
        "measured_high": None if high is None else min(1.0, high),
        "attention_distance": statistics.fmean(distances) if distances else None,
        "erf_side": statistics.fmean(entry["erf_side"]),
        "images": entry["images"],
        "source": entry["source"],
    }


def measured_globality_lines(frame: pd.DataFrame) -> list[str]:
    """What the frame says, in one or two sentences; none if it is empty."""
    return list(describe_ranking(frame)) if len(frame) else []


def describe_ranking(frame: pd.DataFrame) -> Iterator[str]:
    """Whether globality ranks the winners as measured globality does; and how far their attentions look."""
    count = f"{len(frame)} trained winner{'s' if len(frame) > 1 else ''}"
    rho = rank_correlation(frame["globality"], frame["measured_globality"], method="spearman")
    if len(frame) < FEWEST:
        yield f"Measured globality: {count}, and a rank correlation with globality needs {FEWEST}."
    elif math.isnan(rho.value):
        yield f"Measured globality: {count} of one and the same globality, which nothing can be ranked by."
    else:
        held = "the axis is nominal here" if rho.value < NOMINAL_BELOW else "the axis says what they do"
        yield (
            f"Measured globality: rho with globality {rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}], 95 % interval, "
            f"{count}: {held}."
        )
    looked = frame["attention_distance"].dropna()
    if len(looked):
        yield (
            f"Attention of {len(looked)} of them looks {looked.min():.2f} to {looked.max():.2f} times as far as "
            "uniform attention would."
        )
