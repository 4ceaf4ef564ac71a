"""Runs against each other as a picture: the hypervolume of each over what its search had cost."""

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from archsearch.plots.style import RC, blank_axes
from archsearch.results.compare import Comparison


@mpl.rc_context(RC)
def comparison_figure(comparison: Comparison) -> Figure:
    """Hypervolume over training samples, or over seconds if some are not known: a step line for each run."""
    curves = comparison.curves
    cost = "seconds" if curves["samples"].isna().any() else "samples"
    label = {"samples": "training images shown", "seconds": "seconds, summed over trials"}[cost]
    figure, axes = blank_axes(4.4)
    for name, run in curves.groupby("run", sort=False):
        steps = pd.concat([pd.DataFrame({cost: [0], "hypervolume": [0]}), run[[cost, "hypervolume"]]])
        x, y = steps[cost].astype("float64"), steps["hypervolume"].astype("float64")
        axes.step(x, y, where="post", label=str(name), linewidth=1.4, marker="o", markevery=[-1])
    axes.set(
        title=f"Hypervolume of {', '.join(comparison.objectives)}",
        xlabel=label,
        ylabel="hypervolume (share of the space of all runs)",
        ylim=(0, 1),
    )
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.legend(loc="best")
    return figure
