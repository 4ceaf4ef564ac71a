"""The frontier as a picture: accuracy against cost, coloured by globality, families marked."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, Formatter, LogLocator, NullFormatter, ScalarFormatter

from archsearch.families import ALL_GLOBAL, ALL_LOCAL, MIXED, family_order
from archsearch.storage.trial_record import OBJECTIVES

MARKERS = {ALL_LOCAL: "s", MIXED: "X", ALL_GLOBAL: "o"}
GLOBAL_FROM = ("^", "v", "<", ">", "P", "D", "p", "h")
# Counts of an image, and the others in their own unit.
COUNTS = ("macs", "params")
# Of an axis of fewer decades than this: where in a decade its ticks are.
TICKS = ((1.0, (1.0, 2.0, 3.0, 5.0, 7.0)), (2.0, (1.0, 2.0, 5.0)))
FEWEST_TICKS = (1.0, 3.0)


def save_frontier_plot(
    trials: pd.DataFrame, frontier: pd.DataFrame, cost: str, path: Path, title: str
) -> None:
    """Write the picture to ``path``; its ending decides the format (png, svg, pdf)."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(7.2, 4.4), layout="constrained", dpi=160)
        axes = figure.subplots()
        draw(axes, trials[trials["outcome"] == "trained"], frontier, cost)
        axes.set_title(title, loc="left", fontsize=10)
        figure.savefig(path)


def draw(axes: Axes, trained: pd.DataFrame, frontier: pd.DataFrame, cost: str) -> None:
    """Points, the frontier's steps, axes with units, and the two legends."""
    steps = frontier.sort_values(cost)
    axes.step(steps[cost], steps["top1"], where="post", color="0.55", linewidth=1.2, zorder=1)
    for family, members in families(trained):
        points = axes.scatter(
            members[cost],
            members["top1"],
            c=members["globality"],
            vmin=0,
            vmax=1,
            cmap="viridis",
            marker=marker(family),
            s=46,
            edgecolors=["black" if on else "none" for on in members["on_frontier"]],
            linewidths=1.1,
            zorder=2,
            gid=marks(members["number"]),
        )
    name_references(axes, trained, cost)
    label_axes(axes, cost)
    if len(trained):
        axes.figure.colorbar(points, ax=axes, label="globality (0 local, 1 global)", shrink=0.9)
        handles = [
            Line2D([], [], marker=marker(family), color="0.5", linestyle="none", label=family)
            for family, _ in families(trained)
        ]
        axes.figure.legend(
            handles=handles,
            title="family (outlined: on the frontier)",
            fontsize=8,
            title_fontsize=8,
            loc="outside lower center",
            ncols=len(handles),
            frameon=False,
        )


def name_references(axes: Axes, trained: pd.DataFrame, cost: str) -> None:
    """The known networks by their names."""
    for _, row in trained[trained["reference"].notna()].iterrows():
        place = (float(row[cost]), float(row["top1"]))
        axes.annotate(
            str(row["reference"]), place, xytext=(5, 4), textcoords="offset points", fontsize=7, zorder=3
        )


def families(trained: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The trials of each family, from local to global."""
    order = sorted(trained["family"].unique(), key=family_order)
    yield from ((str(family), trained[trained["family"] == family]) for family in order)


def marker(family: str) -> str:
    """One marker for each family, the same in every picture."""
    if family in MARKERS:
        return MARKERS[family]
    return GLOBAL_FROM[int(family.rpartition("-")[2]) % len(GLOBAL_FROM)]


def marks(numbers: Iterable[int]) -> str:
    """The id of an artist that has one mark for each of these trials, in this order; see ``report.svg``."""
    return "trials:" + ",".join(str(int(number)) for number in numbers)


def label_axes(axes: Axes, cost: str) -> None:
    """Units on the axes: costs on a log scale, with readable ticks."""
    axes.set_xscale("log")
    cost_axis(axes.xaxis, cost)
    axes.set_xlabel(OBJECTIVES[cost].label)
    axes.set_ylabel(OBJECTIVES["top1"].label)
    axes.grid(alpha=0.25, linewidth=0.6)


def cost_axis(axis: Axis, cost: str) -> None:
    """Ticks of a log scale that are read at once."""
    low, high = axis.get_view_interval()
    decades = math.log10(high / low) if 0 < low < high else 0.0
    subs = next((subs for most, subs in TICKS if decades < most), FEWEST_TICKS)
    axis.set_major_locator(LogLocator(base=10, subs=subs))
    axis.set_major_formatter(cost_format(cost))
    axis.set_minor_formatter(NullFormatter())


def cost_format(cost: str) -> Formatter:
    """How a cost is written at a tick: ``5 M`` for a count, ``1.5`` for what has a unit of its own."""
    return EngFormatter(sep=" ") if cost in COUNTS else ScalarFormatter()
