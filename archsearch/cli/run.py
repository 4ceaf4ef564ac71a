"""``archsearch run``."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archsearch.api import run_study
from archsearch.cli.progress import Progress
from archsearch.cli.report import save_report
from archsearch.cli.tables import console, show_results
from archsearch.errors import InputError, Problem, shown
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
    """Search, show the progress, and print the results and where they are."""
    space = load_space(space_file)
    study = load_study(space.study, str(space_file), study_file, flags)
    folder = out or default_folder(space.name, study, study_file)
    screen = console()
    screen.write_line(
        f"{space.name}: {space.size():,} architectures; {study.slots} trials on {study.data}; {folder}"
    )
    progress = Progress(screen)
    try:
        with progress.show_live():
            run = run_study(space, study, folder, callbacks=[progress], storage=storage, engine=engine)
    except (KeyboardInterrupt, SystemExit):
        screen.write_line(
            f"stopped: {progress.done} of {study.slots} trials are done; the same command resumes"
        )
        raise
    screen.write_line()
    show_results(screen, run, save_report(run))
    done = int(run.trials["outcome"].isin(USED).sum())
    if done < study.slots:
        screen.write_line(f"the space is exhausted: it has nothing new after {done} of {study.slots} trials")
    screen.write_line(f"dashboard: archsearch dashboard {run.folder}")


def engine_of(name: str | None, workers: int | None, gpus: float) -> Engine | None:
    """The engine of that name; None, for training in this process, if none is named.

    Raises:
        InputError: there is no such engine, or its flags are given without one.
    """
    if name is None:
        if workers is not None or gpus:
            what, remedy = "only apply to an engine", "write --engine ray, or start this command twice"
            raise InputError("archsearch run", [Problem("--workers, --gpus", what, remedy)])
        return None
    if name != "ray":
        raise InputError(
            "archsearch run", [Problem("--engine", f"{shown(name)} is not an engine", "write ray")]
        )
    return OnRay(workers=workers, gpus=gpus)


def default_folder(space: str, study: StudyConfig, study_file: Path | None) -> Path:
    """``runs/<space>/<study>``: a study file names it, else the data and the seed."""
    if study_file is not None:
        return Path("runs") / space / study_file.stem
    data = re.sub(r"[^A-Za-z0-9.-]+", "-", study.data.rstrip("/").rpartition("/")[2]).strip(".-") or "data"
    return Path("runs") / space / f"{data}-seed{study.seed}"
