"""``archsearch results``."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from archsearch.api import write_all
from archsearch.cli.report import save_report
from archsearch.cli.tables import console, show_comparison, show_results
from archsearch.errors import InputError, Problem
from archsearch.files import disk_faults
from archsearch.plots.comparison import comparison_figure
from archsearch.plots.style import save_figure
from archsearch.results import compare, load_run


def results_command(folder: Path, *, as_json: bool) -> None:
    """Write the result files again and print the Pareto front."""
    run = write_all(folder)
    report = save_report(run)
    screen = console()
    if as_json:
        screen.print_json(run.frontier.to_json(orient="records", date_format="iso"))
        return
    show_results(screen, run, report)


def against_command(folder: Path, others: Sequence[Path], *, as_json: bool) -> None:
    """Compare the run in ``folder`` with others, draw them into ``against.png`` there, and print the comparison."""
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
    show_comparison(screen, comparison)
    screen.write_line(f"picture: {folder / 'against.png'}")


def run_names(folders: Sequence[Path]) -> list[str]:
    """The names of the runs: their folders' names if these differ, else the paths as they were written.

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
