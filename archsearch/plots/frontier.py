"""The Pareto front as a picture: accuracy against cost, coloured by globality, families marked; and axes of costs."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, Formatter, LogLocator, NullFormatter, ScalarFormatter

from archsearch.objectives import objective_of
from archsearch.plots.style import blank_figure, in_shared_look, look_of, marks
from archsearch.results.families import by_family
from archsearch.results.trials import trained_trials

# Of an axis of fewer decades than this: where in a decade its ticks are.
TICKS = ((1.0, (1.0, 2.0, 3.0, 5.0, 7.0)), (2.0, (1.0, 2.0, 5.0)))
FEWEST_TICKS = (1.0, 3.0)


@in_shared_look
def frontier_figure(
    trials: pd.DataFrame, frontier: pd.DataFrame, cost: str, title: str = "Pareto front"
) -> Figure:
    """Accuracy against ``cost`` of every trained trial, coloured by globality; the Pareto front as steps."""
    figure = blank_figure(4.9)
    axes = figure.subplots()
    draw_frontier(axes, trained_trials(trials), frontier, cost)
    axes.set_title(title)
    return figure


def draw_frontier(axes: Axes, trained: pd.DataFrame, frontier: pd.DataFrame, cost: str) -> None:
    """Points, the front's steps, axes with units, and the two legends."""
    steps = frontier.sort_values(cost)
    axes.step(steps[cost], steps["top1"], where="post", color="0.55", linewidth=1.2, zorder=1)
    for family, members in by_family(trained):
        points = axes.scatter(
            members[cost],
            members["top1"],
            c=members["globality"],
            vmin=0,
            vmax=1,
            cmap="viridis",
            marker=look_of(family).marker,
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
            Line2D([], [], marker=look_of(family).marker, color="0.5", linestyle="none", label=family)
            for family, _ in by_family(trained)
        ]
        axes.figure.legend(
            handles=handles,
            title="family (outlined: on the Pareto front)",
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


def label_axes(axes: Axes, cost: str) -> None:
    """Units on the axes: costs on a log scale, with readable ticks."""
    axes.set_xscale("log")
    cost_axis(axes.xaxis, cost)
    axes.set_xlabel(objective_of(cost).label)
    axes.set_ylabel(objective_of("top1").label)
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
    return EngFormatter(sep=" ") if objective_of(cost).counted else ScalarFormatter()
