"""``archsearch results`` and ``archsearch export``."""

from pathlib import Path

from archsearch.api import write_all
from archsearch.cli.tables import console, frontier_table, outcomes
from archsearch.errors import InputError, Problem
from archsearch.results import export_published, export_trial, load_run, proxy_lines
from archsearch.study.folder import disk_faults


def results_command(folder: Path, *, as_json: bool) -> None:
    """Derive the result files anew and print the frontier."""
    run = write_all(folder)
    screen = console()
    if as_json:
        screen.print_json(run.frontier.to_json(orient="records", date_format="iso"))
        return
    screen.print(frontier_table(run))
    screen.print("")
    for line in proxy_lines(run.proxies):
        screen.print(line)
    screen.print(f"{outcomes(run)}; tables, picture and winners: {run.folder}")


def export_command(
    folder: Path | None, trial: int | None, weights: Path | None, name: str | None, out: Path
) -> None:
    """Write the architecture and weights of one trial, or of a published network."""
    wanted = (folder is not None, trial is not None, weights is not None, name is not None)
    if wanted not in ((True, True, False, False), (False, False, True, True)):
        problem = Problem(
            "", "what to export is not said", "write RUN --trial N, or --weights FILE --as NAME"
        )
        raise InputError("archsearch export", [problem])
    with disk_faults(out):
        if folder is not None and trial is not None:
            exported = export_trial(load_run(folder), trial, out)
        elif weights is not None and name is not None:
            exported = export_published(name, weights, out)
    screen = console()
    screen.print(str(exported.architecture))
    if exported.weights is None:
        screen.print("no weights: they are kept for the trials on the frontier")
    else:
        screen.print(str(exported.weights))
