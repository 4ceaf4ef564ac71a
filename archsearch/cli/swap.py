"""``archsearch swap``."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from rich.console import Console
from rich.table import Table

from archsearch.api import write_all
from archsearch.architecture import Architecture
from archsearch.cli.progress import Progress
from archsearch.cli.tables import console, grid, number
from archsearch.counting import globality
from archsearch.formatting import amount, duration
from archsearch.objectives import objective_of
from archsearch.results.swaps import swap_lines
from archsearch.space.swap import Swap
from archsearch.storage.open import close, load_for_work, open_read_only
from archsearch.storage.run_folder import RunFolder
from archsearch.study.plan_swaps import SwapOptions, plan_swaps
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
        said = result.get("error")
        if said is None:
            self.best = max(result["top1"], self.best or 0.0)
            said = f"top1 {result['top1']:.4f} ({duration(result['seconds'])})"
        name = f"{architecture.layout:<8} {self.names[architecture.id]:<28}"
        self.console.print(f"[{self.done:>3}/{self.trials}] {name} seed {seed}  {said}", markup=False)


def swap_command(
    folder: Path, asked: SwapOptions, device: str, threads: int | None, *, as_json: bool
) -> None:
    """Train the swaps of a trial, show the progress, and print the results."""
    screen = console()
    progress = None if as_json else SwapProgress(screen)
    callbacks = [] if progress is None else [progress]
    try:
        with (
            record_of(folder, load_for_work) as study,
            progress.shown() if progress is not None else nullcontext(),
        ):
            train_swaps(study, RunFolder(folder), asked, device=device, threads=threads, callbacks=callbacks)
    except (KeyboardInterrupt, SystemExit):
        if progress is not None:
            told = f"{progress.done} of {progress.trials} trainings are done"
            screen.print(f"stopped: {told}; the same command resumes")
        raise
    swaps = write_all(folder).swaps
    mine = swaps[(swaps["number"] == asked.number) & (swaps["cost_name"] == asked.cost)]
    if as_json:
        screen.print_json(mine.to_json(orient="records", double_precision=15))
        return
    screen.print()
    screen.print(swaps_table(mine))
    screen.print()
    for line in swap_lines(mine):
        screen.print(line, markup=False, soft_wrap=True)
    screen.print(
        f"table and picture: {folder / 'swaps.csv'}, {folder / 'swaps.png'}", markup=False, soft_wrap=True
    )


def dry_command(folder: Path, asked: SwapOptions, *, as_json: bool) -> None:
    """Print the swaps of a trial and what they cost, and write nothing."""
    with record_of(folder, open_read_only) as study:
        swaps = plan_swaps(study, asked)
    screen = console()
    if as_json:
        screen.print_json(json.dumps([plan_entry(swap) for swap in swaps]))
        return
    screen.print(plan_table(swaps))
    for swap in swaps:
        if swap.note:
            screen.print(f"{swap.place} as {swap.kind}: {swap.note}", markup=False, soft_wrap=True)


@contextmanager
def record_of(folder: Path, opener: Callable[..., optuna.Study]) -> Iterator[optuna.Study]:
    """The study of a run folder, for as long as this lasts."""
    study = opener(*RunFolder(folder).record())
    try:
        yield study
    finally:
        close(study)


def plan_entry(swap: Swap) -> dict[str, Any]:
    """A matched swap as data; ``architecture`` is what an architecture file would hold."""
    variant = swap.variant
    return {
        "place": swap.place,
        "kind_from": swap.original.stages[swap.index].kind,
        "kind_to": swap.kind,
        "cost_name": swap.cost,
        "cost_from": swap.cost_from,
        "cost_to": swap.cost_to,
        "cost_ratio": swap.cost_ratio,
        "note": swap.note or None,
        "architecture_to": variant.id if variant is not None else None,
        "architecture": variant.document() if variant is not None else None,
    }


def plan_table(swaps: Sequence[Swap]) -> Table:
    """The swaps before any training."""
    unit = objective_of(swaps[0].cost).unit
    columns = ["stage", "as", "layout", unit, "ratio", "channels", "globality"]
    original = swaps[0].original
    rows = [
        ["as it was", "", original.layout, amount(swaps[0].cost_from), "", "", f"{globality(original):.3f}"]
    ]
    return grid(
        f"One stage of another kind at equal {unit}", columns, rows + [plan_row(swap) for swap in swaps]
    )


def plan_row(swap: Swap) -> list[str]:
    """One swap."""
    before, variant = swap.original.stages[swap.index], swap.variant
    ratio = "-" if swap.cost_ratio is None else f"{swap.cost_ratio:.3f}"
    head = [f"{swap.place} {before.kind}", swap.kind]
    if variant is None:
        return [*head, "refused", "-", ratio, "-", "-"]
    widths = f"{before.channels} to {variant.stages[swap.index].channels}"
    return [*head, variant.layout, amount(swap.cost_to or 0), ratio, widths, f"{globality(variant):.3f}"]


def swaps_table(swaps: pd.DataFrame) -> Table:
    """The swaps of one trial, with their results."""
    columns = [
        "stage",
        "as",
        "layout",
        "cost",
        "channels",
        "globality",
        "seeds",
        "was",
        "top1",
        "difference",
        "95 %",
    ]
    rows = [swap_row(row) for _, row in swaps.iterrows()]
    unit = objective_of(str(swaps["cost_name"].iloc[0])).unit
    title = f"One stage of another kind at equal {unit} (difference of top1 on validation, same seeds)"
    return grid(title, columns, rows)


def swap_row(row: "pd.Series[Any]") -> list[str]:
    """One swap."""
    low, high = (number(row[f"difference_{end}"], "+.4f") for end in ("low", "high"))
    refused = pd.isna(row["architecture_to"])
    return [
        f"{row['place']} {row['kind_from']}",
        str(row["kind_to"]),
        "refused" if refused else str(row["layout_to"]),
        number(row["cost_ratio"], ".3f"),
        "-" if refused else f"{row['channels_from']} to {row['channels_to']}",
        number(row["globality_to"], ".3f"),
        str(row["seeds"]),
        number(row["top1_from"], ".4f"),
        number(row["top1_to"], ".4f"),
        number(row["difference"], "+.4f"),
        "-" if low == "-" else f"{low} to {high}",
    ]
