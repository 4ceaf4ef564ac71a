"""Figures of where to be local and where global: map, fronts by family, price, matched swaps.

Each function takes frames of a ``Run`` and gives a figure that can be saved as PNG, SVG or PDF; marks that stand
for a trial know its number (``plots.style.marks``).
"""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from archsearch.families import ALL_LOCAL
from archsearch.objectives import objective_of
from archsearch.plots import style
from archsearch.plots.frontier import label_axes
from archsearch.results.frontier import non_dominated
from archsearch.stages import STAGE_KINDS
from archsearch.stats.cells import Grid

ACCURACY = "Blues"
# Colour and marker of a kind that is not known here, as of another user's file.
UNKNOWN_KIND = ("0.4", "D")


@mpl.rc_context(style.RC)
def map_figure(cells: pd.DataFrame, grid: Grid, cost: str) -> Figure:
    """The best accuracy of each cell of globality x ``cost``, its interval and how many trials it has.

    ``cells`` is ``Run.map`` and ``grid`` what it was made with. All cells are drawn in one size, between edges that say where they lie; empty ones are hatched.
    """
    rows, columns = grid.globality, grid.cost
    figure, axes = style.blank_axes(0.9 + 0.62 * len(rows))
    axes.set(xlim=(0, len(columns) - 1), ylim=(0, len(rows) - 1))
    axes.grid(visible=False)
    axes.add_patch(
        Rectangle((0, 0), len(columns), len(rows), hatch="////", facecolor="white", edgecolor="0.9", lw=0)
    )
    low, high = float(cells["top1"].min()), float(cells["top1"].max())
    for _, cell in cells.iterrows():
        row, column = grid.place(float(cell["globality"]), float(cell["cost"]))
        shade = (float(cell["top1"]) - low) / (high - low) if high > low else 0.5
        map_cell(axes, cell, (column, row), shade)
    axes.set_xticks(range(len(columns)), [objective_of(cost).write(edge) for edge in columns])
    axes.set_yticks(range(len(rows)), [f"{edge:.2f}" for edge in rows])
    axes.set(
        xlabel=f"{objective_of(cost).label}, edges of the cells",
        ylabel="globality (0 local, 1 global)",
        title="Map: best accuracy in each cell",
    )
    return figure


def map_cell(axes: Axes, cell: "pd.Series[float]", corner: tuple[int, int], shade: float) -> None:
    """One cell: its colour, the best accuracy, the interval over seeds if one is known, and the count."""
    x, y = corner
    fill = colormaps[ACCURACY](0.08 + 0.77 * shade)
    axes.add_patch(
        Rectangle(
            corner, 1, 1, facecolor=fill, edgecolor="white", lw=1.5, gid=style.marks([int(cell["number"])])
        )
    )
    ink = "white" if shade > 0.62 else "0.15"
    known = pd.notna(cell["top1_low"]) and pd.notna(cell["top1_high"])
    interval = f"{cell['top1_low']:.3f} to {cell['top1_high']:.3f}" if known else ""
    count = f"n = {cell['trials']}"
    for height, text, size in (
        (0.68 if known else 0.6, f"{cell['top1']:.3f}", 9.5),
        (0.42, interval, 7),
        (0.18 if known else 0.28, count, 7),
    ):
        axes.text(x + 0.5, y + height, text, color=ink, fontsize=size, ha="center", va="center")


@mpl.rc_context(style.RC)
def families_figure(fronts: pd.DataFrame, families: pd.DataFrame, trained: pd.DataFrame, cost: str) -> Figure:
    """Each family's own front in accuracy against ``cost``; beside it its hypervolume at equal trainings."""
    figure = style.blank_figure(4.6)
    compared = families[families["hypervolume"].notna()]
    panels = figure.subplots(1, 2, width_ratios=(2.6, 1)) if len(compared) else [figure.subplots()]
    left = panels[0]
    left.scatter(trained[cost].astype(float), trained["top1"].astype(float), s=9, color=style.FAINT, zorder=1)
    for family in families["family"]:
        look = style.look_of(family)
        points = fronts[fronts["family"] == family].sort_values("cost").astype({"cost": float, "top1": float})
        left.step(points["cost"], points["top1"], where="post", lw=1.5, color=look.colour, zorder=2)
        left.scatter(
            **style.known_marks(points, "cost", "top1"),
            s=38,
            marker=look.marker,
            color=look.colour,
            edgecolors="white",
            linewidths=0.6,
            label=family,
            zorder=3,
        )
    label_axes(left, cost)
    left.set_title("Fronts by family")
    left.legend(loc="best")
    if len(compared):
        draw_hypervolumes(panels[1], compared)
    return figure


