"""The terminal: its screen, and every table that the commands print."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from archsearch.formatting import amount, duration
from archsearch.objectives import objective_of
from archsearch.results import Run
from archsearch.results.answer import explain_codes
from archsearch.results.compare import Comparison, comparison_lines
from archsearch.results.health import health_lines
from archsearch.results.proxies import proxy_lines
from archsearch.results.trials import trained_trials

# A heading, and the text of a row under it.
Column = tuple[str, Callable[[Any], str]]


class Screen(Console):
    """Standard output; when the reader of the pipe goes away, the command leaves as the shell expects."""

    def write_line(self, line: str = "") -> None:
        """A line as it is: neither wrapped nor read for markup."""
        self.print(line, markup=False, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Print no more, and leave; a run marks its trial on the way."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141)


def console() -> Screen:
    """Standard output, wide enough for a table when it is no terminal."""
    out = Screen(highlight=False)
    return out if out.is_terminal else Screen(highlight=False, width=140)


def grid(title: str, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """A table: its first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def frame_table(title: str, columns: Sequence[Column], frame: pd.DataFrame) -> Table:
    """A table of a frame, row by row."""
    rows = [[write(row) for _, write in columns] for _, row in frame.iterrows()]
    return grid(title, [heading for heading, _ in columns], rows)


def cell(name: str, write: Callable[[Any], str] = str) -> Callable[[Any], str]:
    """Writes what a row has under ``name``; a dash where it has nothing."""
    return lambda row: "-" if pd.isna(row[name]) else write(row[name])


def interval(low: str, high: str, form: str = "") -> Callable[[Any], str]:
    """Writes the two ends of a range; a dash where one is missing."""
    return lambda row: "-" if row[[low, high]].isna().any() else f"{row[low]:{form}} to {row[high]:{form}}"


TWO_DIGITS = "{:.2f}".format
THREE_DIGITS = "{:.3f}".format
FOUR_DIGITS = "{:.4f}".format


def name_of(row: "pd.Series[Any]") -> str:
    """The id of a trial's architecture, or the name of the published network that it is."""
    return str(row["architecture"] if pd.isna(row["reference"]) else row["reference"])


FRONTIER: tuple[Column, ...] = (
    ("architecture", name_of),
    ("trial", cell("number")),
    ("layout", cell("layout")),
    ("family", cell("family")),
    ("top1", cell("top1", FOUR_DIGITS)),
    ("test", cell("test_top1", FOUR_DIGITS)),
    ("latency ms", cell("latency_ms", THREE_DIGITS)),
    ("MACs", cell("macs", amount)),
    ("params", cell("params", amount)),
    ("globality", cell("globality", THREE_DIGITS)),
)
IN_FRONTIER = ("top1", "latency_ms", "macs", "params")


def frontier_table(run: Run) -> Table:
    """The Pareto front, cheapest first; a cost that was an objective has a column."""
    others = [objective_of(name) for name in run.objectives if name not in IN_FRONTIER]
    costs = [(f"{other.short} {other.unit}".rstrip(), cell(other.name, other.write)) for other in others]
    title = "Pareto front (top1 on validation; the search saw no test images)"
    return frame_table(title, [*FRONTIER, *costs], run.frontier)


def latency_range(row: "pd.Series[Any]") -> str:
    """The latencies of a finalist, and whether they tie with a neighbour's."""
    tie = " tie" if row["latency_tie"] is True else ""
    text = interval("latency_low_ms", "latency_high_ms", ".3f")(row)
    return text if text == "-" else text + tie


