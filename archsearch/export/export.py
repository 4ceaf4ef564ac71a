"""Networks to take away: a trial, a published network or an architecture file, in the formats that others read."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import pandas as pd

from archsearch.architecture import Architecture
from archsearch.errors import InputError, Problem
from archsearch.export.formats import ExportedFile, Subject, choose_formats, write_formats, yaml_text
from archsearch.files import replacing, write_atomically
from archsearch.published import load_published, read_weights, reference_file
from archsearch.results.parts import read_description
from archsearch.results.run import Run
from archsearch.space import load_architecture
from archsearch.storage.run_folder import RunFolder
from archsearch.storage.weights import load_given_weights

NO_WEIGHTS = "no weights: they are kept for the trials on the frontier"


@dataclass(frozen=True)
class Exported:
    """The files that were written, by format, and for each other format a line that says why it was not."""

    files: Mapping[str, ExportedFile]
    left_out: Sequence[str] = ()


def export_trial(
    run: Run,
    number: int,
    out: Path,
    formats: Sequence[str] | None = None,
    final_seed: int | None = None,
) -> Exported:
    """Write trial ``number`` to ``out`` as ``<space>-<id>.yaml`` and in the other ``formats``, checked against it.

    If no format is asked for, all that the installed packages allow; ``export.formats`` lists them. Weights are
    kept for the trials on the frontier: of another trial only the architecture is written. With ``final_seed``
    they are those of the trial as a finalist, retrained from that seed.

    Raises:
        InputError: the run has no such trial, or it was never trained; there is no such format, or what it
            needs is not there.
        ArchsearchError: a format does not give the outputs of the network; nothing is written.
    """
    row = find_trained(run, number)
    wanted, left_out = choose_formats(formats)
    weights = find_weights(run, row, final_seed)
    if weights is None:
        if formats is not None and wanted != ["yaml"]:
            problem = Problem(
                "--format", f"trial {number} has no weights", "write --format yaml, or another trial"
            )
            raise InputError(str(run.folder), [problem])
        return Exported(
            {"yaml": ExportedFile(write_yaml(run, row, out), "no network was built")}, [NO_WEIGHTS]
        )
    about = list(describe_trial(run, row))
    if final_seed is not None:
        about.append(f"Weights of the finalist, retrained from seed {final_seed}.")
    network = load_given_weights(read_architecture(run, row), weights).eval()
    return Exported(write_formats(Subject(network, about), out, wanted), left_out)


def export_published(name: str, weights: Path, out: Path, formats: Sequence[str] | None = None) -> Exported:
    """Write the published network ``name`` to ``out`` with the weights in the file ``weights``, under our names.

    Raises:
        InputError: there is no network of this name here, no such format, or a package of it is missing.
        WeightsError: the file cannot be read, or its tensors are not those of the network.
        ArchsearchError: a format does not give the outputs of the network; nothing is written.
    """
    wanted, left_out = choose_formats(formats)
    description = reference_file(name).read_text(encoding="utf-8")
    network = load_published(name, read_weights(weights)).eval()
    subject = Subject(network, read_comments(description), description)
    return Exported(write_formats(subject, out, wanted), left_out)


def export_architecture(
    file: Path, weights: Path, out: Path, formats: Sequence[str] | None = None
) -> Exported:
    """Write the architecture in ``file`` with the weights in the file ``weights``, which bear our names.

    Raises:
        SpaceError: the file holds no architecture.
        InputError: there is no such format, or a package of it is missing.
        WeightsError: the weights cannot be read, or are not those of the architecture.
        ArchsearchError: a format does not give the outputs of the network; nothing is written.
    """
    wanted, left_out = choose_formats(formats)
    architecture = load_architecture(file).model_copy(update={"name": file.stem})
    description = file.read_text(encoding="utf-8")
    network = load_given_weights(architecture, weights).eval()
    subject = Subject(network, read_comments(description), description)
    return Exported(write_formats(subject, out, wanted), left_out)


def read_comments(description: str) -> list[str]:
    """The lines of comment that a file begins with."""
    comments = takewhile(lambda line: line.startswith("#"), description.splitlines())
    return [line.removeprefix("#").strip() for line in comments]


def find_trained(run: Run, number: int) -> "pd.Series[Any]":
    """The row of a trained trial."""
    rows = run.trials[(run.trials["outcome"].fillna("") == "trained") & (run.trials["number"] == number)]
    if rows.empty:
        known = ", ".join(map(str, run.frontier["number"])) or "none"
        what = f"{number} is not a trained trial of this run"
        raise InputError(str(run.folder), [Problem("--trial", what, f"on the frontier are: {known}")])
    return rows.iloc[0]


def find_weights(run: Run, row: "pd.Series[Any]", final_seed: int | None = None) -> Path | None:
    """The weights that the run keeps of a trial; None if it keeps none.

    Raises:
        InputError: it was not retrained from ``final_seed``.
    """
    folder, identifier = RunFolder(run.folder), str(row["architecture"])
    if final_seed is None:
        source = folder.weights_of(identifier)
        return source if source.exists() else None
    source = folder.finals / f"{identifier}-seed{final_seed}.safetensors"
    if not source.exists():
        seeds = sorted(path.stem.rpartition("-seed")[2] for path in folder.finals.glob(f"{identifier}-seed*"))
        remedy = f"use one of {', '.join(seeds)}" if seeds else "leave it out: this trial was no finalist"
        problem = Problem("--final-seed", f"there are no weights of seed {final_seed}", remedy)
        raise InputError(str(run.folder), [problem])
    return source


def describe_trial(run: Run, row: "pd.Series[Any]") -> Iterator[str]:
    """Where the architecture comes from and what was measured of it, in lines."""
    values = ", ".join(f"{name} {row[name]:.6g}" for name in run.objectives)
    tested = "" if pd.isna(row["test_top1"]) else f", test_top1 {row['test_top1']:.4f}"
    identity = run.manifest["identity"]
    yield f"Trial {row['number']} of a search of {identity['space']} on {identity['data']}, seed {identity['seed']}:"
    yield (
        f"{values}{tested}; {row['params']:,} parameters, {row['macs']:,} MACs, globality {row['globality']:.3f}"
    )


def read_architecture(run: Run, row: "pd.Series[Any]") -> Architecture:
    """The architecture of a trial, under the name of its files."""
    name = f"{run.manifest['identity']['space']}-{row['architecture']}"
    return read_description(run.descriptions[row["architecture"]]).model_copy(update={"name": name})


def write_yaml(run: Run, row: "pd.Series[Any]", out: Path) -> Path:
    """The architecture as a file that ``load_architecture`` reads."""
    architecture = read_architecture(run, row)
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{architecture.name}.yaml"
    write_atomically(target, yaml_text(architecture, describe_trial(run, row)))
    return target


def export_frontier(run: Run) -> None:
    """The whole frontier into the run's own ``frontier`` folder; files of former members are removed.

    Architectures and weights only, copied and not checked: every run ends with it.
    """
    folder = run.folder / "frontier"
    wanted = set()
    for number in run.frontier["number"]:
        row = find_trained(run, int(number))
        file, weights = write_yaml(run, row, folder), find_weights(run, row)
        wanted.add(file)
        if weights is not None:
            wanted.add(file.with_suffix(".safetensors"))
            with replacing(file.with_suffix(".safetensors")) as beside:
                shutil.copyfile(weights, beside)
    for path in folder.glob("*"):
        if path not in wanted:
            path.unlink()
