"""Trials by hand, as ``run.trials`` has them."""

import pandas as pd

from archsearch.results.trials import TABLE_FIELDS, dtypes

DEFAULTS = {
    "state": "COMPLETE",
    "outcome": "trained",
    "layout": "C-CCC",
    "family": "all-local",
    "globality": 0.1,
    "top1": 0.5,
    "latency_ms": 1.0,
    "latency_iqr_ms": 0.0,
    "macs": 1000,
    "params": 100,
    "samples": 512,
    "device": "a device",
}


def trials_of(*rows):
    """One trial for each mapping; what it leaves out is as in ``DEFAULTS``."""
    whole = [
        {**dict.fromkeys(TABLE_FIELDS), **DEFAULTS, "number": n, "slot": n, "architecture": f"a{n}", **row}
        for n, row in enumerate(rows)
    ]
    frame = pd.DataFrame([{"on_frontier": False, "test_top1": None, "started": None, **row} for row in whole])
    return frame.astype(dtypes())


# Trainings from several seeds as a study records them, beside others that came to nothing.
TRAININGS = {
    "final:aa:0": {"top1": 0.50, "test_top1": 0.49, "samples": 1000},
    "final:aa:1": {"top1": 0.52, "test_top1": 0.51, "samples": 1000},
    "final:bb:0": {"top1": 0.60, "test_top1": 0.59, "samples": 1000},
    "final:bb:1": {"top1": 0.60, "test_top1": 0.59, "samples": 1000},
    "final:bb:2": {"top1": 0.63, "test_top1": 0.62, "samples": 1000},
    "final:cc:0": {"worker": "at it"},
    "final:dd:0": {"error": "it broke"},
    "test_top1": {"aa": 0.5},
}
