"""The frames of a run: what was recorded, and what follows from it. None of them needs torch or a picture."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from archsearch.results.families import disagreement_frame, families_frame, fronts_frame, price_frame
from archsearch.results.frontier import frontier_frame
from archsearch.results.importance import importance_frame
from archsearch.results.map import map_frame
from archsearch.results.measured_globality import no_measured_globality
from archsearch.results.proxies import proxy_report
from archsearch.results.repeats import repeats_frame
from archsearch.results.swaps import no_swaps
from archsearch.stats.seeds import SeedSpread, seed_spread
from archsearch.storage.open import close, open_read_only
from archsearch.storage.run_folder import RunFolder


@dataclass(frozen=True)
class RunFrames:
    """A run folder, read. All but ``folder``, ``objectives`` and ``descriptions`` are DataFrames.

    Attributes:
        folder: its path.
        objectives: what was optimised, accuracy first.
        trials: one row a trial; see ``results.trials.trials_frame`` for the columns.
        stages: one row for each part of each trial; see ``results.trials.stages_frame``.
        descriptions: each architecture as JSON, by its id.
        finalists: one row for each architecture that was retrained; see ``results.finalists``.
        repeats: one row for each training beside the search, of finalists and of swaps; see ``results.repeats``.
        swaps: one row for each stage that was swapped at equal cost; see ``results.swaps``.
        measured_globality: one row for each trained winner whose reach was measured; see ``results.measured_globality``.
    """

    folder: Path
    objectives: tuple[str, ...]
    trials: pd.DataFrame
    stages: pd.DataFrame
    descriptions: dict[str, str]
    finalists: pd.DataFrame = field(default_factory=pd.DataFrame)
    swaps: pd.DataFrame = field(default_factory=no_swaps)
    measured_globality: pd.DataFrame = field(default_factory=no_measured_globality)
    repeats: pd.DataFrame = field(default_factory=lambda: repeats_frame({}))

    @cached_property
    def frontier(self) -> pd.DataFrame:
        """The Pareto front, cheapest first; see ``results.frontier.frontier_frame``."""
        return frontier_frame(self.trials, self.objectives)

    @cached_property
    def proxies(self) -> pd.DataFrame:
        """How every rung and score ranks the candidates; see ``results.proxies.proxy_report``."""
        return proxy_report(self.trials)

    @cached_property
    def importance(self) -> pd.DataFrame:
        """How much each choice decides, from the storage; see ``results.importance.importance_frame``."""
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
        """What each family reaches at equal budget, and what it adds to the front; see ``results.families.families_frame``."""
        return families_frame(self.trials, self.objectives, self.spread)

    @cached_property
    def fronts(self) -> pd.DataFrame:
        """Each family's own front; see ``results.families.fronts_frame``."""
        return fronts_frame(self.trials, self.cost)

    @cached_property
    def price(self) -> pd.DataFrame:
        """What each family with global stages gains and costs; see ``results.families.price_frame``."""
        return price_frame(self.trials, self.cost, self.spread)

    @cached_property
    def disagreement(self) -> pd.DataFrame:
        """Candidates on the MACs front and off the latency front; see ``results.families.disagreement_frame``."""
        return disagreement_frame(self.trials)

    @property
    def cost(self) -> str:
        """The objective that a picture shows against accuracy; MACs if accuracy is the only one."""
        return self.objectives[1] if len(self.objectives) > 1 else "macs"

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What the run belongs to and on what it ran (``run.json``)."""
        content: dict[str, Any] = json.loads(RunFolder(self.folder).manifest.read_text())
        return content
