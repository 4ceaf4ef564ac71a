"""What the record says: the CSV, the table of means and separations, and the picture."""

import csv
import math
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Rows = list[dict[str, Any]]
Scores = dict[str, dict[str, list[float]]]  # top-1 of each seed, by task and network

LOCAL = "c_only"
COLUMNS = (
    "task network layout macs params globality receptive_field seed top1 loss train_loss samples "
    "validation_images seconds source architecture"
)
COLOURS = {"c_only": "#c2452d", "cctt": "#5b8e7d", "t_only": "#2f5d8a", "c_wide": "#e8a33d"}


def report(rows: Rows, folder: Path) -> str:
    """Writes ``results.csv`` and ``accuracy.png`` into ``folder``; gives the table in Markdown."""
    if not rows:
        return "nothing is recorded yet"
    with (folder / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS.split(), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    scores = scores_of(rows)
    save_plot(scores, folder / "accuracy.png")
    return table(scores)


def scores_of(rows: Rows) -> Scores:
    """Top-1 of every seed, seeds in order; tasks as they were first trained, networks as they are drawn."""
    found: Scores = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda row: (list(COLOURS).index(row["network"]), row["seed"])):
        found[row["task"]][row["network"]].append(row["top1"])
    return {task: found[task] for task in sorted(found, key=difficulty)}


def difficulty(task: str) -> int:
    """Place of a task in table and picture: from local to global."""
    return ("texture", "layout", "xor", "matching").index(task.partition(",")[0])


def deviation(values: list[float]) -> float:
    """Sample standard deviation; not a number for one value."""
    return statistics.stdev(values) if len(values) > 1 else math.nan


def separation(one: list[float], other: list[float]) -> float:
    """Difference of the means over the pooled seed deviation; 0 where nothing differs at all."""
    difference = statistics.mean(one) - statistics.mean(other)
    pooled = math.sqrt((deviation(one) ** 2 + deviation(other) ** 2) / 2)
    if difference == 0:
        return 0.0
    return difference / pooled if pooled else math.copysign(math.inf, difference)


def table(scores: Scores) -> str:
    """A row for each task and network: mean, seed deviation, single seeds, separation from the C-only network."""
    lines = [
        "| task | network | mean | seed deviation | seeds | separation from c_only |",
        "|---|---|---|---|---|---|",
    ]
    for task, by_network in scores.items():
        for network, values in by_network.items():
            apart = math.nan
            if network != LOCAL and LOCAL in by_network:
                apart = separation(values, by_network[LOCAL])
            seeds = " ".join(f"{value:.3f}" for value in values)
            spread, apart_text = shown(deviation(values), ".4f"), shown(apart, "+.1f")
            lines.append(
                f"| {task} | {network} | {statistics.mean(values):.3f} | {spread} | {seeds} | {apart_text} |"
            )
    return "\n".join(lines)


def shown(value: float, form: str) -> str:
    """The number, or a dash where there is none."""
    return "-" if math.isnan(value) else format(value, form)


def save_plot(scores: Scores, path: Path) -> None:
    """Every seed a point, every mean a line, networks beside one another for each task."""
    figure = Figure(figsize=(7.6, 3.6), layout="constrained", dpi=160)
    axes = figure.subplots()
    for network in COLOURS:
        draw(axes, scores, network)
    axes.axhline(0.5, color="0.4", linewidth=0.8, linestyle="--")
    axes.set(ylim=(0.42, 1.03), ylabel="top-1 on validation images\n(dashed: chance)")
    axes.set_xticks(range(len(scores)), list(scores))
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=len(COLOURS), frameon=False, fontsize=8)
    figure.savefig(path)


def draw(axes: Axes, scores: Scores, network: str) -> None:
    """The seeds and means of one network on all tasks."""
    offset = (list(COLOURS).index(network) - (len(COLOURS) - 1) / 2) * 0.18
    drawn = [
        (place + offset, found[network]) for place, found in enumerate(scores.values()) if network in found
    ]
    if not drawn:
        return
    colour = COLOURS[network]
    at_each = [at for at, values in drawn for _ in values]
    every = [value for _, values in drawn for value in values]
    axes.scatter(at_each, every, s=26, color=colour, edgecolors="black", linewidths=0.4, label=network)
    for at, values in drawn:
        axes.hlines(statistics.mean(values), at - 0.07, at + 0.07, color=colour, linewidth=2)
