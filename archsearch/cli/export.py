"""``archsearch export``."""

from pathlib import Path

from archsearch.cli.tables import console
from archsearch.errors import InputError, Problem
from archsearch.export import export_architecture, export_published, export_trial
from archsearch.files import disk_faults
from archsearch.results import load_run

USAGE = "write RUN --trial N, or --weights FILE --as NAME, or ARCHITECTURE --weights FILE"


def export_command(
    target: Path | None,
    trial: int | None,
    final_seed: int | None,
    weights: Path | None,
    name: str | None,
    formats: list[str] | None,
    out: Path,
) -> None:
    """Export a trial of a run, an architecture file or a published network; print the files and their checks.

    Raises:
        InputError: it is not clear which of them; and as the functions of ``export.export`` do.
    """
    if final_seed is not None and trial is None:
        raise InputError("archsearch export", [Problem("--final-seed", "only applies to a trial", USAGE)])
    with disk_faults(out):
        match (target, trial, weights, name):
            case (Path(), int(), None, None):
                exported = export_trial(load_run(target), trial, out, formats, final_seed)
            case (Path(), None, Path(), None):
                exported = export_architecture(target, weights, out, formats)
            case (None, None, Path(), str()):
                exported = export_published(name, weights, out, formats)
            case _:
                raise InputError("archsearch export", [Problem("", "it is not clear what to export", USAGE)])
    screen = console()
    for file in exported.files.values():
        screen.write_line(f"{file.path}  {file.checked}")
    for line in exported.left_out:
        screen.write_line(line)
