"""Families side by side: their fronts at equal budget, what each adds, and the price of being global."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archsearch.families import ALL_LOCAL, family_order
from archsearch.results.frontier import non_dominated, on_frontier
from archsearch.results.trials import trained_trials
from archsearch.stats.hypervolume import Indicators, volume
from archsearch.stats.seeds import SeedSpread

# Random subsets of a family that stand for the budget of the smallest one.
SUBSETS = 200
# Smaller families say nothing at equal budget: the others would be cut down to a handful.
FEWEST = 4
STEPS = 101
FAMILY_COLUMNS = {
    "family": "string",
    "trained": "Int64",
    "trained_share": "Float64",
    "on_frontier": "Int64",
    "number": "Int64",
    "top1": "Float64",
    "top1_low": "Float64",
    "top1_high": "Float64",
    "budget": "Int64",
    "hypervolume": "Float64",
    "hypervolume_low": "Float64",
    "hypervolume_high": "Float64",
    "hypervolume_added": "Float64",
}
FRONT_COLUMNS = ["family", "number", "architecture", "layout", "globality", "cost", "top1"]
PRICE_COLUMNS = {
    "family": "string",
    "number": "Int64",
    "against": "Int64",
    "cost": "Float64",
    "cost_against": "Float64",
    "top1": "Float64",
    "top1_against": "Float64",
    "gain": "Float64",
    "extra_cost": "Float64",
    "gain_per_cost": "Float64",
    "gain_at_equal_cost": "Float64",
    "gain_at_equal_cost_low": "Float64",
    "gain_at_equal_cost_high": "Float64",
}
DISAGREEMENT_COLUMNS = {
    "number": "Int64",
    "family": "string",
    "layout": "string",
    "macs": "Int64",
    "latency_ms": "Float64",
    "top1": "Float64",
    "beaten_by": "Int64",
    "latency_factor": "Float64",
}


def by_family(trials: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The trials of each family, from local to global."""
    order = sorted(trials["family"].unique(), key=family_order)
    yield from ((str(family), trials[trials["family"] == family]) for family in order)


