"""What a run shows while it goes on: where it stands, how far the training is, and how long it still takes."""

import io

import pytest
import torch
from rich.console import Console

from archsearch.cli.progress import BAR, Progress
from archsearch.storage.trial_record import TrialRecord

LOSS = torch.zeros(())


@pytest.fixture
def progress():
    """The progress of a run of 4 trials, of which 1 is done; its output is ``progress.console.file``."""
    progress = Progress(Console(file=io.StringIO(), width=200))
    progress.on_start(1, 4, 0.5)
    return progress


def test_a_resumed_run_prints_what_is_done_already(progress):
    assert progress.console.file.getvalue() == "resuming: 1 of 4 trials are done\n"


def test_a_fresh_run_resumes_nothing():
    progress = Progress(Console(file=io.StringIO()))
    progress.on_start(0, 4, None)

    assert progress.console.file.getvalue() == ""


def test_the_line_counts_the_trial_at_work_by_the_share_of_its_training(progress):
    progress.on_phase(1, "training C-T")
    progress.on_step(2, 4, LOSS)

    # 1 of 4 trials, and half of another: 3 of 8.
    filled = BAR * 3 // 8
    assert str(progress.line()).startswith(
        "#" * filled + "." * (BAR - filled) + " 1/4  trial 2: training C-T  50%  best top1 0.5000"
    )


def test_the_time_left_is_printed_once_half_a_trial_is_done_here(progress, monkeypatch):
    monkeypatch.setattr("archsearch.cli.progress.time.monotonic", lambda: progress.start + 30)
    progress.on_step(1, 4, LOSS)

    assert progress.remaining() == ""

    progress.on_progress(2)
    progress.on_phase(2, "training")

    # One trial took 30 s, and two are left.
    assert progress.remaining() == "60 s left"


def test_an_error_is_printed_as_it_is(progress):
    costs = {"globality": 0.5, "global_depth": None, "global_tokens": None, "params": 10, "macs": 1000}
    network = {"architecture": "0" * 12, "description": "{}", "layout": "C-T", "family": "mixed"}
    record = TrialRecord(slot=3, outcome="failed", error="build: no [red] ones", **network, **costs)
    progress.on_trial_end(3, record)

    assert progress.console.file.getvalue().endswith("1k MACs  failed: build: no [red] ones\n")


def test_there_is_no_live_line_without_a_terminal(progress):
    with progress.show_live():
        assert progress.live is None
