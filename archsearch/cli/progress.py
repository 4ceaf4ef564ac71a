"""The progress of a run in the terminal: trials done, the current one, time left, and the best accuracy so far."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text
from torch import Tensor

from archsearch.formatting import amount, duration
from archsearch.storage.trial_record import TrialRecord
from archsearch.study.callbacks import Callback

BAR = 24


class Progress(Callback):
    """Prints a line for every recorded trial, and on a terminal a live line under them."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live: Live | None = None
        self.start = time.monotonic()
        self.done_before = self.done = self.trials = 0
        self.best: float | None = None
        self.what = "starting"
        self.share = 0.0

    @contextmanager
    def show_live(self) -> Iterator[None]:
        """Show the live line within this context; on a pipe or in a log there is none."""
        if not self.console.is_terminal:
            yield
            return
        with Live(
            console=self.console, refresh_per_second=4, transient=True, get_renderable=self.line
        ) as self.live:
            yield

    def on_start(self, done: int, trials: int, best: float | None) -> None:
        """Note how many trials are done, and print it if the run resumes."""
        self.done_before = self.done = done
        self.trials = trials
        self.best = best
        self.start = time.monotonic()
        if done:
            self.console.print(f"resuming: {done} of {trials} trials are done")

    def on_phase(self, slot: int, what: str) -> None:
        """Note what has begun."""
        self.what, self.share = f"trial {slot + 1}: {what}", 0.0

    def on_step(self, done: int, total: int, _loss: Tensor) -> None:
        """Note the share of the training that is done."""
        self.share = done / total

    def on_progress(self, done: int) -> None:
        """Note how many slots are used up."""
        self.done = done

    def on_trial_end(self, number: int, record: TrialRecord) -> None:
        """One line for the trial."""
        if record.top1 is not None:
            self.best = max(record.top1, self.best or 0.0)
        self.console.print(self.trial_line(number, record), markup=False)

    def trial_line(self, number: int, record: TrialRecord) -> str:
        """The outcome of a trial, in one line."""
        name = record.reference or record.layout
        head = f"[{self.done:>3}/{self.trials}] trial {number:<4} {name:<8} {amount(record.macs):>6} MACs"
        if record.outcome == "trained":
            latency = f"{record.latency_ms:7.3f} ms" if record.latency_ms is not None else ""
            took = f" ({duration(record.seconds)})" if record.seconds is not None else ""
            return f"{head} {latency}  top1 {record.top1:.4f}  globality {record.globality:.2f}{took}"
        if record.outcome == "paused" and record.rungs:
            rung = record.rungs[-1]
            return (
                f"{head}  at {rung['share']:.0%}: top1 {rung['top1']:.4f}  globality {record.globality:.2f}"
            )
        return f"{head}  {record.outcome}{': ' + record.error if record.error else ''}"

    def line(self) -> Text:
        """The live line."""
        whole = (self.done + self.share) / self.trials if self.trials else 0.0
        filled = round(BAR * whole)
        best = f"  best top1 {self.best:.4f}" if self.best is not None else ""
        bar = "#" * filled + "." * (BAR - filled)
        return Text(
            f"{bar} {self.done}/{self.trials}  {self.what} {self.share:4.0%}{best}  {self.remaining()}"
        )

    def remaining(self) -> str:
        """The time left, judging by the trials of this process."""
        done = self.done - self.done_before + self.share
        if done < 0.5:
            return ""
        each = (time.monotonic() - self.start) / done
        return f"{duration(each * (self.trials - self.done - self.share))} left"
