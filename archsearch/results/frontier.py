"""The Pareto front of a run: the trained trials within all limits that no other one dominates."""

from collections.abc import Sequence

import pandas as pd

from archsearch.objectives import objective_of
from archsearch.stats.pareto import is_efficient


def frontier_frame(trials: pd.DataFrame, objectives: Sequence[str]) -> pd.DataFrame:
    """The rows of ``trials`` on the Pareto front, cheapest first.

    Raises:
        ValueError: a trained trial has no finite value of an objective; such a row cannot be ranked.
    """
    kept = trials[on_frontier(trials, objectives)]
    return kept.sort_values(objectives[-1], kind="stable").reset_index(drop=True)


def on_frontier(trials: pd.DataFrame, objectives: Sequence[str]) -> "pd.Series[bool]":
    """Whether each row is on the Pareto front, which has trained trials within all limits only; raises as above."""
    over = (trials.filter(regex=r"^excess\.") > 0).fillna(value=False).any(axis=1)
    candidate = (trials["outcome"] == "trained") & ~over.astype(bool)
    values = trials.loc[candidate, list(objectives)]
    if values.isna().to_numpy().any():
        numbers = ", ".join(map(str, trials.loc[values.index[values.isna().any(axis=1)], "number"]))
        raise ValueError(f"trials {numbers} are trained and lack a value of {', '.join(objectives)}")
    on = pd.Series(data=False, index=trials.index, dtype=bool)
    on[candidate] = non_dominated(values)
    return on


def non_dominated(values: pd.DataFrame) -> "pd.Series[bool]":
    """Whether each row is on the Pareto front of its columns, which are objectives; equal rows are, or are not, together."""
    signs = [-1 if objective_of(str(name)).direction == "maximize" else 1 for name in values]
    return pd.Series(is_efficient(values.to_numpy(dtype=float) * signs), index=values.index, dtype=bool)
