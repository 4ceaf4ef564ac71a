"""Trainings beside the search, read from the record: of finalists and of swapped networks, from several seeds."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from archsearch.storage.trial_record import FINAL, SWAP_TRAINING

COLUMNS = {
    "architecture": "string",
    "seed": "Int64",
    "samples": "Int64",
    "top1": "Float64",
    "test_top1": "Float64",
    "source": "string",
}
# The keys of the record, ``final:ARCHITECTURE:SEED`` and ``swap_training:ARCHITECTURE:SAMPLES:SEED``.
SOURCES = {FINAL: "finals", SWAP_TRAINING: "swaps"}


def repeats_frame(attributes: Mapping[str, Any]) -> pd.DataFrame:
    """One row for each finished training beside the search: of finalists, and of swapped networks.

    ``architecture``, ``seed`` (0, 1, ...), ``samples`` (training images shown), ``top1`` (validation),
    ``test_top1``, ``source`` (``finals`` or ``swaps``).
    """
    frame = pd.DataFrame(list(repeats(attributes)), columns=list(COLUMNS)).astype(COLUMNS)
    order = ["architecture", "samples", "seed", "source"]
    return frame.sort_values(order, kind="stable").reset_index(drop=True)


def repeats(attributes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The trainings that have an accuracy; others failed or are running."""
    for key, entry in attributes.items():
        kind, *names = key.split(":")
        if kind not in SOURCES or "top1" not in entry:
            continue
        yield {
            "architecture": names[0],
            "seed": int(names[-1]),
            "source": SOURCES[kind],
            **{name: entry.get(name) for name in ("samples", "top1", "test_top1")},
        }
