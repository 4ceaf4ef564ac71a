"""What a report is made of: sections with words, figures, tables and drawings; and how values are written."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
from matplotlib.figure import Figure

NONE = "\N{EN DASH}"
Row = Mapping[Any, Any]
Format = Callable[[Any], str]


@dataclass(frozen=True)
class Column:
    """A column of a table: its head, its unit if it has one, and whether it holds numbers."""

    head: str
    unit: str = ""
    number: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of text under ``columns``; ``trials`` are the numbers of the trials that the rows are about."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    trials: tuple[int | None, ...]

    def numbered(self) -> Iterator[tuple[int | None, tuple[str, ...]]]:
        """The rows with their trials."""
        yield from zip(self.trials, self.rows, strict=True)


@dataclass(frozen=True)
class Picture:
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
    parts: Table
    command: str


@dataclass(frozen=True)
class Check:
    """A health check: ``ok``, ``warn`` or ``unknown``."""

    kind: ClassVar[str] = "check"
    name: str
    status: str
    text: str


Block = Table | Picture | Absent | Facts | Winner | Check


@dataclass(frozen=True)
class Section:
    """A section: its anchor, its title, sentences to begin with, and what follows."""

    anchor: str
    title: str
    sentences: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Shown:
    """How a table shows one column of a frame."""

    column: Column
    write: Callable[[Row], str]


def shown(name: str, head: str, write: Format, unit: str = "", *, number: bool = True) -> Shown:
    """The column ``name`` under ``head``."""
    return Shown(Column(head, unit, number), lambda row: NONE if pd.isna(row[name]) else write(row[name]))


def between(name: str, head: str, write: Format, unit: str = "") -> Shown:
    """``name_low`` to ``name_high``, as one column."""

    def text(row: Row) -> str:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        return NONE if pd.isna(low) or pd.isna(high) else f"{write(low)} to {write(high)}"

    return Shown(Column(head, unit), text)


def table(frame: pd.DataFrame, caption: str, columns: Iterable[Shown]) -> Table:
    """``frame`` as ``columns`` show it; rows with a ``number`` are about that trial."""
    chosen = tuple(columns)
    rows = frame.to_dict(orient="records")
    numbers = [row.get("number") for row in rows]
    return Table(
        caption,
        tuple(each.column for each in chosen),
        tuple(tuple(each.write(row) for each in chosen) for row in rows),
        tuple(None if pd.isna(number) else int(number) for number in numbers),
    )


def word(value: Any) -> str:
    """A word, or a whole number."""
    return str(value)


def share(value: Any) -> str:
    """A share in per cent, without the sign: its column has it."""
    return f"{100 * float(value):.1f}"


def top1(value: Any) -> str:
    """An accuracy in [0, 1], or a spread of it."""
    return f"{float(value):.3f}"


def difference(value: Any) -> str:
    """A difference of accuracies, with its sign."""
    return f"{float(value):+.3f}"


def short(value: Any) -> str:
    """Three figures."""
    return f"{float(value):.3g}"


def unit_share(value: Any) -> str:
    """A number in [0, 1]."""
    return f"{float(value):.2f}"


def count(value: Any) -> str:
    """A whole number with its thousands apart."""
    return f"{int(value):,}"


def listed(words: Iterable[str]) -> str:
    """``a, b and c``."""
    *first, last = list(words) or ["none"]
    return f"{', '.join(first)} and {last}" if first else last
