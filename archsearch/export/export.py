"""Winners taken away: a chosen trial, a published network or an architecture file, in the forms that others read."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from archsearch.errors import InputError, Problem
from archsearch.export.format_names import QUICK, ExportedFile, Format, choose_formats
from archsearch.results.run import Run
from archsearch.storage.run_folder import RunFolder, replacing, write_atomically

if TYPE_CHECKING:
    from archsearch.architecture import Architecture

NO_WEIGHTS = "no weights: they are kept for the trials on the frontier"


@dataclass(frozen=True)
class Exported:
    """What was written, form by form, and in a line each why others were not."""

    written: tuple[ExportedFile, ...]
    left_out: tuple[str, ...] = ()

    def path(self, form: Format) -> Path | None:
        """The file of a form; None if it was not written."""
        return next((one.path for one in self.written if one.form == form), None)

    @property
    def architecture(self) -> Path | None:
        """The architecture file."""
        return self.path("yaml")

    @property
    def weights(self) -> Path | None:
        """The safetensors; None where the run keeps none."""
        return self.path("weights")


def export_trial(
    run: Run,
    number: int,
    out: Path,
    forms: Sequence[str] | None = None,
    final_seed: int | None = None,
) -> Exported:
    """Write trial ``number`` to ``out`` as ``<space>-<id>.yaml`` and in the other ``forms``, checked against it.

    All that the installed packages allow if no form is asked for; see ``export.formats`` for them. Weights are
    kept for the trials on the frontier: of another trial there is the architecture alone. With
    ``final_seed`` they are those of the trial as a finalist, trained anew from that seed.

    Raises:
        InputError: the run has no such trial, or it was never trained; there is no such form, or what it
            needs is not there.
        ArchsearchError: a form does not give the outputs of the network; nothing is written.
    """
    row = find_trained(run, number)
    wanted, left_out = choose_formats(forms)
    weights = find_weights(run, row, final_seed)
    about = [line.removeprefix("# ") for line in write_heading(run, row).splitlines()]
    if final_seed is not None:
        about.append(f"Weights of the finalist, trained anew from seed {final_seed}.")
    if weights is not None:
        architecture = read_description(run, str(row["architecture"]), file_name(run, row))
        return write_architecture(architecture, weights, about, ExportTarget(out, wanted, left_out))
    if forms is not None and wanted != ["yaml"]:
        problem = Problem("--form", f"trial {number} has no weights", "write --form yaml, or another trial")
        raise InputError(str(run.folder), [problem])
    return Exported((write_yaml(run, row, out),), (NO_WEIGHTS,))


@dataclass(frozen=True)
class ExportTarget:
    """Where to write which forms, and why not others."""

    out: Path
    forms: Sequence[Format]
    left_out: Sequence[str]


def write_architecture(
    architecture: "Architecture",
    weights: Path,
    about: Sequence[str],
    place: ExportTarget,
    file: str | None = None,
) -> Exported:
    """The architecture with the weights in a file of ours, in the forms of the place, under its name."""
    # Results need no torch until here.
    from archsearch.export.formats import Subject, write_formats  # noqa: PLC0415
    from archsearch.storage.given_weights import load_weights  # noqa: PLC0415

    network = load_weights(architecture, weights).eval()
    forms = write_formats(Subject(network, architecture.name, tuple(about), file), place.out, place.forms)
    return Exported(tuple(forms), tuple(place.left_out))


def export_published(name: str, weights: Path, out: Path, forms: Sequence[str] | None = None) -> Exported:
    """Write the published network ``name`` to ``out`` with the weights in the file ``weights``, under our names.

    Raises:
        InputError: there is no network of this name here, no such form, or a package of it is missing.
        WeightsError: the file cannot be read, or its tensors are not those of the network.
        ArchsearchError: a form does not give the outputs of the network; nothing is written.
    """
    # Results need no torch until here.
    from archsearch.export.formats import Subject, write_formats  # noqa: PLC0415
    from archsearch.published import load_published, read_weights, reference_file  # noqa: PLC0415

    wanted, left_out = choose_formats(forms)
    description = reference_file(name).read_text(encoding="utf-8")
    network = load_published(name, read_weights(weights)).eval()
    subject = Subject(network, name, read_comments(description), description)
    return Exported(tuple(write_formats(subject, out, wanted)), tuple(left_out))


def export_architecture(file: Path, weights: Path, out: Path, forms: Sequence[str] | None = None) -> Exported:
    """Write the architecture in ``file`` with the weights in the file ``weights``, which bear our names.

    Raises:
        SpaceError: the file holds no architecture.
        InputError: there is no such form, or a package of it is missing.
        WeightsError: the weights cannot be read, or are not those of the architecture.
        ArchsearchError: a form does not give the outputs of the network; nothing is written.
    """
    from archsearch.space import load_architecture  # noqa: PLC0415 - results need no torch until here

    wanted, left_out = choose_formats(forms)
    architecture = load_architecture(file).model_copy(update={"name": file.stem})
    description = file.read_text(encoding="utf-8")
    place = ExportTarget(out, wanted, left_out)
    return write_architecture(architecture, weights, read_comments(description), place, description)


def read_comments(description: str) -> tuple[str, ...]:
    """The lines of comment that a file begins with."""
    lines = description.splitlines()
    count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return tuple(line.removeprefix("#").strip() for line in lines[:count])


def find_trained(run: Run, number: int) -> "pd.Series[Any]":
    """The row of a trained trial."""
    trained = run.trials[run.trials["outcome"].fillna("") == "trained"]
    rows = trained[trained["number"] == number]
    if rows.empty:
        known = ", ".join(map(str, run.frontier["number"])) or "none"
        problem = Problem(
            "--trial", f"{number} is no trained trial of this run", f"on the frontier are: {known}"
        )
        raise InputError(str(run.folder), [problem])
    return rows.iloc[0]


def find_weights(run: Run, row: "pd.Series[Any]", final_seed: int | None = None) -> Path | None:
    """The weights that the run keeps of a trial, if it does.

    Raises:
        InputError: it was not trained anew from ``final_seed``.
    """
    folder, identifier = RunFolder(run.folder), str(row["architecture"])
    if final_seed is None:
        source = folder.weights_of(identifier)
        return source if source.exists() else None
    source = folder.finals / f"{identifier}-seed{final_seed}.safetensors"
    if not source.exists():
        seeds = sorted(path.stem.rpartition("-seed")[2] for path in folder.finals.glob(f"{identifier}-seed*"))
        remedy = f"there are: {', '.join(seeds)}" if seeds else "leave it out: this trial was no finalist"
        problem = Problem("--final-seed", f"no weights of seed {final_seed} lie here", remedy)
        raise InputError(str(run.folder), [problem])
    return source


def file_name(run: Run, row: "pd.Series[Any]") -> str:
    """What the files of a trial are called."""
    return f"{run.manifest['identity']['space']}-{row['architecture']}"


def write_heading(run: Run, row: "pd.Series[Any]") -> str:
    """Where the architecture comes from and what it was found to be, as comments."""
    values = ", ".join(f"{name} {row[name]:.6g}" for name in run.objectives)
    tested = "" if pd.isna(row["test_top1"]) else f", test_top1 {row['test_top1']:.4f}"
    identity = run.manifest["identity"]
    return (
        f"# Trial {row['number']} of a search of {identity['space']} on {identity['data']}, seed {identity['seed']}:\n"
        f"# {values}{tested}; {row['params']:,} parameters, {row['macs']:,} MACs, globality {row['globality']:.3f}\n"
    )


def read_description(run: Run, identifier: str, name: str) -> "Architecture":
    """The architecture, under the name of its files."""
    from archsearch.architecture import Architecture  # noqa: PLC0415 - results need no torch until here

    description = Architecture.model_validate_json(run.descriptions[identifier])
    return description.model_copy(update={"name": name})


def write_yaml(run: Run, row: "pd.Series[Any]", out: Path) -> ExportedFile:
    """The architecture as a file that ``load_architecture`` reads."""
    name = file_name(run, row)
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{name}.yaml"
    write_atomically(
        target, write_heading(run, row) + read_description(run, str(row["architecture"]), name).to_yaml()
    )
    return ExportedFile("yaml", target, "no network was built")


def export_frontier(run: Run) -> list[Exported]:
    """The whole frontier into the run's own ``frontier`` folder; what no longer belongs there goes.

    Architectures and weights only, copied and not checked: every run ends with it.
    """
    folder = run.folder / "frontier"
    copied = [copy_trial(run, int(number), folder) for number in run.frontier["number"]]
    wanted = {one.path(form) for one in copied for form in QUICK}
    for path in folder.glob("*") if folder.exists() else ():
        if path not in wanted:
            path.unlink()
    return copied


def copy_trial(run: Run, number: int, out: Path) -> Exported:
    """The architecture file, and the weights as the run keeps them."""
    row = find_trained(run, number)
    architecture = write_yaml(run, row, out)
    source = find_weights(run, row)
    if source is None:
        return Exported((architecture,), (NO_WEIGHTS,))
    target = out / f"{file_name(run, row)}.safetensors"
    with replacing(target) as beside:
        shutil.copyfile(source, beside)
    return Exported((architecture, ExportedFile("weights", target, "copied")))
