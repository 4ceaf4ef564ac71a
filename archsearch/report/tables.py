"""How a frame becomes a table of a report: its columns, and how their values are written."""

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from archsearch.objectives import objective_of
from archsearch.report.blocks import Column, Row, TableBlock

NONE = "\N{EN DASH}"
Format = Callable[[Any], str]

# How the values of a column are written. Shares have their per cent sign in the head of the column.
as_word: Format = str
as_count: Format = "{:,.0f}".format
as_top1: Format = "{:.3f}".format
as_difference: Format = "{:+.3f}".format
as_unit_share: Format = "{:.2f}".format
as_short: Format = "{:.3g}".format


def as_share(value: float) -> str:
    """A share in per cent, without the sign."""
    return f"{100 * float(value):.1f}"


def column_of(name: str, head: str, write: Format, unit: str = "", *, number: bool = True) -> Column:
    """The column ``name`` of a frame under ``head``."""
    return Column(head, lambda row: NONE if pd.isna(row[name]) else write(row[name]), unit, number)


def identity_columns() -> tuple[Column, ...]:
    """Which trial a row is about: its number, layout and family."""
    words = (column_of(name, name, as_word, number=False) for name in ("layout", "family"))
    return (column_of("number", "trial", as_word), *words)


def interval_column(name: str, head: str, write: Format, unit: str = "") -> Column:
    """``name_low`` to ``name_high``, as one column."""

    def text(row: Row) -> str:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        return NONE if pd.isna(low) or pd.isna(high) else f"{write(low)} to {write(high)}"

    return Column(head, text, unit)


def cost_column(name: str, cost: str, head: str | None = None) -> Column:
    """The column ``name``, which holds amounts of ``cost``; the head of a count says what is counted."""
    objective = objective_of(cost)
    unit = "" if objective.counted else objective.unit
    return column_of(name, head or objective.short, objective.write, unit)


def make_table(frame: pd.DataFrame, caption: str, columns: Iterable[Column]) -> TableBlock:
    """``frame`` as ``columns`` write it; a row with a ``number`` is about that trial."""
    columns = tuple(columns)
    rows = tuple(
        (
            None if pd.isna(number := row.get("number")) else int(number),
            tuple(column.write(row) for column in columns),
        )
        for row in frame.to_dict(orient="records")
    )
    return TableBlock(caption, columns, rows)
