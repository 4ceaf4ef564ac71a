"""The frontier and the map as figures that the dashboard draws: Plotly's JSON, written as plain data."""

import html
import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from archsearch.formatting import amount
from archsearch.objectives import objective_of
from archsearch.plots.style import look_of
from archsearch.results.families import by_family, own_front
from archsearch.results.trials import trained_trials

Figure = dict[str, Any]

# How many choices stand on one line of a hover text.
CHOICES_A_LINE = 3
LAYOUT = {"template": "none", "margin": {"l": 70, "r": 20, "t": 50, "b": 60}, "height": 460}


def frontier_figure(
    trials: pd.DataFrame, frontier: pd.DataFrame, cost: str, choices: Mapping[int, Mapping[str, Any]]
) -> Figure:
    """Accuracy against cost, coloured by globality, a symbol a family, outlined on the Pareto front.

    Args:
        trials: ``results.trials.trials_frame``.
        frontier: ``results.frontier.frontier_frame`` of it.
        cost: the column on the horizontal axis.
        choices: what was chosen for each trial, by its number.
    """
    trained = trained_trials(trials)
    traces = [
        best_line(frontier, cost),
        *(family_points(name, members, cost, choices) for name, members in by_family(trained)),
    ]
    layout = {
        **LAYOUT,
        "title": heading("Pareto front"),
        "xaxis": cost_axis(numbers(trained[cost]), cost, grid=True),
        "yaxis": {"title": {"text": objective_of("top1").label}, "showgrid": True},
        "coloraxis": colours("globality", 0, 1, "Viridis"),
        "legend": {
            "orientation": "h",
            "y": -0.22,
            "title": {"text": "family (outlined: on the Pareto front)"},
        },
        "hovermode": "closest",
    }
    return {"data": traces, "layout": layout}


def best_line(frontier: pd.DataFrame, cost: str) -> Figure:
    """The best accuracy that each cost buys, as steps: of more than two objectives, of the Pareto front's own points."""
    best = own_front(frontier, cost)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "best at this cost",
        "x": numbers(best[cost]),
        "y": numbers(best["top1"]),
        "line": {"shape": "hv", "color": "#888888", "width": 1.5},
        "hoverinfo": "skip",
    }


def family_points(
    family: str, members: pd.DataFrame, cost: str, choices: Mapping[int, Mapping[str, Any]]
) -> Figure:
    """The trained candidates of one family."""
    edges = [1.8 if on else 0.0 for on in members["on_frontier"]]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": family,
        "x": numbers(members[cost]),
        "y": numbers(members["top1"]),
        "text": [hover(row, choices.get(int(row["number"]), {})) for _, row in members.iterrows()],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "symbol": look_of(family).symbol,
            "size": 11,
            "color": numbers(members["globality"]),
            "coloraxis": "coloraxis",
            "line": {"width": edges, "color": "#000000"},
        },
    }


def hover(row: "pd.Series[Any]", chosen: Mapping[str, Any]) -> str:
    """The hover text of a point: identity, figures, then what was chosen, a few to a line."""
    name = "" if pd.isna(row["reference"]) else f" {row['reference']}"
    latency = "" if pd.isna(row["latency_ms"]) else f", {row['latency_ms']:.3f} ms"
    lines = [
        f"<b>trial {row['number']}</b>{html.escape(name)} {row['architecture']}",
        f"{row['layout']}, {row['family']}, globality {row['globality']:.3f}",
        f"top1 {row['top1']:.4f}, {amount(row['macs'])} MACs, {amount(row['params'])} parameters{latency}",
    ]
    words = [html.escape(f"{key} {value}") for key, value in chosen.items()]
    rest = [", ".join(words[at : at + CHOICES_A_LINE]) for at in range(0, len(words), CHOICES_A_LINE)]
    return "<br>".join([*lines, *rest])


