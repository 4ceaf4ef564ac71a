"""What a report is made of: sections with words, figures, tables and drawings; and how values are written."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
from matplotlib.figure import Figure

from archsearch.objectives import objective_of
from archsearch.stats.intervals import CONFIDENCE

NONE = "\N{EN DASH}"
NOTHING = "no trial has been trained to its end yet"
INTERVAL = f"{100 * CONFIDENCE:.0f} % interval"
Row = Mapping[Any, Any]
Format = Callable[[Any], str]


@dataclass(frozen=True)
class Heading:
    """What stands over a column: its name, its unit if it has one, and whether it holds numbers."""

    head: str
    unit: str = ""
    number: bool = True


@dataclass(frozen=True)
class TableBlock:
    """Rows of text under ``columns``; ``trials`` are the numbers of the trials that the rows are about."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[Heading, ...]
    rows: tuple[tuple[str, ...], ...]
    trials: tuple[int | None, ...]

    def numbered(self) -> Iterator[tuple[int | None, tuple[str, ...]]]:
        """The rows with their trials."""
        yield from zip(self.trials, self.rows, strict=True)


@dataclass(frozen=True)
class FigureBlock:
    """A figure: the name of its files, its title, and what to read off it."""

    kind: ClassVar[str] = "picture"
    name: str
    title: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Absent:
    """What a report could have had here, and why it has not."""

    kind: ClassVar[str] = "absent"
    title: str
    reason: str


@dataclass(frozen=True)
class Facts:
    """Names and what they are."""

    kind: ClassVar[str] = "facts"
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Winner:
    """A winning architecture: its drawing as SVG, its parts, and the command that takes it away."""

    kind: ClassVar[str] = "winner"
    title: str
    trial: int
    text: str
    svg: str
    parts: TableBlock
    command: str


@dataclass(frozen=True)
class Check:
    """A health check: ``ok``, ``warn`` or ``unknown``."""

    kind: ClassVar[str] = "check"
    name: str
    status: str
    text: str


Block = TableBlock | FigureBlock | Absent | Facts | Winner | Check


@dataclass(frozen=True)
class Section:
    """A section: its anchor, its title, sentences to begin with, and what follows."""

    anchor: str
    title: str
    sentences: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Column:
    """A column of a table that is made of a frame, and how a row of the frame is written in it."""

    heading: Heading
    write: Callable[[Row], str]


def column_of(name: str, head: str, write: Format, unit: str = "", *, number: bool = True) -> Column:
    """The column ``name`` of a frame under ``head``."""
    return Column(Heading(head, unit, number), lambda row: NONE if pd.isna(row[name]) else write(row[name]))


def identity_columns() -> tuple[Column, ...]:
    """Which trial a row is about: its number, layout and family."""
    words = (column_of(name, name, as_word, number=False) for name in ("layout", "family"))
    return (column_of("number", "trial", as_word), *words)


def interval_column(name: str, head: str, write: Format, unit: str = "") -> Column:
    """``name_low`` to ``name_high``, as one column."""

    def text(row: Row) -> str:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        return NONE if pd.isna(low) or pd.isna(high) else f"{write(low)} to {write(high)}"

    return Column(Heading(head, unit), text)


def cost_column(name: str, cost: str, head: str | None = None) -> Column:
    """The column ``name``, which holds amounts of ``cost``; counts say what they are in their head."""
    objective = objective_of(cost)
    return column_of(
        name, head or objective.short, objective.write, "" if objective.counted else objective.unit
    )


def make_table(frame: pd.DataFrame, caption: str, columns: Iterable[Column]) -> TableBlock:
    """``frame`` as ``columns`` write it; rows with a ``number`` are about that trial."""
    chosen = tuple(columns)
    rows = frame.to_dict(orient="records")
    numbers = [row.get("number") for row in rows]
    return TableBlock(
        caption,
        tuple(each.heading for each in chosen),
        tuple(tuple(each.write(row) for each in chosen) for row in rows),
        tuple(None if pd.isna(number) else int(number) for number in numbers),
    )


def as_word(value: Any) -> str:
    """A word, or a whole number."""
    return str(value)


def as_share(value: Any) -> str:
    """A share in per cent, without the sign: its column has it."""
    return f"{100 * float(value):.1f}"


def as_top1(value: Any) -> str:
    """An accuracy in [0, 1], or a spread of it."""
    return f"{float(value):.3f}"


def as_difference(value: Any) -> str:
    """A difference of accuracies, with its sign."""
    return f"{float(value):+.3f}"


def as_short(value: Any) -> str:
    """Three figures."""
    return f"{float(value):.3g}"


def as_unit_share(value: Any) -> str:
    """A number in [0, 1]."""
    return f"{float(value):.2f}"


def as_count(value: Any) -> str:
    """A whole number with its thousands apart."""
    return f"{int(value):,}"
