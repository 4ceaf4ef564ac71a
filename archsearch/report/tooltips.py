"""What a report tells of a trial when its mark is pointed at: each trial's facts once, as text."""

import json
from typing import Any

import pandas as pd

from archsearch.formatting import amount
from archsearch.report.blocks import count, short, top1, unit_share, word
from archsearch.results.trials import SHOWN

FACTS = {
    "layout": ("layout", word),
    "family": ("family", word),
    "reference": ("known as", word),
    "top1": ("top-1, validation", top1),
    "test_top1": ("top-1, test", top1),
    "latency_ms": ("latency, ms", short),
    "macs": ("MACs", amount),
    "params": ("parameters", amount),
    "peak_memory_mib": ("peak memory, MiB", short),
    "globality": ("globality", unit_share),
    "global_tokens": ("tokens of the first global grid", count),
    "architecture": ("architecture", word),
}
FIXED = {*SHOWN, "number", "state", "on_frontier", "test_top1", "started"}


def choices(trials: pd.DataFrame) -> list[str]:
    """The columns that are choices of the space."""
    return [
        name for name in trials.columns if name not in FIXED and not name.startswith(("rung_", "excess."))
    ]


def facts(trials: pd.DataFrame, numbers: set[int]) -> dict[str, Any]:
    """``names``, ``choices``, and ``trials``: by number the texts of both, null for what a trial has not."""
    named = choices(trials)
    kept = trials[trials["number"].isin(numbers)]
    return {
        "names": [head for head, _ in FACTS.values()],
        "choices": named,
        "trials": {
            str(row["number"]): [
                [None if pd.isna(row[name]) else write(row[name]) for name, (_, write) in FACTS.items()],
                [None if pd.isna(row[name]) else str(row[name]) for name in named],
            ]
            for row in kept.to_dict(orient="records")
        },
    }


def as_script(data: object) -> str:
    """JSON that cannot end the script element it stands in, nor begin another one or a comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
