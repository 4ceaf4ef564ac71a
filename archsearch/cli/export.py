"""``archsearch export``."""

from dataclasses import dataclass
from pathlib import Path

from archsearch.cli.tables import console
from archsearch.errors import InputError, Problem
from archsearch.export.export import Exported, export_architecture, export_published, export_trial
from archsearch.files import disk_faults
from archsearch.results import load_run

USAGE = "write RUN --trial N, or --weights FILE --as NAME, or ARCHITECTURE --weights FILE"


@dataclass(frozen=True)
class ExportRequest:
    """What is to be exported, as it was written.

    Attributes:
        target: a run folder, or an architecture file.
        trial: a trial of the run.
        final_seed: of the trial as a finalist, the training with this seed.
        weights: a file of weights.
        name: of the published network that they belong to.
        forms: the forms to write; None for all that can be.
    """

    target: Path | None
    trial: int | None
    final_seed: int | None
    weights: Path | None
    name: str | None
    forms: list[str] | None


def export_command(asked: ExportRequest, out: Path) -> None:
    """Write a network in the forms that are asked for, and say what was written and how it was checked."""
    with disk_faults(out):
        exported = export(asked, out)
    screen = console()
    for one in exported.written:
        screen.print(f"{one.path}  {one.checked}", markup=False, highlight=False, soft_wrap=True)
    for line in exported.left_out:
        screen.print(line, markup=False, highlight=False, soft_wrap=True)


def export(asked: ExportRequest, out: Path) -> Exported:
    """The trial of a run, the architecture of a file, or a published network.

    Raises:
        InputError: it is not said which; and as ``export.export`` does.
    """
    if asked.final_seed is not None and asked.trial is None:
        raise unclear("--final-seed", "means something with a trial of a run")
    match (asked.target, asked.trial, asked.weights, asked.name):
        case (Path() as folder, int() as trial, None, None):
            return export_trial(load_run(folder), trial, out, asked.forms, asked.final_seed)
        case (Path() as file, None, Path() as weights, None):
            return export_architecture(file, weights, out, asked.forms)
        case (None, None, Path() as weights, str() as name):
            return export_published(name, weights, out, asked.forms)
    raise unclear("", "what to export is not said")


def unclear(key: str, what: str) -> InputError:
    """What was written says too little, or too much."""
    return InputError("archsearch export", [Problem(key, what, USAGE)])
