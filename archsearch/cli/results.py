"""``archsearch results`` and ``archsearch export``."""

from pathlib import Path

from archsearch.api import write_all
from archsearch.cli.tables import console, frontier_table, outcomes
from archsearch.results import export_trial, load_run
from archsearch.study.folder import disk_faults


def results_command(folder: Path, *, as_json: bool) -> None:
    """Derive the result files anew and print the frontier."""
    run = write_all(folder)
    screen = console()
    if as_json:
        screen.print_json(run.frontier.to_json(orient="records", date_format="iso"))
        return
    screen.print(frontier_table(run))
    screen.print(f"\n{outcomes(run)}; tables, picture and winners: {run.folder}")


def export_command(folder: Path, trial: int, out: Path) -> None:
    """Write one trial's architecture and weights."""
    with disk_faults(out):
        exported = export_trial(load_run(folder), trial, out)
    screen = console()
    screen.print(str(exported.architecture))
    if exported.weights is None:
        screen.print("no weights: they are kept for the trials on the frontier")
    else:
        screen.print(str(exported.weights))