def members(trials: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The trained candidates of each family, from local to global."""
    return by_family(trained_trials(trials))


def families_frame(
    trials: pd.DataFrame, objectives: Sequence[str], spread: SeedSpread | None = None
) -> pd.DataFrame:
    """One row a family, from local to global.

    ``trained`` candidates, their ``trained_share``, how many ``on_frontier``; ``number`` and ``top1`` of the most
    accurate, with the 95 % interval over seeds ``top1_low`` to ``top1_high``. ``hypervolume`` is what ``budget``
    trainings of the family enclose: the mean over random subsets of the size of the smallest family that has four or more, with
    the range ``_low`` to ``_high`` that holds 95 % of them, which the smallest family has not; empty for smaller ones. ``hypervolume_added`` is what the whole front
    would lose without the family. In the normalised space of ``stats.hypervolume``.
    """
    groups = dict(members(trials))
    if not groups:
        return pd.DataFrame(columns=list(FAMILY_COLUMNS)).astype(FAMILY_COLUMNS)
    union = pd.concat(groups.values())
    indicators = Indicators.of(union, objectives)
    front = on_frontier(union, objectives)
    whole = indicators.hypervolume(union)
    margin = math.nan if spread is None else spread.margin()
    budget = min((len(group) for group in groups.values() if len(group) >= FEWEST), default=0)
    rows = []
    for family, group in groups.items():
        first = most_accurate(group)
        rest = union[union["family"] != family]
        rows.append(
            {
                "family": family,
                "trained": len(group),
                "trained_share": len(group) / len(union),
                "on_frontier": int(front.loc[group.index].sum()),
                "number": first["number"],
                "top1": first["top1"],
                "top1_low": first["top1"] - margin,
                "top1_high": first["top1"] + margin,
                **at_budget(group, indicators, budget),
                "hypervolume_added": whole - (indicators.hypervolume(rest) if len(rest) else 0.0),
            }
        )
    return pd.DataFrame(rows, columns=list(FAMILY_COLUMNS)).astype(FAMILY_COLUMNS)


def at_budget(group: pd.DataFrame, indicators: Indicators, budget: int) -> dict[str, float | int | None]:
    """Hypervolume of ``budget`` of the family's trainings, whichever they are: mean and the middle 95 %."""
    if len(group) < max(budget, FEWEST):
        return {"budget": None, "hypervolume": None, "hypervolume_low": None, "hypervolume_high": None}
    generator = np.random.default_rng(0)
    rounds = SUBSETS if len(group) > budget else 1
    points = indicators.points(group)
    volumes = [volume(points[generator.choice(len(group), budget, replace=False)]) for _ in range(rounds)]
    # One subset has no spread, and nobody knows what the family's other trainings would have come to.
    low, high = np.quantile(volumes, [0.025, 0.975]) if rounds > 1 else (None, None)
    return {
        "budget": budget,
        "hypervolume": float(np.mean(volumes)),
        "hypervolume_low": low,
        "hypervolume_high": high,
    }


def fronts_frame(trials: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Each family's own front of accuracy and ``cost``, cheapest first: one row a point."""
    fronts = [own_front(group, cost) for _, group in members(trials)]
    points = pd.concat(fronts) if fronts else trials.iloc[:0]
    return points.assign(cost=points[cost].astype("Float64"))[FRONT_COLUMNS].reset_index(drop=True)


def own_front(group: pd.DataFrame, cost: str) -> pd.DataFrame:
    """The non-dominated candidates of a group by accuracy and ``cost``, cheapest first."""
    best = non_dominated(group[["top1", cost]])
    return group[best].sort_values([cost, "number"]).drop_duplicates(["top1", cost])


def price_frame(trials: pd.DataFrame, cost: str, spread: SeedSpread | None = None) -> pd.DataFrame:
    """What global stages gain and cost, one row for each family that has any; empty without a network of the local family.

    The family's most accurate network, ``number``, against the local family's, ``against``: ``gain`` in top-1 for
    ``extra_cost`` (in the unit of ``cost``; below zero where global is cheaper), and ``gain_per_cost`` where it is dearer. ``gain_at_equal_cost``
    is the mean height of the family's front over the local family's, over the range of cost (by its logarithm) in which
    both have a point of that cost or less; ``_low`` to ``_high`` is its 95 % interval if each height has the seeds' spread and
    neighbouring heights, which are often those of one network, err together; empty where no seed was repeated.
    """
    groups = dict(members(trials))
    local = groups.pop(ALL_LOCAL, None)
    if local is None:
        return pd.DataFrame(columns=list(PRICE_COLUMNS)).astype(PRICE_COLUMNS)
    anchor = most_accurate(local)
    rows = [
        {
            "family": family,
            **price(most_accurate(group), anchor, cost),
            **at_equal_cost(own_front(group, cost), own_front(local, cost), cost, spread),
        }
        for family, group in groups.items()
    ]
    return pd.DataFrame(rows, columns=list(PRICE_COLUMNS)).astype(PRICE_COLUMNS)


def most_accurate(group: pd.DataFrame) -> "pd.Series[Any]":
    """The best candidate of a group; of equal ones the first."""
    return group.sort_values(["top1", "number"], ascending=[False, True]).iloc[0]


def price(one: "pd.Series[Any]", anchor: "pd.Series[Any]", cost: str) -> dict[str, Any]:
    """One candidate against another."""
    gain, extra = one["top1"] - anchor["top1"], one[cost] - anchor[cost]
    return {
        "number": one["number"],
        "against": anchor["number"],
        "cost": one[cost],
        "cost_against": anchor[cost],
        "top1": one["top1"],
        "top1_against": anchor["top1"],
        "gain": gain,
        "extra_cost": extra,
        "gain_per_cost": gain / extra if extra > 0 else None,
    }


def at_equal_cost(
    front: pd.DataFrame, local: pd.DataFrame, cost: str, spread: SeedSpread | None
) -> dict[str, float]:
    """The mean height of one front over another, where both have a point of that cost or less."""
    low = max(front[cost].min(), local[cost].min())
    high = max(front[cost].max(), local[cost].max())
    costs = np.geomspace(low, high, STEPS)
    here, there = heights(front, cost, costs), heights(local, cost, costs)
    mean = float((here["top1"].to_numpy() - there["top1"].to_numpy()).mean())
    # Each network's reading errs once, wherever it stands for its front.
    shares = [side["number"].value_counts(normalize=True) for side in (here, there)]
    deviation = math.nan if spread is None else spread.margin()
    margin = deviation * math.sqrt(sum(float((share**2).sum()) for share in shares))
    return {
        "gain_at_equal_cost": mean,
        "gain_at_equal_cost_low": mean - margin,
        "gain_at_equal_cost_high": mean + margin,
    }


def heights(front: pd.DataFrame, cost: str, costs: NDArray[np.float64]) -> pd.DataFrame:
    """The best network of a front that costs no more, at each of ``costs``."""
    places = np.searchsorted(front[cost].to_numpy(dtype=float), costs * (1 + 1e-12), side="right")
    return front.iloc[places - 1]


def disagreement_frame(trials: pd.DataFrame) -> pd.DataFrame:
    """Candidates on the front of accuracy and MACs that are off the front of accuracy and latency, cheapest first.

    ``beaten_by`` is the fastest candidate that is at least as accurate, and ``latency_factor`` how many times
    as long this one takes: what choosing by MACs would cost. Latencies within the distance between each other's
    quartiles are not told apart.
    """
    trained = trained_trials(trials).dropna(subset="latency_ms").fillna({"latency_iqr_ms": 0.0})
    rows = []
    for _, row in own_front(trained, "macs").iterrows() if len(trained) else ():
        noise = trained["latency_iqr_ms"] + row["latency_iqr_ms"]
        faster = trained["latency_ms"] + noise < row["latency_ms"]
        as_good = trained[(trained["top1"] >= row["top1"]) & faster]
        if as_good.empty:
            continue
        other = as_good.sort_values(["latency_ms", "number"]).iloc[0]
        factor = row["latency_ms"] / other["latency_ms"]
        rows.append({**row, "beaten_by": other["number"], "latency_factor": factor})
    return pd.DataFrame(rows, columns=list(DISAGREEMENT_COLUMNS)).astype(DISAGREEMENT_COLUMNS)
