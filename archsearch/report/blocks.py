"""What a report is made of: sections with sentences, figures, tables and drawings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from matplotlib.figure import Figure

from archsearch.stats.intervals import CONFIDENCE

NOTHING = "no trial has been trained to its end yet"
INTERVAL = f"{100 * CONFIDENCE:.0f} % interval"
Row = Mapping[Any, Any]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        head: what stands over it.
        write: its cell, of a row of the frame that the table is made of.
        unit: of its numbers, if they have one.
        number: whether it holds numbers.
    """

    head: str
    write: Callable[[Row], str]
    unit: str = ""
    number: bool = True


@dataclass(frozen=True)
class TableBlock:
    """Rows of text under ``columns``, each with the number of the trial that it is about."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[int | None, tuple[str, ...]], ...]


@dataclass(frozen=True)
class FigureBlock:
    """A figure: the name of its files, its title, and how to read it."""

    kind: ClassVar[str] = "picture"
    name: str
    title: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Absent:
    """Why something is missing from a report; ``title`` says what, if it is not the whole section."""

    kind: ClassVar[str] = "absent"
    reason: str
    title: str = ""


@dataclass(frozen=True)
class Facts:
    """Names and what they are."""

    kind: ClassVar[str] = "facts"
    texts: Mapping[str, str]


@dataclass(frozen=True)
class Winner:
    """A network of the Pareto front: its drawing as SVG, its parts, and the command that exports it."""

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
# A sentence, or what is not a sentence.
Content = str | Block


@dataclass(frozen=True)
class Section:
    """A section of the page, which ``#anchor`` refers to."""

    anchor: str
    title: str
    content: tuple[Content, ...]
