"""The files of a trial, made when they are asked for: drawing, learning curve, architecture."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.trial import FrozenTrial

from archsearch.plots.architecture import architecture_svg
from archsearch.results.parts import read_description

READINGS = ("share", "samples", "top1", "val_loss", "train_loss", "seconds")


@dataclass(frozen=True)
class Attached:
    """A file that a trial may have.

    Attributes:
        code: hexadecimal, and so allowed in the dashboard's addresses; the last part of the file's own id.
        name: what it is called when it is saved.
        mimetype: what it is.
        needs: the attribute without which there is no such file.
        content: the file, of the trial's attributes.
    """

    code: str
    name: str
    mimetype: str
    needs: str
    content: Callable[[Mapping[str, Any]], bytes]


def drawing(attributes: Mapping[str, Any]) -> bytes:
    """The architecture as SVG."""
    return architecture_svg(attributes["description"]).encode()


def architecture_file(attributes: Mapping[str, Any]) -> bytes:
    """The architecture as a file that ``archsearch profile`` and ``archsearch run`` read."""
    return read_description(attributes["description"]).to_yaml().encode()


def curve_table(attributes: Mapping[str, Any]) -> bytes:
    """What was read at the rungs and at the end, as CSV."""
    return curve(attributes).to_csv(index=False).encode()


def curve_picture(attributes: Mapping[str, Any]) -> bytes:
    """Accuracy and loss on validation images against the training images shown, as PNG."""
    readings = curve(attributes)
    figure = Figure(figsize=(6.4, 3.0), layout="constrained", dpi=130)
    for axes, name in zip(figure.subplots(1, 2), ("top1", "val_loss"), strict=True):
        axes.plot(readings["samples"], readings[name], marker="o", color="#a63603")
        axes.set(xlabel="training images shown", ylabel=f"{name} (validation)".replace("_", " "))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def curve(attributes: Mapping[str, Any]) -> pd.DataFrame:
    """One row for each reading at a rung or at the end: share of the training, samples, top1, val_loss, train_loss, seconds so far."""
    readings = [dict(rung) for rung in attributes["rungs"]]
    last = readings[-1].get("samples") if readings else None
    if attributes.get("outcome") == "trained" and attributes.get("samples") != last:
        end = {name: attributes.get(name) for name in READINGS}
        readings.append({**end, "share": 1.0, "seconds": attributes.get("train_seconds")})
    return pd.DataFrame(readings, columns=list(READINGS)).astype("Float64")


ATTACHED = (
    Attached("d0", "drawing.svg", "image/svg+xml", "description", drawing),
    Attached("c0", "learning_curve.png", "image/png", "rungs", curve_picture),
    Attached("c1", "learning_curve.csv", "text/csv", "rungs", curve_table),
    Attached("a0", "architecture.yaml", "application/yaml", "description", architecture_file),
)


def files_of(trial: FrozenTrial) -> dict[str, Attached]:
    """The files that a trial has, by their ids: ``ARCHITECTURE-CODE``."""
    architecture = trial.user_attrs.get("architecture")
    return {
        f"{architecture}-{file.code}": file
        for file in ATTACHED
        if architecture and trial.user_attrs.get(file.needs)
    }


def list_files(trial: FrozenTrial) -> list[dict[str, Any]]:
    """The files of a trial as the dashboard lists them."""
    return [
        {"artifact_id": id_, "filename": file.name, "mimetype": file.mimetype, "encoding": None}
        for id_, file in files_of(trial).items()
    ]
