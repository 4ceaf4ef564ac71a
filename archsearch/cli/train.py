"""``archsearch train``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archsearch.cli.run import default_folder
from archsearch.cli.tables import Screen, console
from archsearch.formatting import amount, duration
from archsearch.space import load_architecture
from archsearch.study.callbacks import Callback
from archsearch.study.config import load_study
from archsearch.study.train_architecture import train_architecture
from archsearch.study.training_plan import CHECKPOINT, TrainedNetwork


class CurvePrinter(Callback):
    """Prints the learning curve, one line for each point, and keeps the share of the training that is done."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.share = 0.0

    def on_rung(self, reading: Mapping[str, float]) -> None:
        """One point of the curve."""
        self.share = reading["share"]
        self.screen.write_line(
            f"[{self.share:4.0%}] {amount(reading['samples']):>6} images  train loss {reading['train_loss']:.4f}  "
            f"val loss {reading['val_loss']:.4f}  top1 {reading['top1']:.4f} ({duration(reading['seconds'])})"
        )


def train_command(
    file: Path, study_file: Path | None, flags: Mapping[str, Any], weights: Path | None, out: Path | None
) -> None:
    """Train the architecture in the file, print its learning curve and the result."""
    architecture = load_architecture(file)
    study = load_study(None, "archsearch train", study_file, flags, "archsearch train")
    folder = out or Path("trained", *default_folder(architecture.name, study, study_file).parts[1:])
    screen = console()
    screen.write_line(
        f"{architecture.name} ({architecture.id}): {study.recipe.samples:,} images of {study.data}, "
        f"seed {study.seed}; {folder}"
    )
    if (folder / CHECKPOINT).exists():
        screen.write_line("resuming from the last saved point of the curve")
    printer = CurvePrinter(screen)
    try:
        trained = train_architecture(architecture, study, folder, weights=weights, callbacks=[printer])
    except (KeyboardInterrupt, SystemExit):
        done = f" at {printer.share:.0%}" if printer.share else ""
        screen.write_line(f"stopped{done}; the same command resumes")
        raise
    show_trained(screen, trained)


def show_trained(screen: Screen, trained: TrainedNetwork) -> None:
    """Print the accuracies, and where the files are."""
    if not trained.fresh:
        screen.write_line("this training had finished before: nothing was changed")
    screen.write_line(
        f"top1 {trained.top1:.4f} on validation, {trained.test_top1:.4f} on test images; "
        f"{trained.samples:,} images in {duration(trained.seconds)}"
    )
    screen.write_line(f"weights, learning curve, conditions: {trained.folder}")
    command = f"archsearch export {trained.architecture} --weights {trained.weights}"
    screen.write_line(f"to export it: {command}")
