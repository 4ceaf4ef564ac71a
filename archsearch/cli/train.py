"""``archsearch train``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from archsearch.cli.run import default_folder
from archsearch.cli.tables import console
from archsearch.formatting import amount, duration
from archsearch.space import load_architecture
from archsearch.study.callbacks import Callback
from archsearch.study.config import load_study
from archsearch.study.train_architecture import train_architecture
from archsearch.study.training_plan import CHECKPOINT, TrainedNetwork


class CurvePrinter(Callback):
    """Prints the learning curve, a line a point, and knows how far it is."""

    def __init__(self, screen: Console) -> None:
        self.screen = screen
        self.share = 0.0

    def on_rung(self, reading: Mapping[str, float]) -> None:
        """One point of the curve."""
        self.share = reading["share"]
        self.screen.print(
            f"[{self.share:4.0%}] {amount(reading['samples']):>6} images  train loss {reading['train_loss']:.4f}  "
            f"val loss {reading['val_loss']:.4f}  top1 {reading['top1']:.4f} ({duration(reading['seconds'])})",
            markup=False,
            highlight=False,
        )


def train_command(
    file: Path, study_file: Path | None, flags: Mapping[str, Any], weights: Path | None, out: Path | None
) -> None:
    """Train the architecture in the file, show its learning curve, and say the result."""
    architecture = load_architecture(file)
    study = load_study(None, "archsearch train", study_file, flags, "archsearch train")
    folder = out or Path("trained", *default_folder(architecture.name, study, study_file).parts[1:])
    screen = console()
    screen.print(
        f"{architecture.name} ({architecture.id}): {study.recipe.samples:,} images of {study.data}, "
        f"seed {study.seed}; {folder}",
        soft_wrap=True,
    )
    if (folder / CHECKPOINT).exists():
        screen.print("resuming behind the last point that was written down")
    printer = CurvePrinter(screen)
    try:
        trained = train_architecture(architecture, study, folder, weights=weights, callbacks=[printer])
    except (KeyboardInterrupt, SystemExit):
        how_far = f" behind {printer.share:.0%}" if printer.share else ""
        screen.print(f"stopped{how_far}; the same command resumes")
        raise
    say(screen, trained)


def say(screen: Console, trained: TrainedNetwork) -> None:
    """The result, and where it lies."""
    if not trained.fresh:
        screen.print("finished before: nothing was trained, nothing was changed")
    screen.print(
        f"top1 {trained.top1:.4f} on validation, {trained.test_top1:.4f} on test images; "
        f"{trained.samples:,} images in {duration(trained.seconds)}",
        highlight=False,
    )
    screen.print(f"weights, learning curve, conditions: {trained.folder}", highlight=False, soft_wrap=True)
    command = f"archsearch export {trained.architecture} --weights {trained.weights}"
    screen.print(f"to take it away: {command}", highlight=False, soft_wrap=True)
