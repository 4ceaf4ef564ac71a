"""``archsearch swap``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from rich.console import Console

from archsearch.api import write_all
from archsearch.architecture import Architecture
from archsearch.cli.progress import Progress
from archsearch.cli.tables import console, plan_table, swaps_table
from archsearch.counting import globality
from archsearch.formatting import duration
from archsearch.objectives import objective_of
from archsearch.results.swaps import swap_lines
from archsearch.space.swap import Swap
from archsearch.storage.open import close, load_for_work, open_read_only
from archsearch.storage.run_folder import RunFolder
from archsearch.study.plan_swaps import SwapOptions, describe_swap, plan_swaps
from archsearch.study.train_swaps import train_swaps


class SwapProgress(Progress):
    """A line for each training, and on a terminal a live line under them."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.names: dict[str, str] = {}

    def on_swaps(self, swaps: Sequence[Swap]) -> None:
        """Keep what the networks are called."""
        self.names = {swap.original.id: "as it was" for swap in swaps}
        self.names |= {
            swap.variant.id: f"{swap.place} as {swap.kind}" for swap in swaps if swap.variant is not None
        }

    def on_start(self, done: int, trials: int, best: float | None) -> None:
        """Say what is going to be trained."""
        networks = len(self.names) if trials else 0
        self.console.print(f"{networks} networks, {trials} trainings", markup=False)
        if done:
            self.console.print(f"resuming: {done} of {trials} trainings are done")
        super().on_start(0, trials, best)
        self.done_before = self.done = done

    def on_training_end(self, architecture: Architecture, seed: int, result: Mapping[str, Any]) -> None:
        """One line for the training."""
        self.done += 1
        self.share = 0.0
        outcome = result.get("error")
        if outcome is None:
            self.best = max(result["top1"], self.best or 0.0)
            outcome = f"top1 {result['top1']:.4f} ({duration(result['seconds'])})"
        name = f"{architecture.layout:<8} {self.names[architecture.id]:<28}"
        self.console.print(f"[{self.done:>3}/{self.trials}] {name} seed {seed}  {outcome}", markup=False)


def swap_command(
    folder: Path, options: SwapOptions, device: str, threads: int | None, *, as_json: bool
) -> None:
    """Train the swaps of a trial, show the progress, and print the results."""
    screen = console()
    progress = SwapProgress(screen)
    try:
        with open_record(folder, load_for_work) as study, nullcontext() if as_json else progress.show_live():
            callbacks = [] if as_json else [progress]
            train_swaps(
                study, RunFolder(folder), options, device=device, threads=threads, callbacks=callbacks
            )
    except (KeyboardInterrupt, SystemExit):
        if not as_json:
            done = f"{progress.done} of {progress.trials} trainings are done"
            screen.write_line(f"stopped: {done}; the same command resumes")
        raise
    swaps = write_all(folder).swaps
    mine = swaps[(swaps["number"] == options.number) & (swaps["cost_name"] == options.cost)]
    if as_json:
        screen.print_json(mine.to_json(orient="records", double_precision=15))
        return
    screen.print("", swaps_table(mine), "", sep="\n")
    for line in swap_lines(mine):
        screen.write_line(line)
    screen.write_line(f"table and picture: {folder / 'swaps.csv'}, {folder / 'swaps.png'}")


def dry_command(folder: Path, options: SwapOptions, *, as_json: bool) -> None:
    """Print the swaps of a trial and what they cost, and write nothing."""
    with open_record(folder, open_read_only) as study:
        swaps = plan_swaps(study, options)
    entries = [plan_entry(swap, options) for swap in swaps]
    screen = console()
    if as_json:
        screen.print_json(data=entries)
        return
    original, cost = swaps[0].original, objective_of(swaps[0].cost)
    before = (
        f"{original.layout}, {cost.write_with_unit(swaps[0].cost_from)}, globality {globality(original):.3f}"
    )
    screen.print(plan_table(pd.DataFrame(entries).convert_dtypes(), before))
    for swap in swaps:
        if swap.note:
            screen.write_line(f"{swap.place} as {swap.kind}: {swap.note}")


@contextmanager
def open_record(folder: Path, opener: Callable[..., optuna.Study]) -> Iterator[optuna.Study]:
    """The study of a run folder, for as long as this lasts."""
    study = opener(*RunFolder(folder).record())
    try:
        yield study
    finally:
        close(study)


def plan_entry(swap: Swap, options: SwapOptions) -> dict[str, Any]:
    """A swap as it would be recorded; ``architecture`` is what an architecture file would hold."""
    record = describe_swap(swap, options.number, options.samples or 0)
    entry = {
        name: value for name, value in record.items() if name not in ("number", "samples", "description")
    }
    document = swap.variant.document() if swap.variant is not None else None
    return {**entry, "cost_ratio": swap.cost_ratio, "architecture": document}
