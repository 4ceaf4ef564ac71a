"""Tables for the terminal."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from archsearch.formatting import amount
from archsearch.objectives import objective_of
from archsearch.results import Run
from archsearch.results.health import health_lines

FRONT_COLUMNS = (
    "architecture",
    "trial",
    "layout",
    "family",
    "top1",
    "test",
    "latency ms",
    "MACs",
    "params",
    "globality",
)
TOLD = ("top1", "latency_ms", "macs", "params")


def grid(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table: its first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def frontier_table(run: Run) -> Table:
    """The Pareto front, cheapest first; a cost that was an objective has a column."""
    others = [name for name in run.objectives if name not in TOLD]
    heads = [f"{objective.short} {objective.unit}".rstrip() for objective in map(objective_of, others)]
    columns = [*FRONT_COLUMNS, *heads]
    rows = [frontier_row(row, others) for _, row in run.frontier.iterrows()]
    return grid("Pareto front (top1 on validation; the search saw no test images)", columns, rows)


def finalists_table(run: Run) -> Table:
    """The finalists, the best on test images first, with the spread over seeds."""
    columns = ["architecture", "layout", "family", "seeds", "test", "+-", "val", "+-", "latency ms", "range"]
    rows = [finalist_row(row) for _, row in run.finalists.iterrows()]
    return grid("Finalists, retrained (+- one standard deviation over seeds)", columns, rows)


def finalist_row(row: "pd.Series[Any]") -> list[str]:
    """One finalist."""
    low, high = (number(row[f"latency_{end}_ms"], ".3f") for end in ("low", "high"))
    tie = " tie" if row["latency_tie"] is True else ""
    return [
        str(row["architecture"]),
        str(row["layout"]),
        str(row["family"]),
        str(row["seeds"]),
        *(number(row[name], ".4f") for name in ("test_top1_mean", "test_top1_sd")),
        *(number(row[name], ".4f") for name in ("val_top1_mean", "val_top1_sd")),
        number(row["latency_ms"], ".3f"),
        "-" if low == "-" else f"{low} to {high}{tie}",
    ]


def show_answer(screen: Console, run: Run) -> None:
    """Where to be local and where global, in sentences, and what could be wrong with it."""
    screen.print("")
    for line in (*run.answer, *health_lines(run.health)):
        screen.print(line, markup=False, soft_wrap=True)
    screen.print("")


def outcomes(run: Run) -> str:
    """How many trials came to what: ``28 trained, 5 infeasible``."""
    counts = run.trials["outcome"].value_counts()
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items())


def frontier_row(row: "pd.Series[Any]", others: Sequence[str]) -> list[str]:
    """One point of the Pareto front, with ``others`` of its objectives."""
    return [
        str(row["architecture"] if pd.isna(row["reference"]) else row["reference"]),
        str(row["number"]),
        str(row["layout"]),
        str(row["family"]),
        number(row["top1"], ".4f"),
        number(row["test_top1"], ".4f"),
        number(row["latency_ms"], ".3f"),
        amount(row["macs"]),
        amount(row["params"]),
        number(row["globality"], ".3f"),
        *("-" if pd.isna(row[name]) else objective_of(name).write(row[name]) for name in others),
    ]


def number(value: Any, form: str) -> str:
    """A number in a form, or a dash for none."""
    return "-" if pd.isna(value) else format(value, form)


class Screen(Console):
    """Standard output; when the reader of the pipe goes away, the command leaves as the shell expects."""

    def on_broken_pipe(self) -> None:
        """Say no more, and leave; a run marks its trial on the way."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141)


def console() -> Console:
    """Standard output, wide enough for a table when it is no terminal."""
    out = Screen(highlight=False)
    return out if out.is_terminal else Screen(highlight=False, width=140)
