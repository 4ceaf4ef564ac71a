"""Winners taken away: a chosen trial as an architecture file, with its trained weights."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from archsearch.errors import InputError, Problem
from archsearch.results.run import Run
from archsearch.study.folder import RunFolder, replacing, write_atomically


@dataclass(frozen=True)
class Exported:
    """What was written; ``weights`` is None where the run keeps none."""

    architecture: Path
    weights: Path | None


def export_trial(run: Run, number: int, out: Path) -> Exported:
    """Write trial ``number`` to ``out`` as ``<space>-<id>.yaml`` and ``.safetensors``.

    Weights are kept for the trials on the frontier.

    Raises:
        InputError: the run has no such trial, or it was never trained.
    """
    row = trained_row(run, number)
    name = f"{run.manifest['identity']['space']}-{row['architecture']}"
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{name}.yaml"
    write_atomically(target, heading(run, row) + architecture_yaml(run, str(row["architecture"]), name))
    source = RunFolder(run.folder).weights_of(str(row["architecture"]))
    if not source.exists():
        return Exported(target, None)
    weights = out / f"{name}.safetensors"
    with replacing(weights) as beside:
        shutil.copyfile(source, beside)
    return Exported(target, weights)


def export_published(name: str, weights: Path, out: Path) -> Exported:
    """Write the published network ``name`` to ``out`` with the weights in the file ``weights``, under our names.

    Raises:
        InputError: there is no network of this name here.
        WeightsError: the file cannot be read, or its tensors are not those of the network.
    """
    # Results need no torch until here.
    from archsearch.published import load_published, read_weights, reference_file  # noqa: PLC0415
    from archsearch.study.weights import save_weights  # noqa: PLC0415

    description = reference_file(name).read_text(encoding="utf-8")
    network = load_published(name, read_weights(weights))
    out.mkdir(parents=True, exist_ok=True)
    exported = Exported(out / f"{name}.yaml", out / f"{name}.safetensors")
    write_atomically(exported.architecture, description)
    save_weights(network.state_dict(), out / f"{name}.safetensors")
    return exported


def trained_row(run: Run, number: int) -> "pd.Series[Any]":
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


def heading(run: Run, row: "pd.Series[Any]") -> str:
    """Where the architecture comes from and what it was found to be, as comments."""
    values = ", ".join(f"{name} {row[name]:.6g}" for name in run.objectives)
    tested = "" if pd.isna(row["test_top1"]) else f", test_top1 {row['test_top1']:.4f}"
    identity = run.manifest["identity"]
    return (
        f"# Trial {row['number']} of a search of {identity['space']} on {identity['data']}, seed {identity['seed']}:\n"
        f"# {values}{tested}; {row['params']:,} parameters, {row['macs']:,} MACs, globality {row['globality']:.3f}\n"
    )


def architecture_yaml(run: Run, identifier: str, name: str) -> str:
    """The architecture as a file that ``load_architecture`` reads."""
    from archsearch.architecture import Architecture  # noqa: PLC0415 - results need no torch until here

    description = Architecture.model_validate_json(run.descriptions[identifier])
    return description.model_copy(update={"name": name}).to_yaml()


def export_frontier(run: Run) -> list[Exported]:
    """The whole frontier into the run's own ``frontier`` folder; what no longer belongs there goes."""
    folder = run.folder / "frontier"
    written = [export_trial(run, int(number), folder) for number in run.frontier["number"]]
    wanted = {path for e in written for path in (e.architecture, e.weights)}
    for path in folder.glob("*") if folder.exists() else ():
        if path not in wanted:
            path.unlink()
    return written