FINALISTS: tuple[Column, ...] = (
    ("architecture", cell("architecture")),
    ("layout", cell("layout")),
    ("family", cell("family")),
    ("seeds", cell("seeds")),
    ("test", cell("test_top1_mean", FOUR_DIGITS)),
    ("+-", cell("test_top1_sd", FOUR_DIGITS)),
    ("val", cell("val_top1_mean", FOUR_DIGITS)),
    ("+-", cell("val_top1_sd", FOUR_DIGITS)),
    ("latency ms", cell("latency_ms", THREE_DIGITS)),
    ("range", latency_range),
)
# Of each run in a comparison: where it ended, and what it needed to get as far as each other.
FINAL: tuple[Column, ...] = (
    ("run", cell("run")),
    ("trained", cell("trained")),
    ("front", cell("front")),
    ("samples", cell("samples", amount)),
    ("time", cell("seconds", duration)),
    ("hypervolume", cell("hypervolume", THREE_DIGITS)),
    ("IGD+", cell("igd_plus", THREE_DIGITS)),
    ("attained", cell("attained", TWO_DIGITS)),
)
REACHED: tuple[Column, ...] = (
    ("run", cell("run")),
    ("other", cell("other")),
    ("hypervolume", cell("hypervolume", THREE_DIGITS)),
    ("trials", cell("trials", "{:d}".format)),
    ("samples", cell("samples", amount)),
    ("ratio", cell("samples_ratio", TWO_DIGITS)),
    ("time", cell("seconds", duration)),
    ("ratio", cell("seconds_ratio", TWO_DIGITS)),
)


def show_comparison(screen: Screen, comparison: Comparison) -> None:
    """Print each run at its end, what each needed for the others' final hypervolume, and both in sentences."""
    title = f"Runs by {', '.join(comparison.objectives)} (all within the union of their candidates)"
    screen.print(frame_table(title, FINAL, comparison.final), "", sep="\n")
    title = "Needed for the other's final hypervolume (ratio to what the other needed)"
    screen.print(frame_table(title, REACHED, comparison.reached), "", sep="\n")
    for line in comparison_lines(comparison):
        screen.write_line(line)


STAGE: tuple[Column, ...] = (
    ("stage", lambda row: f"{row['place']} {row['kind_from']}"),
    ("as", cell("kind_to")),
    ("layout", lambda row: "refused" if pd.isna(row["architecture_to"]) else str(row["layout_to"])),
)
VARIANT: tuple[Column, ...] = (
    ("ratio", cell("cost_ratio", THREE_DIGITS)),
    ("channels", interval("channels_from", "channels_to")),
    ("globality", cell("globality_to", THREE_DIGITS)),
)
ACCURACY: tuple[Column, ...] = (
    ("seeds", cell("seeds")),
    ("was", cell("top1_from", FOUR_DIGITS)),
    ("top1", cell("top1_to", FOUR_DIGITS)),
    ("difference", cell("difference", "{:+.4f}".format)),
    ("95 %", interval("difference_low", "difference_high", "+.4f")),
)


def plan_table(swaps: pd.DataFrame, before: str) -> Table:
    """The swaps of one trial before any training; ``before`` says what the network is without them."""
    unit = unit_of(swaps)
    title = f"One stage of another kind at equal {unit} (as it was: {before})"
    return frame_table(title, [*STAGE, (unit, cell("cost_to", amount)), *VARIANT], swaps)


def swaps_table(swaps: pd.DataFrame) -> Table:
    """The swaps of one trial, with their results."""
    title = (
        f"One stage of another kind at equal {unit_of(swaps)} (difference of top1 on validation, same seeds)"
    )
    return frame_table(title, [*STAGE, *VARIANT, *ACCURACY], swaps)


def unit_of(swaps: pd.DataFrame) -> str:
    """The unit of the cost that the swaps keep."""
    return objective_of(str(swaps["cost_name"].iloc[0])).unit


def show_results(screen: Screen, run: Run, report: Path) -> None:
    """Print the Pareto front, the finalists, where to be local and where global, and where the files are."""
    if len(trained_trials(run.trials)):
        screen.write_line(explain_codes(run))
    screen.print(frontier_table(run))
    if len(run.finalists):
        title = "Finalists, retrained (+- one standard deviation over seeds)"
        screen.print("", frame_table(title, FINALISTS, run.finalists), sep="\n")
    screen.write_line()
    for line in proxy_lines(run.proxies):
        screen.write_line(line)
    screen.write_line()
    for line in (*run.answer, *health_lines(run.health)):
        screen.write_line(line)
    outcomes = ", ".join(
        f"{count} {outcome}" for outcome, count in run.trials["outcome"].value_counts().items()
    )
    screen.write_line(f"\n{outcomes}; {duration(float(run.trials['seconds'].sum()))} in trials")
    screen.write_line(f"tables, picture and winners: {run.folder}")
    screen.write_line(f"report: {report}")
