"""A run folder: read from its record, with its answer, and written as tables."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import optuna
import pandas as pd

from archsearch.files import replacing, write_atomically
from archsearch.results.answer import answer_lines
from archsearch.results.finalists import finalists_frame
from archsearch.results.frames import RunFrames
from archsearch.results.health import health_frame
from archsearch.results.measured_globality import measured_globality_frame
from archsearch.results.repeats import repeats_frame
from archsearch.results.swaps import swaps_frame
from archsearch.results.trials import stages_frame, trials_frame
from archsearch.storage.open import close, open_read_only
from archsearch.storage.run_folder import RunFolder

# What older versions called a table that has another name now.
OLD_TABLES = ("realised.csv",)


@dataclass(frozen=True)
class Run(RunFrames):
    """A run folder, read: its frames, and what they say."""

    @cached_property
    def answer(self) -> list[str]:
        """Where to be local and where global, in sentences; see ``results.answer.answer_lines``."""
        return answer_lines(self)

    @cached_property
    def health(self) -> pd.DataFrame:
        """What could make the result say less than it seems to; see ``results.health.health_frame``."""
        return health_frame(self)


def load_run(folder: str | Path) -> Run:
    """The run in ``folder``, which may be finished, stopped or still running.

    Raises:
        InputError: there is no run in this folder.
        EnvironmentFaultError: its database cannot be read.
    """
    place = RunFolder(Path(folder))
    study = open_read_only(*place.record())
    try:
        trials = trials_frame(study)
        return Run(
            folder=place.path,
            objectives=objectives(study),
            trials=trials,
            stages=stages_frame(study),
            descriptions=descriptions(study),
            finalists=finalists_frame(study.user_attrs, trials),
            swaps=swaps_frame(study.user_attrs, trials),
            measured_globality=measured_globality_frame(study.user_attrs, trials),
            repeats=repeats_frame(study.user_attrs),
        )
    finally:
        close(study)


def objectives(study: optuna.Study) -> tuple[str, ...]:
    """The names that the study's values have."""
    return tuple(study.metric_names or ())


def descriptions(study: optuna.Study) -> dict[str, str]:
    """Each architecture as JSON, by its id."""
    attributes = [trial.user_attrs for trial in study.get_trials(deepcopy=False)]
    return {a["architecture"]: a["description"] for a in attributes if "description" in a}


def write_tables(run: Run) -> None:
    """Write every table that is derived from the record, each replaced whole; what has no rows has no file."""
    for name, frame in (("trials", run.trials), ("stages", run.stages)):
        with replacing(run.folder / f"{name}.parquet") as beside:
            frame.to_parquet(beside, compression="zstd", index=False)
    for name in ("trials", "frontier", "proxies", "map", "families"):
        write_atomically(run.folder / f"{name}.csv", getattr(run, name).to_csv(index=False))
    for name in ("finalists", "measured_globality", "swaps"):
        if len(getattr(run, name)):
            write_atomically(run.folder / f"{name}.csv", getattr(run, name).to_csv(index=False))
    for old in OLD_TABLES:
        (run.folder / old).unlink(missing_ok=True)
