"""The trained winners by what they really do with place, held against what their structure says."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from archsearch.stats.intervals import mean_interval
from archsearch.stats.rank_correlation import FEWEST, rank_correlation
from archsearch.storage.trial_record import REALISED

COLUMNS = {
    "architecture": "string",
    "number": "Int64",
    "layout": "string",
    "family": "string",
    "globality": "Float64",
    "realised_globality": "Float64",
    "realised_low": "Float64",
    "realised_high": "Float64",
    "attention_distance": "Float64",
    "erf_side": "Float64",
    "images": "Int64",
    "source": "string",
}
# Below this rank correlation the axis is one in name only; set before anything was measured.
NOMINAL_BELOW = 0.7


def measured_globality_frame(attributes: Mapping[str, Any], trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each winner that was asked, in the order of the trials; empty if none was.

    ``globality`` is the structure's, ``realised_globality`` that of the trained networks on ``images`` validation
    images each: their mean over seeds, with its 95 % interval ``realised_low`` to ``realised_high`` (Student's t; NA
    for one network). ``attention_distance`` is a share of the mean distance on the grid, 1 for uniform attention, NA
    without attention. ``erf_side`` is the side of what the middle of the last map sees, as a share of the image's.
    ``source`` is ``finals`` where networks were trained anew, else ``search``. See ``archsearch.analysis``.
    """
    asked = {
        key.split(":")[1]: value
        for key, value in attributes.items()
        if key.startswith(f"{REALISED}:") and "realised_globality" in value
    }
    trained = trials[trials["outcome"].fillna("") == "trained"].drop_duplicates("architecture")
    rows = [
        realised_row(trial, asked[trial["architecture"]])
        for _, trial in trained.iterrows()
        if trial["architecture"] in asked
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def no_realised() -> pd.DataFrame:
    """The frame of a run in which nothing was asked."""
    return pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)


def realised_row(trial: "pd.Series[Any]", entry: Mapping[str, Any]) -> dict[str, Any]:
    """One winner."""
    low, high = interval(entry["realised_globality"])
    distances = entry["attention_distance"]
    return {
        **{name: trial[name] for name in ("architecture", "number", "layout", "family", "globality")},
        "realised_globality": statistics.fmean(entry["realised_globality"]),
        "realised_low": low,
        "realised_high": high,
        "attention_distance": statistics.fmean(distances) if distances else None,
        "erf_side": statistics.fmean(entry["erf_side"]),
        "images": entry["images"],
        "source": entry["source"],
    }


def interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % interval of the mean by Student's t, within [0, 1]; None below two values."""
    _, low, high = mean_interval(values)
    return (None, None) if low is None or high is None else (max(0.0, low), min(1.0, high))


def measured_globality_lines(frame: pd.DataFrame) -> list[str]:
    """What the frame says, in one or two sentences; none if it is empty."""
    return list(sentences(frame)) if len(frame) else []


def sentences(frame: pd.DataFrame) -> Iterator[str]:
    """Whether globality ranks the winners as they really reach; and how far their attentions look."""
    count = f"{len(frame)} trained winner{'s' if len(frame) > 1 else ''}"
    rho = rank_correlation(frame["globality"], frame["realised_globality"], method="spearman")
    if len(frame) < FEWEST:
        yield f"Realised globality: {count}, and a rank correlation with globality needs {FEWEST}."
    elif math.isnan(rho.value):
        yield f"Realised globality: {count} of one and the same globality, which nothing can be ranked by."
    else:
        held = "the axis is nominal here" if rho.value < NOMINAL_BELOW else "the axis says what they do"
        yield (
            f"Realised globality: rho with globality {rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}], 95 % interval, "
            f"{count}: {held}."
        )
    looked = frame["attention_distance"].dropna()
    if len(looked):
        yield (
            f"Attention of {len(looked)} of them looks {looked.min():.2f} to {looked.max():.2f} times as far as "
            "uniform attention would."
        )
