"""The local/global map: the best accuracy in every cell of globality and cost.

A MAP-Elites archive (Mouret and Clune 2015, https://arxiv.org/abs/1504.04909): globality is a descriptor
and no objective, so the best candidate of each cell is kept whether or not another cell has a better one.
"""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from archsearch.results.trials import trained_trials
from archsearch.stats.cells import Grid
from archsearch.stats.seeds import SeedSpread

COLUMNS = {
    "globality_low": "Float64",
    "globality_high": "Float64",
    "cost_low": "Float64",
    "cost_high": "Float64",
    "trials": "Int64",
    "number": "Int64",
    "architecture": "string",
    "layout": "string",
    "family": "string",
    "globality": "Float64",
    "cost": "Float64",
    "top1": "Float64",
    "top1_low": "Float64",
    "top1_high": "Float64",
    "seeds": "Int64",
}


def map_frame(
    trials: pd.DataFrame, cost: str, spread: SeedSpread | None = None, repeats: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row for each cell that holds a trained candidate, local and cheap cells first.

    ``globality_low``, ``globality_high``, ``cost_low``, ``cost_high`` are the cell, cost in the unit of ``cost``.
    ``trials`` candidates were trained in it; the most accurate one has ``number``, ``architecture``, ``layout``,
    ``family``, ``globality``, ``cost`` and ``top1``. ``top1_low`` to ``top1_high`` is its 95 % interval over
    seeds: around the mean of its own ``seeds`` trainings with the search's budget where there are several, else
    around its single one; empty where no seed was ever repeated. The best of many single trainings is
    flattered by its seed, which no interval around it knows.
    """
    trained = trained_trials(trials)
    grid = Grid.of(trained[cost])
    cells: dict[tuple[int, int], list[int]] = {}
    for index, row in trained.iterrows():
        cells.setdefault(grid.place(row["globality"], row[cost]), []).append(int(str(index)))
    own = means_of(repeats, spread)
    rows = [
        {
            "globality_low": grid.globality[row],
            "globality_high": grid.globality[row + 1],
            "cost_low": grid.cost[column],
            "cost_high": grid.cost[column + 1],
            **best(trained.loc[members], cost, spread, own),
        }
        for (row, column), members in sorted(cells.items())
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def best(
    members: pd.DataFrame, cost: str, spread: SeedSpread | None, own: Mapping[str, tuple[float, int]]
) -> dict[str, Any]:
    """The most accurate candidate of a cell; of equal ones the cheapest, then the first."""
    first = members.sort_values(["top1", cost, "number"], ascending=[False, True, True]).iloc[0]
    middle, seeds = own.get(str(first["architecture"]), (float(first["top1"]), 1))
    margin = math.nan if spread is None else spread.margin(seeds)
    return {
        **first,
        "trials": len(members),
        "cost": first[cost],
        "top1_low": middle - margin,
        "top1_high": middle + margin,
        "seeds": seeds,
    }


def means_of(repeats: pd.DataFrame | None, spread: SeedSpread | None) -> dict[str, tuple[float, int]]:
    """Mean accuracy and number of seeds of the architectures that were trained again with the spread's budget."""
    if repeats is None or spread is None:
        return {}
    same = repeats[repeats["samples"] == spread.samples].drop_duplicates(["architecture", "seed"])
    groups = same.groupby("architecture")["top1"]
    return {str(name): (float(top1.mean()), len(top1)) for name, top1 in groups if len(top1) > 1}


def coverage(frame: pd.DataFrame, trials: pd.DataFrame, cost: str) -> tuple[int, int]:
    """How many cells hold a trained candidate, and how many there are."""
    return len(frame), Grid.of(trained_trials(trials)[cost]).cells


def best_globality(frame: pd.DataFrame, spread: SeedSpread | None) -> tuple[float, float, float] | None:
    """The globality of the most accurate cell, and the range of those that the seeds do not tell from it.

    None of an empty map. Without a spread the range is the cell's own globality.
    """
    if frame.empty:
        return None
    top = frame.sort_values(["top1", "cost"], ascending=[False, True]).iloc[0]
    margin = 0.0 if spread is None else spread.margin_between()
    near = frame.loc[frame["top1"] >= top["top1"] - margin, "globality"]
    return float(top["globality"]), float(near.min()), float(near.max())
