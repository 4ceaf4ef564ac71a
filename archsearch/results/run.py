"""A run that lies in a folder: its frames, and the files that are derived from its record."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from archsearch.files import replacing, write_atomically
from archsearch.plots.frontier import save_frontier_plot
from archsearch.results.families import disagreement_frame, families_frame, fronts_frame, price_frame
from archsearch.results.finalists import finalists_frame
from archsearch.results.frontier import frontier_frame
from archsearch.results.importance import importance_frame
from archsearch.results.map import map_frame
from archsearch.results.measured_globality import measured_globality_frame, no_realised
from archsearch.results.proxies import proxy_report
from archsearch.results.swaps import no_swaps, save_swaps_plot, swaps_frame
from archsearch.results.trials import stages_frame, trials_frame
from archsearch.stats.seeds import SeedSpread, repeats_frame, seed_spread
from archsearch.storage.open import close, open_read_only
from archsearch.storage.run_folder import RunFolder


@dataclass(frozen=True)
class Run:
    """A run folder, read. ``trials``, ``stages`` and ``frontier`` are DataFrames.

    Attributes:
        folder: where it lies.
        objectives: what was optimised, accuracy first.
        trials: one row a trial; see ``results.trials.trials_frame`` for the columns.
        stages: one row for each part of each trial; see ``results.trials.stages_frame``.
        descriptions: each architecture as JSON, by its id.
        finalists: one row for each architecture that was trained anew; see ``results.finalists``.
        repeats: one row for each training beside the search, of finalists and of swaps; see ``stats.seeds``.
        swaps: one row for each stage that was swapped at equal cost; see ``results.swaps``.
        realised: one row for each winner that was asked how far it reaches; see ``results.measured_globality``.
    """

    folder: Path
    objectives: tuple[str, ...]
    trials: pd.DataFrame
    stages: pd.DataFrame
    descriptions: dict[str, str]
    finalists: pd.DataFrame = field(default_factory=pd.DataFrame)
    swaps: pd.DataFrame = field(default_factory=no_swaps)
    realised: pd.DataFrame = field(default_factory=no_realised)
    repeats: pd.DataFrame = field(default_factory=lambda: repeats_frame({}))

    @cached_property
    def frontier(self) -> pd.DataFrame:
        """The non-dominated trials, cheapest first."""
        return frontier_frame(self.trials, self.objectives)

    @cached_property
    def proxies(self) -> pd.DataFrame:
        """How every rung and score ranks the candidates; see ``results.proxies.proxy_report``."""
        return proxy_report(self.trials)

    @cached_property
    def importance(self) -> pd.DataFrame:
        """What each choice decides, read from the record anew; see ``results.importance.importance_frame``."""
        study = open_read_only(*RunFolder(self.folder).record())
        try:
            return importance_frame(study)
        finally:
            close(study)

    @cached_property
    def spread(self) -> SeedSpread | None:
        """What seeds make of an accuracy at the search's budget, or the nearest to it; None if none was repeated."""
        samples = self.trials["samples"].max()
        return seed_spread(self.repeats, None if pd.isna(samples) else int(samples))

    @cached_property
    def map(self) -> pd.DataFrame:
        """The best candidate of each cell of globality and cost; see ``results.map.map_frame``."""
        return map_frame(self.trials, self.cost, self.spread, self.repeats)

    @cached_property
    def families(self) -> pd.DataFrame:
        """What each family came to at equal budget, and adds; see ``results.families.families_frame``."""
        return families_frame(self.trials, self.objectives, self.spread)

    @cached_property
    def fronts(self) -> pd.DataFrame:
        """Each family's own front; see ``results.families.fronts_frame``."""
        return fronts_frame(self.trials, self.cost)

    @cached_property
    def price(self) -> pd.DataFrame:
        """What each family with global stages buys and costs against all-conv; see ``results.families.price_frame``."""
        return price_frame(self.trials, self.cost, self.spread)

    @cached_property
    def disagreement(self) -> pd.DataFrame:
        """Candidates on the MACs front and off the latency front; see ``results.families.disagreement_frame``."""
        return disagreement_frame(self.trials)

    @cached_property
    def answer(self) -> list[str]:
        """Where to be local and where global, in sentences; see ``results.answer.answer_lines``."""
        from archsearch.results.answer import answer_lines  # noqa: PLC0415 - it speaks of a whole run

        return answer_lines(self)

    @cached_property
    def health(self) -> pd.DataFrame:
        """What could make the result say less than it seems to; see ``results.health.health_frame``."""
        from archsearch.results.health import health_frame  # noqa: PLC0415 - it looks at a whole run

        return health_frame(self)

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
            realised=measured_globality_frame(study.user_attrs, trials),
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


def write_results(run: Run) -> None:
    """Derive every result file from the record: tables, the frontier and its picture; each replaced whole."""
    for name, frame in (("trials.parquet", run.trials), ("stages.parquet", run.stages)):
        with replacing(run.folder / name) as beside:
            frame.to_parquet(beside, compression="zstd", index=False)
    write_atomically(run.folder / "trials.csv", run.trials.to_csv(index=False))
    write_atomically(run.folder / "frontier.csv", run.frontier.to_csv(index=False))
    write_atomically(run.folder / "proxies.csv", run.proxies.to_csv(index=False))
    write_atomically(run.folder / "map.csv", run.map.to_csv(index=False))
    write_atomically(run.folder / "families.csv", run.families.to_csv(index=False))
    if len(run.finalists):
        write_atomically(run.folder / "finalists.csv", run.finalists.to_csv(index=False))
    if len(run.realised):
        write_atomically(run.folder / "realised.csv", run.realised.to_csv(index=False))
    title = f"{run.manifest['identity']['space']} on {run.manifest['identity']['data']}"
    with replacing(run.folder / "frontier.png") as beside:
        save_frontier_plot(run.trials, run.frontier, run.cost, beside, title)
    if len(run.swaps):
        write_atomically(run.folder / "swaps.csv", run.swaps.to_csv(index=False))
    if run.swaps["difference"].notna().any():
        with replacing(run.folder / "swaps.png") as beside:
            save_swaps_plot(run.swaps, beside, f"One stage of another kind at equal cost: {title}")
