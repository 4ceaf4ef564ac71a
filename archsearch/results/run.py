"""A run that lies in a folder: its frames, and the files that are derived from its record."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from archsearch.errors import InputError, Problem
from archsearch.results.finalists import finalists_frame
from archsearch.results.frontier import frontier_frame
from archsearch.results.plot import save_frontier_plot
from archsearch.results.proxies import proxy_report
from archsearch.results.table import stages_frame, trials_frame
from archsearch.study.folder import RunFolder, replacing, study_name, write_atomically
from archsearch.study.storage import close, load_study_record


@dataclass(frozen=True)
class Run:
    """A run folder, read. ``trials``, ``stages`` and ``frontier`` are DataFrames.

    Attributes:
        folder: where it lies.
        objectives: what was optimised, accuracy first.
        trials: one row a trial; see ``results.table.trials_frame`` for the columns.
        stages: one row for each part of each trial; see ``results.table.stages_frame``.
        descriptions: each architecture as JSON, by its id.
        finalists: one row for each architecture that was trained anew; see ``results.finalists``.
    """

    folder: Path
    objectives: tuple[str, ...]
    trials: pd.DataFrame
    stages: pd.DataFrame
    descriptions: dict[str, str]
    finalists: pd.DataFrame = field(default_factory=pd.DataFrame)

    @cached_property
    def frontier(self) -> pd.DataFrame:
        """The non-dominated trials, cheapest first."""
        return frontier_frame(self.trials, self.objectives)

    @cached_property
    def proxies(self) -> pd.DataFrame:
        """How every rung and score ranks the candidates; see ``results.proxies.proxy_report``."""
        return proxy_report(self.trials)

    @property
    def cost(self) -> str:
        """The objective that a picture shows against accuracy; MACs if accuracy is the only one."""
        return self.objectives[1] if len(self.objectives) > 1 else "macs"

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What the run belongs to and on what it ran (``run.json``)."""
        content: dict[str, Any] = json.loads(RunFolder(self.folder).manifest.read_text())
        return content


def load_run(folder: str | Path) -> Run:
    """The run in ``folder``, finished, stopped or going on.

    Raises:
        InputError: there is no run in this folder.
        EnvironmentFaultError: its database cannot be read.
    """
    place = RunFolder(Path(folder))
    study = opened(place)
    try:
        trials = trials_frame(study)
        finalists = finalists_frame(study.user_attrs, trials)
        return Run(place.path, objectives(study), trials, stages_frame(study), descriptions(study), finalists)
    finally:
        close(study)


def opened(folder: RunFolder) -> optuna.Study:
    """The study whose results lie in ``folder``: in its file, or in the database that its manifest names."""
    if folder.database.is_file():
        return load_study_record(folder.database)
    storage = folder.storage if folder.manifest.is_file() else None
    if storage is None:
        what, remedy = "no run lies here (there is no study.db)", "give the folder that archsearch run named"
        raise InputError(str(folder.path), [Problem("", what, remedy)])
    return load_study_record(storage, study_name(folder.identity()))


def objectives(study: optuna.Study) -> tuple[str, ...]:
    """The names that the study's values have."""
    return tuple(study.metric_names or ())


def descriptions(study: optuna.Study) -> dict[str, str]:
    """Each architecture as JSON, by its id."""
    attributes = [trial.user_attrs for trial in study.get_trials(deepcopy=False)]
    return {a["architecture"]: a["description"] for a in attributes if "description" in a}


def write_results(run: Run) -> None:
    """Derive every result file from the record: tables, the frontier and its picture; each replaced whole."""
    for name, frame in (("trials.parquet", run.trials), ("stages.parquet", run.stages)):
        with replacing(run.folder / name) as beside:
            frame.to_parquet(beside, compression="zstd", index=False)
    write_atomically(run.folder / "trials.csv", run.trials.to_csv(index=False))
    write_atomically(run.folder / "frontier.csv", run.frontier.to_csv(index=False))
    write_atomically(run.folder / "proxies.csv", run.proxies.to_csv(index=False))
    if len(run.finalists):
        write_atomically(run.folder / "finalists.csv", run.finalists.to_csv(index=False))
    title = f"{run.manifest['identity']['space']} on {run.manifest['identity']['data']}"
    with replacing(run.folder / "frontier.png") as beside:
        save_frontier_plot(run.trials, run.frontier, run.cost, beside, title)
