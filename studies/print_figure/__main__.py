"""From a run folder to a figure for print: fronts by family beside the local/global map, 7 inches wide.

python -m studies.print_figure runs/hybrid/digits-seed0 figure.pdf     # or .svg, .png

Everything comes from two frames, ``run.fronts`` and ``run.map``: change what you like.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archsearch import load_run
from archsearch.plots.frontier import cost_axis

LABELS = {"latency_ms": "latency (ms a batch)", "macs": "MACs", "params": "parameters"}
STYLE = {
    "font.family": "serif",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,  # letters stay letters: journals ask for that
    "svg.fonttype": "none",
}
# Of Okabe and Ito, told apart by readers of any colour vision; shapes tell them apart in grey.
MARKS = dict(
    zip("osD^vPX", ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"), strict=True)
)


def draw_fronts(axes: Axes, trials: pd.DataFrame, fronts: pd.DataFrame, cost: str) -> None:
    """Each family's own front; all trained candidates in grey behind them."""
    trained = trials[trials["outcome"] == "trained"]
    axes.scatter(trained[cost], trained["top1"], s=4, color="0.8", zorder=0)
    for (family, front), (marker, colour) in zip(
        fronts.groupby("family", sort=False), MARKS.items(), strict=False
    ):
        axes.step(front["cost"], front["top1"], where="post", color=colour, linewidth=0.9)
        axes.scatter(front["cost"], front["top1"], s=14, marker=marker, color=colour, label=family)
    axes.set_xscale("log")
    cost_axis(axes.xaxis, cost)
    axes.set_xlabel(LABELS.get(cost, cost))
    axes.set_ylabel("top-1 accuracy (validation)")
    axes.legend(frameon=False, fontsize=7)


def draw_map(axes: Axes, cells: pd.DataFrame, cost: str) -> None:
    """Best accuracy of each cell, with its 95 % interval where the seeds are known."""
    colours = mpl.colormaps["Blues"]
    low, high = cells["top1"].min(), cells["top1"].max()
    for _, cell in cells.iterrows():
        share = (cell["top1"] - low) / ((high - low) or 1.0)
        width, height = cell["cost_high"] - cell["cost_low"], cell["globality_high"] - cell["globality_low"]
        corner = (cell["cost_low"], cell["globality_low"])
        axes.add_patch(
            mpl.patches.Rectangle(corner, width, height, facecolor=colours(0.15 + 0.8 * share), edgecolor="w")
        )
        margin = "" if pd.isna(cell["top1_low"]) else f"\n±{(cell['top1_high'] - cell['top1_low']) / 2:.3f}"
        middle = (np.sqrt(cell["cost_low"] * cell["cost_high"]), corner[1] + height / 2)
        axes.annotate(
            f"{cell['top1']:.3f}{margin}",
            middle,
            ha="center",
            va="center",
            fontsize=6,
            color="w" if share > 0.6 else "k",
        )
    axes.set_xscale("log")
    axes.set_xlim(cells["cost_low"].min(), cells["cost_high"].max())
    cost_axis(axes.xaxis, cost)
    axes.set_ylim(0, 1)
    axes.set_xlabel(LABELS.get(cost, cost))
    axes.set_ylabel("globality (0 local, 1 global)")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("figure", type=Path)
    arguments = parser.parse_args()
    run = load_run(arguments.run)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 2.9), layout="constrained", dpi=300)
        left, right = figure.subplots(1, 2)
        draw_fronts(left, run.trials, run.fronts, run.cost)
        draw_map(right, run.map, run.cost)
        for axes, letter in ((left, "a"), (right, "b")):
            axes.set_title(letter, loc="left", fontweight="bold")
        figure.savefig(arguments.figure)
    print(arguments.figure)


if __name__ == "__main__":
    main()