def map_figure(cells: pd.DataFrame, cost: str) -> Figure:
    """Best accuracy in each cell of globality x cost: ``results.map.map_frame`` as a heat map."""
    across, up = edges(cells, "cost"), edges(cells, "globality")
    layout = {
        **LAYOUT,
        "title": heading("Map: best accuracy (trained candidates)"),
        "xaxis": cost_axis(across, cost, grid=False),
        "yaxis": {"title": {"text": "globality (0 local, 1 global)"}, "range": [0, 1], "showgrid": False},
        "coloraxis": colours("top-1", None, None, "Cividis"),
        "annotations": list(counts(cells)),
    }
    trace = {
        "type": "heatmap",
        "x": across,
        "y": up,
        "z": fill_grid(cells, across, up, lambda row: float(row["top1"])),
        "text": fill_grid(cells, across, up, cell_text),
        "hovertemplate": "%{text}<extra></extra>",
        "hoverongaps": False,
        "coloraxis": "coloraxis",
    }
    return {"data": [trace], "layout": layout}


def edges(cells: pd.DataFrame, axis: str) -> list[float]:
    """Where cells begin and end along an axis, each border once."""
    found = sorted({float(value) for end in ("low", "high") for value in cells[f"{axis}_{end}"]})
    # Where all cost the same, the one cell has no width: it is given some.
    return found if len(found) > 1 else [found[0] * 0.9, found[0] * 1.1]


def fill_grid(cells: pd.DataFrame, across: list[float], up: list[float], content: Any) -> list[list[Any]]:
    """Row by row from the lowest globality: the content of each cell, None where no candidate was trained."""
    grid: list[list[Any]] = [[None] * (len(across) - 1) for _ in up[1:]]
    for _, cell in cells.iterrows():
        row, column = bisect_right(up, cell["globality_low"]) - 1, bisect_right(across, cell["cost_low"]) - 1
        grid[row][column] = content(cell)
    return grid


def cell_text(row: "pd.Series[Any]") -> str:
    """The hover text of a cell."""
    interval = "" if pd.isna(row["top1_low"]) else f" ({row['top1_low']:.4f} to {row['top1_high']:.4f})"
    return "<br>".join(
        [
            f"<b>top1 {row['top1']:.4f}</b>{interval}",
            f"trial {row['number']} {row['architecture']}: {row['layout']}, {row['family']}",
            f"globality {row['globality']:.3f}, cost {amount(row['cost'])}",
            f"best of {row['trials']} trained",
        ]
    )


def counts(cells: pd.DataFrame) -> Iterator[Figure]:
    """How many candidates were trained in each cell, written into it; places on a log axis are exponents."""
    for _, row in cells.iterrows():
        x = (math.log10(row["cost_low"]) + math.log10(row["cost_high"])) / 2
        y = (float(row["globality_low"]) + float(row["globality_high"])) / 2
        words = f"{row['top1']:.3f}<br>({row['trials']})"
        font = {"size": 10, "color": "#ffffff"}
        yield {"x": x, "y": y, "text": words, "showarrow": False, "font": font, "bgcolor": "rgba(0,0,0,0.35)"}


def cost_axis(costs: Iterable[float], cost: str, *, grid: bool) -> Figure:
    """A log axis with its unit, named at 1, 2 and 5 of every power of ten around ``costs``."""
    powers = [math.floor(math.log10(value)) for value in costs]
    ticks = [step * 10.0**power for power in range(min(powers), max(powers) + 2) for step in (1, 2, 5)]
    return {
        "title": {"text": objective_of(cost).label},
        "type": "log",
        "tickvals": ticks,
        "ticktext": [amount(tick) for tick in ticks],
        "showgrid": grid,
    }


def heading(text: str) -> Figure:
    """A title at the left: the page has its buttons at the right."""
    return {"text": text, "x": 0.01, "xanchor": "left"}


def colours(title: str, low: float | None, high: float | None, scale: str) -> Figure:
    """A colour bar that colour-blind readers can use, and that survives grey print."""
    ends = {} if low is None else {"cmin": low, "cmax": high}
    return {"colorscale": scale, "colorbar": {"title": {"text": title}}, **ends}


def numbers(column: "pd.Series[Any]") -> list[float]:
    """A column of known values as JSON has it."""
    return [float(value) for value in column]


def as_graph(name: str, figure: Figure) -> dict[str, str]:
    """A figure as the dashboard lists it; ``name`` is a valid HTML id."""
    return {"id": name, "graph_object": json.dumps(figure, allow_nan=False)}
