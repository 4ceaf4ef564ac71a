"""The record as tidy frames: one row a trial, one row a stage, units in the names."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args, get_type_hints

import optuna
import pandas as pd
from optuna.trial import FrozenTrial

from archsearch.families import read_family
from archsearch.results.frontier import on_frontier
from archsearch.storage.trial_record import FIELDS, TrialRecord, own_values

DTYPES = {int: "Int64", float: "Float64", bool: "boolean"}
# The description travels in the storage and in the YAML files; a table is no place for it. Rungs get columns.
TABLE_FIELDS = tuple(name for name in FIELDS if name not in ("description", "rungs"))
READINGS = ("samples", "top1", "train_loss")


def trials_frame(study: optuna.Study) -> pd.DataFrame:
    """One row a trial, in the order they were recorded.

    ``number``, ``state``, then the fields of ``storage.trial_record.TrialRecord``, then ``on_frontier``,
    ``test_top1`` (Pareto front only), ``started``, values that ``evaluate`` returned under names of its own, ``rung_N_samples``, ``rung_N_top1`` and ``rung_N_train_loss``
    of the rungs on the way, ``excess.LIMIT`` (cost minus limit) and one column for each choice, named by its place in the file (``stages.0.conv.kernel``; empty where the choice did not arise).
    """
    tested = study.user_attrs.get("test_top1", {})
    trials = study.get_trials(deepcopy=False)
    own = own_names(study, trials)
    rows = [trial_row(trial) for trial in trials]
    types = dtypes() | dict.fromkeys(own, "Float64")
    frame = pd.DataFrame(rows, columns=columns(rows, own)).astype(types)
    frame["on_frontier"] = on_frontier(frame, study.metric_names or ()).astype("boolean")
    frame["test_top1"] = frame["architecture"].map(tested).where(frame["on_frontier"]).astype("Float64")
    for name in frame.columns.difference(list(types)):
        frame[name] = frame[name].astype("Float64") if name.startswith("rung_") else tidy(frame[name])
    return frame


def own_names(study: optuna.Study, trials: Sequence[FrozenTrial]) -> list[str]:
    """The objectives of the user's own, then what else ``evaluate`` returned under names of its own."""
    named = {name for trial in trials for name in own_values(trial.user_attrs)}
    objectives = [name for name in study.metric_names or () if name not in TABLE_FIELDS]
    return [*objectives, *sorted(named - {*objectives})]


def dtypes() -> dict[str, str]:
    """The type of every fixed column, whatever the rows hold: missing values are NA, never a float's nan in a count."""
    annotations = get_type_hints(TrialRecord)
    recorded = {
        name: next((DTYPES[kind] for kind in kinds_of(annotations[name]) if kind in DTYPES), "string")
        for name in TABLE_FIELDS
    }
    added = {"on_frontier": "boolean", "test_top1": "Float64", "started": "datetime64[us]"}
    return {"number": "Int64", "state": "string", **recorded, **added}


def kinds_of(annotation: Any) -> tuple[Any, ...]:
    """The types that a field may have: those of ``int | None``, or the only one."""
    return get_args(annotation) or (annotation,)


def trial_row(trial: FrozenTrial) -> dict[str, Any]:
    """One trial, flat."""
    attributes = {name: trial.user_attrs.get(name) for name in TABLE_FIELDS}
    if not trial.state.is_finished():
        # Attributes are written before the trial is finished: until then its outcome does not count.
        attributes["outcome"] = "paused" if attributes["outcome"] == "paused" else None
    attributes["family"] = attributes["family"] and read_family(attributes["family"])
    return {
        "number": trial.number,
        "state": trial.state.name,
        **attributes,
        "started": trial.datetime_start,
        **own_values(trial.user_attrs),
        **rung_columns(trial.user_attrs.get("rungs", ())),
        **{f"excess.{name}": value for name, value in trial.constraints.items()},
        **trial.params,
    }


def rung_columns(rungs: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """The readings of each rung, the first one's under 1."""
    return {
        f"rung_{number}_{name}": rung.get(name) for number, rung in enumerate(rungs, 1) for name in READINGS
    }


def columns(rows: list[dict[str, Any]], own: Iterable[str] = ()) -> list[str]:
    """The fixed columns first and the user's ``own`` objectives, then rungs, limits and choices in the order of their names."""
    fixed = ["number", "state", *TABLE_FIELDS, "on_frontier", "test_top1", "started", *own]
    rest = {name for row in rows for name in row} - set(fixed)
    return fixed + sorted(rest, key=column_order)


def column_order(name: str) -> tuple[int, int, str]:
    """Rungs by their number, then limits, then choices, both by name."""
    rung = re.match(r"rung_(\d+)_", name)
    return (0, int(rung[1]), name) if rung else (1 if name.startswith("excess.") else 2, 0, name)


def trained_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``trials_frame`` that were trained to the end."""
    return trials[trials["outcome"].fillna("") == "trained"]


def stages_frame(study: optuna.Study) -> pd.DataFrame:
    """One row for each part of each trial: number, place, kind, and the fields that mean something there."""
    rows = [row for trial in study.get_trials(deepcopy=False) for row in part_rows(trial)]
    frame = pd.DataFrame(rows, columns=stage_columns(rows))
    for name in frame.columns:
        frame[name] = tidy(frame[name])
    return frame


def part_rows(trial: FrozenTrial) -> Iterator[dict[str, Any]]:
    """Stem and stages of one trial; none if it has no architecture."""
    if "description" not in trial.user_attrs:
        return
    description = json.loads(trial.user_attrs["description"])
    parts = [("stem", description["stem"])]
    parts += [(f"stages.{index}", stage) for index, stage in enumerate(description["stages"])]
    for place, part in parts:
        fields = {
            name: json.dumps(value) if isinstance(value, list) else value for name, value in part.items()
        }
        yield {
            "number": trial.number,
            "architecture": trial.user_attrs["architecture"],
            "outcome": trial.user_attrs.get("outcome"),
            "top1": trial.user_attrs.get("top1"),
            "place": place,
            **fields,
        }


def stage_columns(rows: list[dict[str, Any]]) -> list[str]:
    """Identity, accuracy and kind first, then fields in the order they are met."""
    first = ["number", "architecture", "outcome", "top1", "place", "kind"]
    return list(dict.fromkeys(first + [name for row in rows for name in row]))


def tidy(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Whole numbers stay whole and words stay words where some rows have nothing."""
    return column.convert_dtypes() if column.notna().any() else column
