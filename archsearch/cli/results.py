"""``archsearch results``."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from archsearch.api import write_all
from archsearch.cli.report import save_report
from archsearch.cli.tables import (
    console,
    finalists_table,
    frontier_table,
    grid,
    number,
    outcomes,
    show_answer,
)
from archsearch.errors import InputError, Problem
from archsearch.files import disk_faults
from archsearch.formatting import amount, duration
from archsearch.plots.comparison import comparison_figure
from archsearch.plots.style import save_figure
from archsearch.results import compare, load_run
from archsearch.results.answer import explain_codes
from archsearch.results.compare import Comparison, comparison_lines
from archsearch.results.proxies import proxy_lines
from archsearch.results.trials import trained_trials


def results_command(folder: Path, *, as_json: bool) -> None:
    """Derive the result files anew and print the Pareto front."""
    run = write_all(folder)
    report = save_report(run)
    screen = console()
    if as_json:
        screen.print_json(run.frontier.to_json(orient="records", date_format="iso"))
        return
    if len(trained_trials(run.trials)):
        screen.print(explain_codes(run), markup=False, soft_wrap=True)
    screen.print(frontier_table(run))
    if len(run.finalists):
        screen.print(finalists_table(run))
    screen.print("")
    for line in proxy_lines(run.proxies):
        screen.print(line)
    show_answer(screen, run)
    screen.print(f"{outcomes(run)}; tables, picture and winners: {run.folder}")
    screen.print(f"report: {report}", markup=False, soft_wrap=True)


def against_command(folder: Path, others: Sequence[Path], *, as_json: bool) -> None:
    """Compare the run in ``folder`` with others, draw them into ``against.png`` there, and print what came out."""
    folders = [folder, *others]
    names = run_names(folders)
    runs = {name: load_run(path) for name, path in zip(names, folders, strict=True)}
    with disk_faults(folder):
        comparison = compare(runs)
        save_figure(comparison_figure(comparison), folder / "against.png")
    screen = console()
    if as_json:
        frames = ("final", "reached", "curves", "candidates")
        tables = {
            name: json.loads(getattr(comparison, name).to_json(orient="records", double_precision=15))
            for name in frames
        }
        screen.print_json(data={"objectives": comparison.objectives, **tables})
        return
    screen.print(final_table(comparison))
    screen.print("")
    screen.print(reached_table(comparison))
    screen.print("")
    for line in comparison_lines(comparison):
        screen.print(line, markup=False, soft_wrap=True)
    screen.print(f"picture: {folder / 'against.png'}", markup=False, soft_wrap=True)


def run_names(folders: Sequence[Path]) -> list[str]:
    """What the runs are called: their folders' names if these differ, else the paths as they were written.

    Raises:
        InputError: a folder is given twice.
    """
    places = Counter(path.resolve() for path in folders)
    twice = [path for path in folders[1:] if places[path.resolve()] > 1]
    if twice:
        problem = Problem("--against", f"{twice[-1]} is given twice", "name each run once")
        raise InputError("archsearch results", [problem])
    short = [path.resolve().name for path in folders]
    return short if len(set(short)) == len(short) else [str(path) for path in folders]


def final_table(comparison: Comparison) -> Table:
    """Each run at its end."""
    columns = ["run", "trained", "front", "samples", "time", "hypervolume", "IGD+", "attained"]
    rows = [
        [
            str(row["run"]),
            str(row["trained"]),
            str(row["front"]),
            samples(row["samples"]),
            duration(row["seconds"]),
            number(row["hypervolume"], ".3f"),
            number(row["igd_plus"], ".3f"),
            number(row["attained"], ".2f"),
        ]
        for _, row in comparison.final.iterrows()
    ]
    return grid(
        f"Runs by {', '.join(comparison.objectives)} (all within the union of their candidates)",
        columns,
        rows,
    )


def reached_table(comparison: Comparison) -> Table:
    """What each run needed for each other's final hypervolume."""
    columns = ["run", "other", "hypervolume", "trials", "samples", "ratio", "time", "ratio"]
    rows = [
        [
            str(row["run"]),
            str(row["other"]),
            number(row["hypervolume"], ".3f"),
            number(row["trials"], "d"),
            samples(row["samples"]),
            number(row["samples_ratio"], ".2f"),
            "-" if pd.isna(row["seconds"]) else duration(row["seconds"]),
            number(row["seconds_ratio"], ".2f"),
        ]
        for _, row in comparison.reached.iterrows()
    ]
    return grid("Needed for the other's final hypervolume (ratio to what the other needed)", columns, rows)


def samples(count: Any) -> str:
    """Training images, or a dash where nobody knows."""
    return "-" if pd.isna(count) else amount(count)
