"""``archsearch run``."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from archsearch.api import run_study
from archsearch.cli.progress import Progress
from archsearch.cli.report import save_report
from archsearch.cli.tables import console, finalists_table, frontier_table, outcomes, show_answer
from archsearch.errors import InputError, Problem, shown
from archsearch.formatting import duration
from archsearch.results import Run
from archsearch.results.proxies import proxy_lines
from archsearch.space import load_space
from archsearch.storage.trial_record import USED
from archsearch.study.config import StudyConfig, load_study
from archsearch.study.engines.ray import OnRay
from archsearch.study.run import Engine


def run_command(
    space_file: Path,
    study_file: Path | None,
    flags: Mapping[str, Any],
    out: Path | None,
    storage: str | None = None,
    engine: Engine | None = None,
) -> None:
    """Search, show the progress, print the frontier and where everything lies."""
    space = load_space(space_file)
    study = load_study(space.study, str(space_file), study_file, flags)
    folder = out or default_folder(space.name, study, study_file)
    screen = console()
    screen.print(
        f"{space.name}: {space.size():,} architectures; {study.slots} trials on {study.data}; {folder}"
    )
    progress = Progress(screen)
    try:
        with progress.shown():
            run = run_study(space, study, folder, callbacks=[progress], storage=storage, engine=engine)
    except (KeyboardInterrupt, SystemExit):
        screen.print(f"stopped: {progress.done} of {study.slots} trials are done; the same command resumes")
        raise
    summary(screen, run, study)


def engine_of(name: str | None, workers: int | None, gpus: float) -> Engine | None:
    """The engine of that name; this process alone if none is named.

    Raises:
        InputError: no engine has the name, or there is none and its flags are given.
    """
    if name is None:
        if workers is not None or gpus:
            what, remedy = "mean something with an engine", "write --engine ray, or start this command twice"
            raise InputError("archsearch run", [Problem("--workers, --gpus", what, remedy)])
        return None
    if name != "ray":
        raise InputError("archsearch run", [Problem("--engine", f"{shown(name)} is no engine", "write ray")])
    return OnRay(workers=workers, gpus=gpus)


def default_folder(space: str, study: StudyConfig, study_file: Path | None) -> Path:
    """``runs/<space>/<study>``: a study file names it, else the data and the seed."""
    if study_file is not None:
        return Path("runs") / space / study_file.stem
    data = re.sub(r"[^A-Za-z0-9.-]+", "-", study.data.rstrip("/").rpartition("/")[2]).strip(".-") or "data"
    return Path("runs") / space / f"{data}-seed{study.seed}"


def summary(screen: Console, run: Run, study: StudyConfig) -> None:
    """The frontier, the counts, and what to do next."""
    counts = run.trials["outcome"].value_counts()
    done = sum(int(counts.get(outcome, 0)) for outcome in USED)
    screen.print()
    screen.print(frontier_table(run))
    if len(run.finalists):
        screen.print()
        screen.print(finalists_table(run))
    spent = duration(float(run.trials["seconds"].sum()))
    screen.print(f"\n{outcomes(run)}; {spent} in trials")
    if done < study.slots:
        screen.print(f"the space is exhausted: it has nothing new after {done} of {study.slots} trials")
    for line in proxy_lines(run.proxies):
        screen.print(line)
    show_answer(screen, run)
    screen.print(f"tables, picture and winners: {run.folder}")
    screen.print(f"report: {save_report(run)}", markup=False, soft_wrap=True)
    screen.print(f"dashboard: archsearch dashboard {run.folder}", markup=False, soft_wrap=True)
