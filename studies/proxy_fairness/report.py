"""The study's table, rank correlations and figures, from the lines of its trainings."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from archsearch.results.proxies import proxy_lines, proxy_report
from archsearch.stats.rank_correlation import (
    Estimate,
    correlations,
    estimate,
    rank_correlation,
    resamples,
)
from studies.proxy_fairness.training import GROUPS, RUNGS, group_of

COLOURS = {"all-conv": "#3b6fb6", "all-token": "#c0392b", "global-from": "#7d5ba6", "mixed": "#8a8a8a"}
WAYS = {
    "raw_top1": "top-1, last weights",
    "ema_top1": "top-1, averaged weights",
    "annealed_top1": "top-1, annealed",
    "annealed_ema_top1": "top-1, annealed and averaged",
    "raw_train_loss": "training loss",
    "annealed_train_loss": "training loss, annealed",
}
PLAIN, CHOSEN = "raw_top1", "raw_train_loss"


@dataclass(frozen=True)
class Rank:
    """Kendall's tau-b of a reading with the final accuracy in one group, with its 95 % interval."""

    reading: str
    within: str
    candidates: int
    kendall: float
    low: float
    high: float


def write_report(rows: list[dict[str, object]], folder: Path) -> None:
    """``trainings.csv``, ``ladder.csv``, ``proxies.csv``, three figures, and the figures of the README on the screen."""
    trainings = pd.DataFrame(rows).sort_values(["seed", "family", "architecture"], ignore_index=True)
    trainings.round(6).to_csv(folder / "trainings.csv", index=False)
    table = candidates(trainings)
    halving = pd.DataFrame(asdict(rank) for rank in ranks(table))
    halving.round(4).to_csv(folder / "ladder.csv", index=False)
    report = proxy_report(as_trials(table), final="final")
    report.round(4).to_csv(folder / "proxies.csv", index=False)
    tell(trainings, table, halving, report)
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        draw_ladder(halving, folder / "ladder.png")
        draw_proxies(report, folder / "proxies.png")
        draw_accuracy(table, folder / "accuracy.png")


def candidates(trainings: pd.DataFrame) -> pd.DataFrame:
    """One row a candidate: its first seed's readings, and ``final``, the mean of its seeds' accuracies."""
    first = trainings[trainings["seed"] == 0].set_index("architecture")
    final = trainings.groupby("architecture")["top1"].mean()
    second = trainings[trainings["seed"] == 1].set_index("architecture")["top1"]
    return first.assign(final=final, second=second, group=first["layout"].map(group_of)).reset_index()


def as_trials(table: pd.DataFrame) -> pd.DataFrame:
    """The candidates in the columns of a run's trials, the rungs read as the ladder is built."""
    columns = {f"rung_{n}_raw_{name}": f"rung_{n}_{name}" for n in (1, 2) for name in ("top1", "train_loss")}
    kept = table.rename(columns=columns)
    return kept.assign(outcome="trained", family=kept["group"])


