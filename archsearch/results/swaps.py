"""Matched swaps: what one stage's kind is worth at equal cost, as a paired difference over seeds.

The network and its variant are trained from the same seeds, which decide weights and the order of images, and their
accuracies are compared seed by seed: what a seed does to both falls out of the difference. The interval is Student's
t over the n differences, mean +- t(0.975, n - 1) sd / sqrt(n), which takes them as normal; with three seeds t is 4.3,
so it separates only what is plain.
"""

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from archsearch.objectives import objective_of
from archsearch.stats.intervals import mean_interval
from archsearch.storage.trial_record import SWAP, SWAP_TRAINING

COLUMNS = {
    "number": "Int64",
    "place": "string",
    "kind_from": "string",
    "kind_to": "string",
    "architecture_from": "string",
    "architecture_to": "string",
    "layout_from": "string",
    "layout_to": "string",
    "cost_name": "string",
    "cost_from": "Int64",
    "cost_to": "Int64",
    "cost_ratio": "Float64",
    "channels_from": "Int64",
    "channels_to": "Int64",
    "globality_from": "Float64",
    "globality_to": "Float64",
    "seeds": "Int64",
    "top1_from": "Float64",
    "top1_to": "Float64",
    "difference": "Float64",
    "difference_low": "Float64",
    "difference_high": "Float64",
    "note": "string",
    "samples": "Int64",
    "test_top1_from": "Float64",
    "test_top1_to": "Float64",
}

Entries = Mapping[str, Mapping[str, Any]]


def swaps_frame(attributes: Mapping[str, Any], trials: pd.DataFrame) -> pd.DataFrame:
    """One row a swap, by trial, cost and place; empty if the study has none. ``attributes`` are those of the study.

    ``number`` is the trial, ``place`` its stage (``stages.K``); ``_from`` is the network as it was, ``_to`` with that
    stage as ``kind_to``. ``cost_ratio`` is ``cost_to`` over ``cost_from`` in ``cost_name`` (``macs``, ``params``);
    ``channels`` are the stage's, ``globality`` the network's. ``top1`` (validation) and ``test_top1`` are means over
    the ``seeds`` from which both were trained, on ``samples`` images; ``difference`` is the mean of ``top1_to -
    top1_from`` over them, ``difference_low`` to ``difference_high`` its 95 % interval (NA for one seed). A swap that
    was refused has no ``architecture_to``; its ``cost_to`` is the nearest there is, and ``note`` says why. ``note``
    also says what was changed besides channels, and which trainings broke.
    """
    known = set(trials["number"])
    swaps = [entry for key, entry in attributes.items() if key.startswith(f"{SWAP}:")]
    rows = [swap_row(swap, attributes) for swap in swaps if swap["number"] in known]
    rows.sort(key=lambda row: (row["number"], row["cost_name"], stage_of(row["place"]), row["kind_to"]))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def no_swaps() -> pd.DataFrame:
    """The frame of a study without any."""
    return pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)


def stage_of(place: str) -> int:
    """The K of ``stages.K``; a stem comes before all of them."""
    return int(place.rpartition(".")[2]) if "." in place else -1


def swap_row(swap: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """One swap, with the accuracies of its trainings."""
    before, now = (trainings_of(swap, f"architecture_{end}", attributes) for end in ("from", "to"))
    both = sorted(
        seed for seed in before.keys() & now.keys() if "top1" in before[seed] and "top1" in now[seed]
    )
    means = {
        f"{name}_{end}": statistics.fmean(entries[seed][name] for seed in both) if both else None
        for name in ("top1", "test_top1")
        for end, entries in (("from", before), ("to", now))
    }
    difference, low, high = mean_interval([now[seed]["top1"] - before[seed]["top1"] for seed in both])
    notes = [
        swap["note"],
        *describe_failures(before, swap["layout_from"]),
        *describe_failures(now, swap["layout_to"]),
    ]
    return {
        **{name: value for name, value in swap.items() if name in COLUMNS},
        **means,
        "cost_ratio": swap["cost_to"] / swap["cost_from"] if swap["cost_to"] is not None else None,
        "seeds": len(both),
        "difference": difference,
        "difference_low": low,
        "difference_high": high,
        "note": "; ".join(note for note in notes if note) or None,
    }


def trainings_of(swap: Mapping[str, Any], which: str, attributes: Mapping[str, Any]) -> Entries:
    """The recorded trainings of one of the two networks, by seed; those that are still running are left out."""
    start = f"{SWAP_TRAINING}:{swap[which]}:{swap['samples']}:"
    return {
        key.removeprefix(start): entry
        for key, entry in attributes.items()
        if key.startswith(start) and "worker" not in entry
    }


def describe_failures(entries: Entries, layout: str | None) -> Iterator[str]:
    """Trainings that broke, and why."""
    for seed, entry in sorted(entries.items()):
        if "error" in entry:
            yield f"{layout} from seed {seed}: {entry['error']}"


def swap_lines(frame: pd.DataFrame) -> list[str]:
    """A sentence for each swap; and, where there are several intervals, what several of them mean together."""
    lines = [describe_swap(row) for _, row in frame.iterrows()]
    count = int(frame["difference_low"].notna().sum())
    if count > 1:
        lines.append(
            f"each of the {count} intervals stands for itself: of twenty differences that are none, one is separated"
        )
    return lines


def describe_swap(row: "pd.Series[Any]") -> str:
    """One swap in words."""
    stage = "the stem" if stage_of(row["place"]) < 0 else f"stage {stage_of(row['place'])}"
    what = f"trial {row['number']}, {stage} as {row['kind_to']} instead of {row['kind_from']}"
    cost = objective_of(row["cost_name"]).short
    if pd.isna(row["architecture_to"]):
        return f"{what}: refused at equal {cost}: {row['note']}"
    what += f" at equal {cost} ({100 * (row['cost_ratio'] - 1):+.1f} %)"
    also = "" if pd.isna(row["note"]) else f" ({row['note']})"
    return f"{what}: {describe_difference(row)}{also}"


def describe_difference(row: "pd.Series[Any]") -> str:
    """The difference that a swap makes, with its interval if there is one."""
    if pd.isna(row["difference"]):
        return "not trained to the end"
    change = f"{row['difference']:+.3f}"
    if pd.isna(row["difference_low"]):
        return f"{change} from one seed, whose spread nobody knows"
    low, high = row["difference_low"], row["difference_high"]
    text = f"{change} ({low:.3f} to {high:.3f}), {row['seeds']} seeds"
    return f"{text}: not separated by the seeds" if low <= 0 <= high else text
