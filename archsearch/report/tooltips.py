"""What a report says about a trial when the reader points at its mark: each trial's facts once, as text."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from archsearch.objectives import COSTS, objective_of
from archsearch.report.tables import Format, as_count, as_top1, as_unit_share, as_word
from archsearch.results.trials import TABLE_FIELDS

FACTS = {
    "layout": ("layout", as_word),
    "family": ("family", as_word),
    "reference": ("known as", as_word),
    "top1": ("top-1, validation", as_top1),
    "test_top1": ("top-1, test", as_top1),
    "globality": ("globality", as_unit_share),
    "global_tokens": ("tokens of the first global grid", as_count),
    "architecture": ("architecture", as_word),
}
FIXED = {*TABLE_FIELDS, "number", "state", "on_frontier", "test_top1", "started"}


def choices(trials: pd.DataFrame, objectives: Sequence[str]) -> list[str]:
    """The columns that are choices of the space."""
    return [
        name
        for name in trials.columns
        if name not in {*FIXED, *objectives} and not name.startswith(("rung_", "excess."))
    ]


def cost_fact(name: str) -> tuple[str, Format]:
    """What a cost is called, with its unit unless its name says it, and how it is written."""
    objective = objective_of(name)
    named = objective.short if objective.counted else f"{objective.short}, {objective.unit}"
    return named.removesuffix(", "), objective.write


def facts(trials: pd.DataFrame, numbers: set[int], objectives: Sequence[str] = ()) -> dict[str, Any]:
    """``names``, ``choices``, and ``trials``: by number the texts of both, null for what a trial has not."""
    costs = dict.fromkeys((*COSTS, *objectives))
    known = FACTS | {name: cost_fact(name) for name in costs if name not in FACTS}
    asked = choices(trials, objectives)
    kept = trials[trials["number"].isin(numbers)]
    return {
        "names": [head for head, _ in known.values()],
        "choices": asked,
        "trials": {
            str(row["number"]): [
                [None if pd.isna(row[name]) else write(row[name]) for name, (_, write) in known.items()],
                [None if pd.isna(row[name]) else str(row[name]) for name in asked],
            ]
            for row in kept.to_dict(orient="records")
        },
    }


def as_script(data: object) -> str:
    """JSON that cannot end the script element it stands in, nor begin another one or a comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