def groups(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """All candidates, the groups of the study, and thirds by globality."""
    yield "all", table
    yield from ((name, table[table["group"] == name]) for name in GROUPS)
    third = pd.qcut(table["globality"], 3, labels=["low", "middle", "high"])
    yield from ((f"globality {name}", table[third == name]) for name in ("low", "middle", "high"))


def ranks(table: pd.DataFrame) -> Iterator[Rank]:
    """Every way to read every rung, in every group."""
    for within, members in groups(table):
        for number in range(1, len(RUNGS) + 1):
            for way in WAYS:
                found = rank_correlation(read(members, number, way), members["final"])
                yield Rank(f"rung_{number}_{way}", within, len(members), found.value, found.low, found.high)


def read(members: pd.DataFrame, number: int, way: str) -> "pd.Series[float]":
    """A rung's reading, more being better."""
    column = members[f"rung_{number}_{way}"]
    return -column if way.endswith("loss") else column


def tell(trainings: pd.DataFrame, table: pd.DataFrame, halving: pd.DataFrame, report: pd.DataFrame) -> None:
    """What the README quotes."""
    print(
        f"{len(table)} candidates, {len(trainings)} trainings, {trainings['seconds'].sum() / 3600:.1f} core hours"
    )
    again = table.dropna(subset="second")
    spread = (again["second"] - again["top1"]).std() / math.sqrt(2)
    print(f"seed deviation of the final accuracy: {spread:.4f} over {len(again)} candidates")
    print("final by final of another seed:", said(rank_correlation(again["top1"], again["second"])))
    for way in WAYS:
        found = rank_correlation(read(again, 2, way), again["second"])
        print(f"third, {way}, by final of another seed: {said(found)}")
    print(table.groupby("group")["final"].describe().round(3).to_string())
    shown = halving.pivot_table("kendall", "within", "reading").loc[[name for name, _ in groups(table)]]
    print(shown.round(2).to_string())
    for within, members in groups(table):
        for way in list(WAYS)[1:]:
            gain = difference(read(members, 2, way), read(members, 2, PLAIN), members["final"])
            print(f"third, {way} less {PLAIN}, {within}: {said(gain)}")
    print("third, worst family:", {way: said(worst(table, way)) for way in WAYS})
    promotion(table)
    print("\n".join(proxy_lines(report)))


def worst(table: pd.DataFrame, way: str) -> Estimate:
    """The least tau of any family, the families resampled each by itself."""
    least = [
        correlations(read(members, 2, way), members["final"], resamples(len(members), seed=seed))
        for seed, (_, members) in enumerate(table.groupby("group"))
    ]
    return estimate(np.min(least, axis=0))


def difference(a: "pd.Series[float]", b: "pd.Series[float]", y: "pd.Series[float]") -> Estimate:
    """By how much more like y a ranks than b: both on the same resamples, so that what they share cancels."""
    weights = resamples(len(y))
    return estimate(correlations(a, y, weights) - correlations(b, y, weights))


def promotion(table: pd.DataFrame) -> None:
    """Whom a ladder keeps that goes on with the best third at the third of the budget: overall, and in strata."""
    stratum = pd.qcut(table["globality"], 3, labels=False)
    best = table["final"].max()
    for way in WAYS:
        score = read(table, 2, way)
        overall = table.loc[score.nlargest(len(table) // 3).index]
        strata = table[score.groupby(stratum).rank(ascending=False) <= len(table) / 9]
        for name, kept in (("overall", overall), ("in thirds by globality", strata)):
            counts = kept["group"].value_counts().reindex(list(GROUPS), fill_value=0).to_dict()
            lost = best - kept["final"].max()
            print(f"kept by {way} {name}: {counts}; the best one kept is {lost:.4f} below the best of all")


def said(found: Estimate) -> str:
    """A value and its interval."""
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def draw_ladder(halving: pd.DataFrame, path: Path) -> None:
    """Tau of every way to read the rung at a third, in every group."""
    names = list(dict.fromkeys(halving["within"]))
    figure = Figure(figsize=(7.2, 3.6), layout="constrained", dpi=160)
    axes = figure.subplots()
    for offset, (way, label) in enumerate(WAYS.items()):
        rows = halving[halving["reading"] == f"rung_2_{way}"].set_index("within").loc[names]
        places = np.arange(len(names)) + (offset - (len(WAYS) - 1) / 2) * 0.13
        whiskers(axes, places, rows[["kendall", "low", "high"]].to_numpy(), label, f"C{offset}")
    axes.set_xticks(range(len(names)), [name.replace("globality ", "globality\n") for name in names])
    axes.set_ylabel("Kendall's tau with the final accuracy")
    axes.set_title("The rung at a third of the budget, read in six ways", loc="left", fontsize=10)
    axes.legend(ncols=3, fontsize=7, frameon=False, loc="lower center")
    axes.set_ylim(float(halving["low"].min()) - 0.35, 1)
    axes.axhline(0, color="0.7", linewidth=0.8)
    figure.savefig(path)


def draw_proxies(report: pd.DataFrame, path: Path) -> None:
    """Tau of every proxy, over all candidates and at fixed MACs."""
    everyone = report[report["within"] == "all"].sort_values("kendall")
    names = list(everyone["proxy"])
    figure = Figure(figsize=(7.2, 3.8), layout="constrained", dpi=160)
    axes = figure.subplots()
    for offset, (within, label) in enumerate(
        {"all": "all candidates", "given macs": "at fixed MACs"}.items()
    ):
        rows = (
            report[report["within"] == within]
            .set_index("proxy")
            .reindex(names)
            .astype({"kendall": float, "kendall_low": float, "kendall_high": float})
        )
        values = rows[["kendall", "kendall_low", "kendall_high"]].to_numpy()
        whiskers(
            axes, np.arange(len(names)) + (offset - 0.5) * 0.25, values, label, f"C{offset}", upright=False
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("Kendall's tau with the final accuracy, 95 % interval")
    axes.axvline(0, color="0.7", linewidth=0.8)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    figure.savefig(path)


def whiskers(
    axes: Axes, places: np.ndarray, values: np.ndarray, label: str, colour: str, *, upright: bool = True
) -> None:
    """Values (n, 3) with their intervals as points and bars."""
    middle = values[:, 0]
    bars = np.abs(values[:, 1:].T - middle)
    style: Mapping[str, object] = {
        "fmt": "o",
        "markersize": 4,
        "linewidth": 1.2,
        "label": label,
        "color": colour,
    }
    if upright:
        axes.errorbar(places, middle, yerr=bars, **style)
    else:
        axes.errorbar(middle, places, xerr=bars, **style)


def draw_accuracy(table: pd.DataFrame, path: Path) -> None:
    """Final accuracy against the rung at a third, read by accuracy and by training loss."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained", dpi=160)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, way in zip(panels, (PLAIN, CHOSEN), strict=True):
        for name, members in table.groupby("group"):
            axes.scatter(members[f"rung_2_{way}"], members["final"], s=16, color=COLOURS[name], label=name)
        axes.set_xlabel(f"{WAYS[way].partition(',')[0]} at a third of the budget")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.grid(alpha=0.25, linewidth=0.6)
    panels[0].set_ylabel("final top-1 (validation)")
    panels[1].legend(fontsize=7, frameon=False)
    figure.savefig(path)