def draw_hypervolumes(axes: Axes, families: pd.DataFrame) -> None:
    """A dot and an interval for each family."""
    places = list_families(axes, families)
    tints = [style.look_of(family).colour for family in families["family"]]
    style.draw_intervals(axes, families, places, "hypervolume", tints, alpha=0.45)
    for family, value, place in zip(families["family"], families["hypervolume"], places, strict=True):
        look = style.look_of(family)
        axes.plot([value], [place], marker=look.marker, color=look.colour, ms=7)
    budget = families["budget"].max()
    title = "Hypervolume" if pd.isna(budget) else f"Of {budget} trainings"
    axes.set(xlabel="hypervolume (share)", title=title)


def list_families(axes: Axes, frame: pd.DataFrame) -> list[int]:
    """Name the family of each row at the left, the first one on top; gives their heights."""
    places = list(range(len(frame)))[::-1]
    axes.set_yticks(places, list(frame["family"]))
    axes.set_ylim(-0.6, len(frame) - 0.4)
    return places


@mpl.rc_context(style.RC)
def price_figure(price: pd.DataFrame) -> Figure:
    """What each family with global stages gains over ``against`` at equal cost, with its interval."""
    figure, axes = style.blank_axes(1.3 + 0.34 * len(price))
    dots = price.assign(place=list_families(axes, price))
    axes.axvline(0, color="0.4", lw=1)
    tints = [style.look_of(family).colour for family in price["family"]]
    style.draw_intervals(axes, dots, dots["place"], "gain_at_equal_cost", tints, alpha=0.45)
    for family, row in dots.groupby("family", sort=False):
        look = style.look_of(str(family))
        points = style.known_marks(row, "gain_at_equal_cost", "place")
        axes.scatter(**points, marker=look.marker, color=look.colour, s=52, zorder=3)
    axes.set(xlabel=f"top-1 gained over {ALL_LOCAL} at equal cost", title="Price of global")
    return figure


@mpl.rc_context(style.RC)
def disagreement_figure(trained: pd.DataFrame, disagreement: pd.DataFrame) -> Figure:
    """The same trials against MACs and against latency, with the front of each; marked: on the first alone."""
    figure = style.blank_figure(3.9)
    both = figure.subplots(1, 2, sharey=True)
    known = trained[trained["latency_ms"].notna()].astype({"top1": float, "macs": float, "latency_ms": float})
    fallen = known[known["number"].isin(disagreement["number"])]
    for axes, cost in zip(both, ("macs", "latency_ms"), strict=True):
        kept = non_dominated(known[["top1", cost]])
        front = known[kept].sort_values(cost)
        axes.step(front[cost], front["top1"], where="post", color=style.INK, lw=1.2)
        axes.scatter(**style.known_marks(known[~kept], cost, "top1"), s=16, color=style.FAINT)
        axes.scatter(**style.known_marks(front, cost, "top1"), s=30, color=style.INK)
        circled = style.known_marks(fallen, cost, "top1")
        axes.scatter(**circled, s=95, facecolors="none", edgecolors=style.ACCENT, linewidths=1.8)
        label_axes(axes, cost)
    both[0].set_title("Front in MACs")
    both[1].set(title="Front in latency", ylabel="")
    return figure


@mpl.rc_context(style.RC)
def swaps_figure(swaps: pd.DataFrame, title: str = "Matched swaps") -> Figure:
    """What each trained swap changed in accuracy at equal cost, with its interval over paired seeds.

    A mark is that of the kind which the stage became, and filled where the interval leaves out 0.
    """
    figure, axes = style.blank_axes(1.6 + 0.3 * len(swaps))
    apart = ((swaps["difference_low"] > 0) | (swaps["difference_high"] < 0)).fillna(value=False)
    rows = swaps.assign(y=np.arange(len(swaps))[::-1], apart=apart.astype(bool))
    axes.axvline(0, color="0.4", lw=1)
    handles = []
    for kind, members in rows.groupby("kind_to", sort=False):
        colour, shape = STAGE_KINDS[str(kind)].mark if kind in STAGE_KINDS else UNKNOWN_KIND
        handles.append(Line2D([], [], color=colour, marker=shape, linestyle="none", label=str(kind)))
        style.draw_intervals(axes, members, members["y"], "difference", colour, alpha=0.35)
        for chosen, fill in ((members[members["apart"]], colour), (members[~members["apart"]], "white")):
            points = style.known_marks(chosen, "difference", "y")
            axes.scatter(**points, facecolors=fill, edgecolors=colour, marker=shape, s=42, zorder=3)
    names = [
        f"trial {row['number']}, {row['place']}: {row['kind_from']} to {row['kind_to']} "
        f"(equal {objective_of(row['cost_name']).short})"
        for _, row in rows.iterrows()
    ]
    axes.set_yticks(rows["y"], names)
    axes.set(ylim=(-0.6, len(swaps) - 0.4), xlabel="top-1 after the swap less before it", title=title)
    figure.legend(handles=handles, loc="outside lower center", ncols=max(len(handles), 1))
    return figure
