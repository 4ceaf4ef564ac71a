"""What came out: hypervolumes at fixed budgets, samples to random search's result, one figure."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

HEADER = ("table", "method", "seed", "samples", "finished", "hypervolume")
TRAININGS = 200
FULL_SAMPLES = {"cifar10": 48_000.0, "macro": 1.0, "lcbench": 52.0}
BUDGETS = (10, 20, 40, 67, 100, 150, 200)
GRID = np.arange(1, TRAININGS + 1)
COLOURS = colormaps["tab20"]
NEVER = f"> {TRAININGS}"

Array = NDArray[np.float64]


def read_results(path: Path) -> pd.DataFrame:
    """One row for every step of every search; samples also as ``trainings``, in units of a full training."""
    results = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=list(HEADER))
    return results.assign(trainings=results["samples"] / results["table"].map(FULL_SAMPLES).astype(float))


def write_report(results: pd.DataFrame, folder: Path) -> None:
    """Tables to the terminal, the figure beside this file."""
    for name in dict.fromkeys(results["table"]):
        curves = curves_of(results[results["table"] == name])
        print(f"\n{name}: hypervolume after as many full trainings' samples\n")
        print(hypervolume_table(curves))
        print(
            f"\n{name}: full trainings' samples to the mean hypervolume of random search after {TRAININGS}\n"
        )
        print(samples_table(results[results["table"] == name], float(curves["random"][:, -1].mean())))
    draw(results, folder / "hypervolume.png")


def curves_of(results: pd.DataFrame) -> dict[str, Array]:
    """``(seeds, 200)`` for each method: the hypervolume after 1, 2, ... full trainings' worth of samples.

    Not a number beyond the budget of the search that had the smallest.
    """
    curves = {}
    for method, runs in results.groupby("method", sort=False):
        values = np.array([curve(rows) for _, rows in runs.groupby("seed")])
        values[:, runs.groupby("seed")["trainings"].max().min() < GRID] = np.nan
        curves[str(method)] = values
    return curves


def curve(rows: pd.DataFrame) -> Array:
    """The steps of one search, read on the grid."""
    places = np.searchsorted(rows["trainings"].to_numpy() - 1e-9, GRID, side="right")
    return np.concatenate([[0.0], rows["hypervolume"].to_numpy()])[places]


def hypervolume_table(curves: dict[str, Array]) -> str:
    """Median and quartiles over the seeds."""
    lines = ["| method | " + " | ".join(map(str, BUDGETS)) + " |", "|---|" + "---|" * len(BUDGETS)]
    for method, values in curves.items():
        cells = [said(values[:, budget - 1]) for budget in BUDGETS]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def samples_table(results: pd.DataFrame, target: float) -> str:
    """When each seed first has the target; a seed that never has it counts as more than the budget."""
    lines = ["| method | samples | share of the budget | seeds that reach it |", "|---|---|---|---|"]
    for method, runs in results.groupby("method", sort=False):
        needed = np.array([first(rows, target) for _, rows in runs.groupby("seed")])
        low, middle, high = (count(value) for value in quartiles(needed))
        share = f"{quartiles(needed)[1] / TRAININGS:.2f}" if middle != NEVER else "-"
        reached = f"{np.isfinite(needed).sum()} of {len(needed)}"
        lines.append(f"| {method} | {middle} ({low} to {high}) | {share} | {reached} |")
    return "\n".join(lines)


def first(rows: pd.DataFrame, target: float) -> float:
    """The trainings' worth of samples at the first step that has the target; infinite if none has."""
    reached = rows.loc[rows["hypervolume"] >= target, "trainings"]
    return float(reached.min()) if len(reached) else np.inf


def quartiles(values: Array) -> Array:
    """Lower quartile, median, upper quartile, each one of the values."""
    return np.quantile(values, (0.25, 0.5, 0.75), method="nearest")


def count(trainings: float) -> str:
    """A number of trainings that may be infinite."""
    return f"{trainings:.0f}" if np.isfinite(trainings) else NEVER


def said(values: Array) -> str:
    """Median (lower to upper quartile)."""
    if np.isnan(values).any():
        return "-"
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def draw(results: pd.DataFrame, path: Path) -> None:
    """One panel for each table: medians, and the quartiles as a band."""
    names = list(dict.fromkeys(results["table"]))
    figure = Figure(figsize=(3.6 * len(names), 3.8), layout="constrained", dpi=160)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    methods = list(dict.fromkeys(results["method"]))
    for axes, name in zip(panels, names, strict=True):
        for method, values in curves_of(results[results["table"] == name]).items():
            draw_method(axes, values, method, COLOURS(methods.index(method)))
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_xlabel("training samples, in full trainings")
        axes.grid(alpha=0.25, linewidth=0.6)
    panels[0].set_ylabel("hypervolume")
    shown = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        shown.values(), shown.keys(), loc="outside lower center", ncols=5, fontsize=8, frameon=False
    )
    figure.savefig(path)


def draw_method(axes: Axes, values: Array, label: str, colour: tuple[float, ...]) -> None:
    """A line and its band, from the tenth training on."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)[:, 9:]
    axes.plot(GRID[9:], middle, label=label, color=colour, linewidth=1.4)
    axes.fill_between(GRID[9:], low, high, color=colour, alpha=0.12, linewidth=0)
