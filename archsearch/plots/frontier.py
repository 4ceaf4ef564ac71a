"""The Pareto front as a picture: accuracy against cost, coloured by globality, families marked; and axes of costs."""

import math

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, ScalarFormatter

from archsearch.objectives import objective_of
from archsearch.plots.style import RC, blank_axes, look_of, marks
from archsearch.results.families import by_family
from archsearch.results.trials import trained_trials

# On an axis of fewer decades than the first number, the ticks within each decade.
TICKS = ((1.0, (1.0, 2.0, 3.0, 5.0, 7.0)), (2.0, (1.0, 2.0, 5.0)))
FEWEST_TICKS = (1.0, 3.0)


@mpl.rc_context(RC)
def frontier_figure(
    trials: pd.DataFrame, frontier: pd.DataFrame, cost: str, title: str = "Pareto front"
) -> Figure:
    """Accuracy against ``cost`` of every trained trial, coloured by globality; the Pareto front as steps."""
    figure, axes = blank_axes(4.9)
    trained = trained_trials(trials)
    steps = frontier.sort_values(cost)
    axes.step(steps[cost], steps["top1"], where="post", color="0.55", linewidth=1.2, zorder=1)
    handles = []
    for family, members in by_family(trained):
        marker = look_of(family).marker
        points = axes.scatter(
            members[cost],
            members["top1"],
            c=members["globality"],
            vmin=0,
            vmax=1,
            cmap="viridis",
            marker=marker,
            s=46,
            edgecolors=["black" if on else "none" for on in members["on_frontier"]],
            linewidths=1.1,
            zorder=2,
            gid=marks(members["number"]),
        )
        handles.append(Line2D([], [], marker=marker, color="0.5", linestyle="none", label=family))
    name_references(axes, trained, cost)
    label_axes(axes, cost)
    axes.set_title(title)
    if handles:
        figure.colorbar(points, ax=axes, label="globality (0 local, 1 global)", shrink=0.9)
        figure.legend(
            handles=handles,
            title="family (outlined: on the Pareto front)",
            title_fontsize=8,
            loc="outside lower center",
            ncols=len(handles),
        )
    return figure


def name_references(axes: Axes, trained: pd.DataFrame, cost: str) -> None:
    """Write the names of the published networks beside their marks."""
    for _, row in trained[trained["reference"].notna()].iterrows():
        place = (float(row[cost]), float(row["top1"]))
        axes.annotate(
            str(row["reference"]), place, xytext=(5, 4), textcoords="offset points", fontsize=7, zorder=3
        )


def label_axes(axes: Axes, cost: str) -> None:
    """Units on the axes: costs on a log scale, with readable ticks."""
    axes.set_xscale("log")
    cost_axis(axes.xaxis, cost)
    axes.set(xlabel=objective_of(cost).label, ylabel=objective_of("top1").label)


def cost_axis(axis: Axis, cost: str) -> None:
    """Ticks of a log scale that are easy to read, whether it spans a tenth of a decade or several."""
    low, high = axis.get_view_interval()
    decades = math.log10(high / low) if 0 < low < high else 0.0
    subs = next((subs for most, subs in TICKS if decades < most), FEWEST_TICKS)
    axis.set_major_locator(LogLocator(base=10, subs=subs))
    # ``5 M`` for a count, ``1.5`` for what has a unit of its own.
    axis.set_major_formatter(EngFormatter(sep=" ") if objective_of(cost).counted else ScalarFormatter())
    axis.set_minor_formatter(NullFormatter())
