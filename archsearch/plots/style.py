"""The look that all figures share: sizes, colours, one table of how a family looks, and marks that know their trials."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archsearch.families import ALL_GLOBAL, ALL_LOCAL, GLOBAL_FROM, MIXED
from archsearch.files import replacing

WIDE = 9.0
# The settings of ``mpl.rc_context``, which is also the decorator of every function that draws. Matplotlib's types list these names one by one.
RC: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": "0.2",
    "axes.edgecolor": "0.55",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "text.color": "0.15",
    "xtick.color": "0.35",
    "ytick.color": "0.35",
    "legend.frameon": False,
    "legend.fontsize": 8,
    # A name is a name: a dollar sign in it starts no formula.
    "text.parse_math": False,
    # Text stays text: it can be searched, and a figure stays small.
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class FamilyLook:
    """How a family looks in every picture: its colour, its marker in matplotlib, and its symbol in Plotly."""

    colour: str
    marker: str
    symbol: str


# Okabe and Ito's colours, which the colour-blind tell apart.
FAMILIES = {
    ALL_LOCAL: FamilyLook("#0072b2", "s", "square"),
    MIXED: FamilyLook("#8a8a8a", "X", "x"),
    ALL_GLOBAL: FamilyLook("#d55e00", "o", "circle"),
}
# Those that are global from a stage on, by that stage.
FROM_STAGE = (
    FamilyLook("#cc79a7", "^", "triangle-up"),
    FamilyLook("#e69f00", "v", "triangle-down"),
    FamilyLook("#009e73", "<", "diamond"),
    FamilyLook("#56b4e9", ">", "cross"),
    FamilyLook("#b8a000", "P", "pentagon"),
    FamilyLook("#7a5195", "D", "hexagon"),
    FamilyLook("#8c564b", "p", "star"),
    FamilyLook("#17becf", "h", "hourglass"),
)
# The id of an artist that draws one mark per trial: this, then the numbers of the trials. ``report.svg`` reads it.
MARKS = "trials:"
INK, FAINT, ACCENT = "#2b3a4a", "#c9ced4", "#c2255c"


def blank_figure(height: float, width: float = WIDE) -> Figure:
    """An empty figure of ``width`` x ``height`` inches."""
    return Figure(figsize=(width, height), layout="constrained", dpi=160)


def blank_axes(height: float, width: float = WIDE) -> tuple[Figure, Axes]:
    """The same with one pair of axes, which fills it."""
    figure = blank_figure(height, width)
    return figure, figure.subplots()


def look_of(family: str) -> FamilyLook:
    """How a family looks, the same in every picture."""
    if family in FAMILIES:
        return FAMILIES[family]
    return FROM_STAGE[int(family.removeprefix(GLOBAL_FROM)) % len(FROM_STAGE)]


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure to ``path``, replaced whole; its ending decides the format (png, svg, pdf)."""
    with mpl.rc_context(RC), replacing(path) as beside:
        figure.savefig(beside)


def marks(numbers: Iterable[int]) -> str:
    """The id of an artist that has one mark for each of these trials, in this order; see ``report.svg``."""
    return MARKS + ",".join(str(int(number)) for number in numbers)


def known_marks(frame: pd.DataFrame, x: str, y: str) -> dict[str, Any]:
    """Arguments of ``Axes.scatter``: a mark for each row that has both values, which knows the row's trial (``number``)."""
    known = frame[frame[x].notna() & frame[y].notna()]
    return {"x": known[x].astype(float), "y": known[y].astype(float), "gid": marks(known["number"])}


def draw_intervals(
    axes: Axes, frame: pd.DataFrame, y: Iterable[float], name: str, colours: str | list[str], alpha: float
) -> None:
    """Horizontal lines from ``name_low`` to ``name_high``, one at each of ``y``; none where they are not known."""
    low, high = (frame[f"{name}_{end}"].astype(float) for end in ("low", "high"))
    lines = axes.hlines(list(y), low, high, colors=colours, lw=3, alpha=alpha)
    lines.set_capstyle("round")
