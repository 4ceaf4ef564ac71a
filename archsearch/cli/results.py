"""``archsearch results`` and ``archsearch export``."""

from pathlib import Path

from archsearch.api import write_all
from archsearch.cli.tables import console, frontier_table, outcomes
from archsearch.errors import InputError, Problem
from archsearch.results import export_published, export_trial, load_run
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


def export_command(
    folder: Path | None, trial: int | None, weights: Path | None, name: str | None, out: Path
) -> None:
    """Write the architecture and weights of one trial, or of a published network."""
    from_run = folder is not None and trial is not None and weights is None and name is None
    from_file = folder is None and trial is None and weights is not None and name is not None
    with disk_faults(out):
        if folder is not None and trial is not None and from_run:
            exported = export_trial(load_run(folder), trial, out)
        elif weights is not None and name is not None and from_file:
            exported = export_published(name, weights, out)
        else:
            remedy = "write RUN --trial N, or --weights FILE --as NAME"
            raise InputError("archsearch export", [Problem("", "what to export is not said", remedy)])
    screen = console()
    screen.print(str(exported.architecture))
    if exported.weights is None:
        screen.print("no weights: they are kept for the trials on the frontier")
    else:
        screen.print(str(exported.weights))
