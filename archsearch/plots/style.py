"""The look that all figures share: sizes, colours, markers, and marks that know their trials."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archsearch.plots.frontier import marks

P = ParamSpec("P")

WIDE = 9.0
# Keys are names of matplotlib, which its types know one by one.
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
# Okabe and Ito's colours, told apart by the colour-blind; from local to global.
COLOURS = {"all-local": "#0072b2", "mixed": "#8a8a8a", "all-global": "#d55e00"}
GLOBAL_FROM = ("#cc79a7", "#e69f00", "#009e73", "#56b4e9", "#b8a000", "#7a5195")
INK, FAINT, ACCENT = "#2b3a4a", "#c9ced4", "#c2255c"


def looked(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """``draw``, in the shared look."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(RC):
            return draw(*args, **kwargs)

    return drawn


def blank(height: float, width: float = WIDE) -> Figure:
    """An empty figure of ``width`` x ``height`` inches."""
    return Figure(figsize=(width, height), layout="constrained", dpi=160)


def colour(family: str) -> str:
    """One colour for each family, the same in every figure."""
    if family in COLOURS:
        return COLOURS[family]
    last = family.rpartition("-")[2]
    return GLOBAL_FROM[int(last) % len(GLOBAL_FROM)] if last.isdigit() else INK


def scatter(axes: Axes, frame: pd.DataFrame, x: str, y: str, **style: Any) -> None:
    """One mark for each row that has both values, which knows the row's trial (``number``)."""
    known = frame[frame[x].notna() & frame[y].notna()]
    axes.scatter(known[x].astype(float), known[y].astype(float), gid=marks(known["number"]), **style)


def intervals(axes: Axes, frame: pd.DataFrame, y: Iterable[float], name: str, **style: Any) -> None:
    """Horizontal lines from ``name_low`` to ``name_high``; none where they are not known."""
    low, high = (frame[f"{name}_{end}"].astype("Float64") for end in ("low", "high"))
    for place, left, right in zip(y, low, high, strict=True):
        if pd.notna(left) and pd.notna(right):
            axes.plot([left, right], [place, place], solid_capstyle="round", **style)
