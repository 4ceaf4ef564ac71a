"""Figures of how the answer was got: measured globality, choices, proxies, rungs, costs, the search's progress."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter

from archsearch.objectives import objective_of
from archsearch.plots import style
from archsearch.results.families import by_family

CHOICES = 14
PARTS = ("#1b3a57", "#2f6690", "#4f97c1", "#8cc0dd", "#c2dfee", "#e3eff6")
GROUPS = {
    "convolution": "#0072b2",
    "projection": "#e69f00",
    "attention product": "#d55e00",
    "MLP": "#f0c987",
    "soft split": "#009e73",
    "other": "#c9ced4",
}


@mpl.rc_context(style.RC)
def measured_globality_figure(measured: pd.DataFrame) -> Figure:
    """Measured globality of the trained winners against that of their structure, with intervals."""
    figure, axes = style.blank_axes(4.4, 5.6)
    axes.plot([0, 1], [0, 1], color="0.6", lw=1, ls="--")
    axes.annotate(
        "as the structure says",
        (0.97, 0.97),
        ha="right",
        va="top",
        fontsize=7.5,
        color="0.45",
        rotation=38,
        xytext=(0, -16),
        textcoords="offset points",
    )
    for family, rows in by_family(measured):
        look = style.look_of(family)
        low, high = rows["measured_low"].astype(float), rows["measured_high"].astype(float)
        axes.vlines(rows["globality"].astype(float), low, high, colors=look.colour, lw=2.5, alpha=0.4)
        points = style.known_marks(rows, "globality", "measured_globality")
        axes.scatter(**points, marker=look.marker, color=look.colour, s=46, zorder=3, label=family)
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="globality of the structure (0 local, 1 global)",
        ylabel="measured globality (0 local, 1 global)",
        title="Measured globality",
    )
    axes.legend(loc="upper left")
    return figure


@mpl.rc_context(style.RC)
def importance_figure(importance: pd.DataFrame) -> Figure:
    """The most important choices, a panel for each objective; beyond the line is more than chance gives."""
    names = list(dict.fromkeys(importance["objective"]))
    order = importance.groupby("parameter")["importance"].max().sort_values(ascending=False).index[:CHOICES]
    figure = style.blank_figure(1.3 + 0.24 * len(order))
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    places = np.arange(len(order))[::-1]
    for axes, name in zip(panels, names, strict=True):
        rows = importance[importance["objective"] == name].set_index("parameter").reindex(order)
        shares, limit = rows["importance"].fillna(0.0).astype(float), float(rows["by_chance"].iloc[0])
        tints = [style.INK if share > limit else style.FAINT for share in shares]
        axes.barh(places, shares, color=tints, height=0.66)
        axes.axvline(limit, color=style.ACCENT, lw=1.2, ls="--")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        axes.set_xlabel("share of importance")
        axes.set_title(f"Importance for {objective_of(name).label}", fontsize=9.5)
        axes.grid(visible=False, axis="y")
    panels[0].set_yticks(places, list(order))
    return figure


@mpl.rc_context(style.RC)
def proxies_figure(proxies: pd.DataFrame) -> Figure:
    """How each proxy ranks all candidates (filled) and those of equal MACs (open): tau-b with its interval."""
    names = list(dict.fromkeys(proxies["proxy"]))
    figure, axes = style.blank_axes(1.5 + 0.34 * len(names))
    axes.axvline(0, color="0.4", lw=1)
    for within, shift, fill in (("all", 0.14, style.INK), ("given macs", -0.14, "white")):
        rows = proxies[(proxies["within"] == within) & proxies["kendall"].notna()]
        places = [len(names) - 1 - names.index(name) + shift for name in rows["proxy"]]
        style.draw_intervals(axes, rows, places, "kendall", style.INK, alpha=0.3)
        label = {"all": "all candidates", "given macs": "at equal MACs"}[within]
        axes.plot(rows["kendall"].astype(float), places, "o", mfc=fill, mec=style.INK, ms=6, label=label)
    axes.set_yticks(range(len(names)), names[::-1])
    axes.set(
        xlim=(-1.02, 1.02),
        xlabel="tau-b with the final accuracy (1: same order, 0: none, -1: backwards)",
        title="What ranks candidates without training them in full",
    )
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@mpl.rc_context(style.RC)
def rungs_figure(trials: pd.DataFrame, readings: pd.DataFrame) -> Figure:
    """Accuracy at each rung over the images shown: thin lines are trials, thick ones their family's median.

    ``readings`` is what ``rung_readings`` gives.
    """
    figure, axes = style.blank_axes(4.2)
    readings = readings.assign(family=readings["number"].map(trials.set_index("number")["family"]))
    each = {int(str(number)): rows for number, rows in readings.groupby("number")}
    axes.add_collection(
        LineCollection(
            [rows[["samples", "top1"]].to_numpy(dtype=float) for rows in each.values()],
            colors=[style.look_of(rows["family"].iloc[0]).colour for rows in each.values()],
            linewidths=0.7,
            alpha=0.35,
            gid=style.marks(each),
        )
    )
    for family, rows in by_family(readings):
        look = style.look_of(family)
        median = rows.groupby("samples")["top1"].median()
        axes.plot(median.index, median, color=look.colour, lw=2.4, marker=look.marker, ms=5, label=family)
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.set(xlabel="training images shown", ylabel=objective_of("top1").label, title="Learning at the rungs")
    axes.legend(loc="best")
    return figure


def rung_readings(trials: pd.DataFrame) -> pd.DataFrame:
    """What was read at rungs: ``number``, ``samples``, ``top1``; the end of a training is the last reading."""
    count = sum(name.endswith("_top1") and name.startswith("rung_") for name in trials.columns)
    names = [(f"rung_{rung}_samples", f"rung_{rung}_top1") for rung in range(1, count + 1)]
    reached = trials[trials[names[0][0]].notna()] if names else trials.iloc[:0]
    frames = [
        reached[["number", *pair]].set_axis(["number", "samples", "top1"], axis=1)
        for pair in (*names, ("samples", "top1"))
    ]
    known = pd.concat(frames).dropna().drop_duplicates(["number", "samples"], keep="last")
    return known.astype({"samples": float, "top1": float}).sort_values(["number", "samples"])


@mpl.rc_context(style.RC)
def costs_figure(parts: pd.DataFrame, groups: pd.DataFrame) -> Figure:
    """Where the winners' MACs and parameters go: by part, and the MACs by group of operators, in shares.

    ``parts`` and ``groups`` are what ``results.parts.cost_frames`` gives.
    """
    rows = list(dict.fromkeys(parts["label"]))
    figure = style.blank_figure(1.9 + 0.3 * len(rows))
    panels = figure.subplots(1, 3, sharey=True)
    places = list(dict.fromkeys(parts["place"]))
    tints = dict(zip(places, shades(len(places)), strict=True))
    contents: tuple[tuple[str, pd.DataFrame, str, str, Mapping[str, str]], ...] = (
        ("MACs by part", parts, "place", "macs", tints),
        ("Parameters by part", parts, "place", "params", tints),
        ("MACs by operator", groups, "group", "macs", GROUPS),
    )
    for axes, (title, frame, columns, values, colours) in zip(panels, contents, strict=True):
        stack_shares(axes, frame.pivot_table(values, "label", columns, sort=False), colours)
        axes.set_title(title)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        axes.set_xlim(0, 1)
        axes.grid(visible=False, axis="y")
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16 - 0.25 / len(rows)),
            ncols=2 if colours is GROUPS else 3,
            fontsize=7,
            handlelength=0.9,
            columnspacing=0.9,
        )
    return figure


def shades(count: int) -> list[str]:
    """So many colours, from the first part to the head."""
    return [PARTS[min(len(PARTS) - 1, round(i * (len(PARTS) - 1) / max(1, count - 1)))] for i in range(count)]


def stack_shares(axes: Axes, amounts: pd.DataFrame, tints: Mapping[str, str]) -> None:
    """A bar for each row, cut into the shares of its columns."""
    shares = amounts.fillna(0).div(amounts.sum(axis=1), axis=0)
    places = np.arange(len(shares))[::-1]
    start = np.zeros(len(shares))
    for name in (name for name in tints if name in shares):
        axes.barh(
            places,
            shares[name],
            left=start,
            color=tints[name],
            height=0.7,
            label=name,
            edgecolor="white",
            linewidth=0.5,
        )
        start += shares[name].to_numpy(dtype=float)
    axes.set_yticks(places, list(shares.index))


@mpl.rc_context(style.RC)
def history_figure(curve: pd.DataFrame) -> Figure:
    """How much of the objective space the search had covered after each trial that ended."""
    figure, axes = style.blank_axes(3.2)
    points = curve.astype({"trials": float, "hypervolume": float})
    axes.step(points["trials"], points["hypervolume"], where="post", color=style.INK, lw=1.6)
    axes.set(
        xlabel="trials that ended",
        ylabel="hypervolume (share)",
        ylim=(0, 1),
        title="Progress of the search",
    )
    return figure
