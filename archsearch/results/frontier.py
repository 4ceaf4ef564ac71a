"""The frontier: trials that no other trial beats on every objective, within all limits."""

from collections.abc import Mapping

import pandas as pd

from archsearch.objectives import Direction, objective_of


def frontier_frame(trials: pd.DataFrame, objectives: tuple[str, ...]) -> pd.DataFrame:
    """The rows of ``trials`` on the frontier, cheapest first.

    Raises:
        ValueError: a trained trial has no finite value of an objective; such a row cannot be ranked.
    """
    trained = trials[trials["outcome"] == "trained"]
    values = trained[list(objectives)]
    if values.isna().to_numpy().any():
        numbers = ", ".join(map(str, trained.loc[values.isna().any(axis=1), "number"]))
        raise ValueError(f"trials {numbers} are trained and lack a value of {', '.join(objectives)}")
    kept = trained[non_dominated(values, {name: objective_of(name).direction for name in objectives})]
    return kept.sort_values(objectives[-1], kind="stable").reset_index(drop=True)


def non_dominated(values: pd.DataFrame, directions: Mapping[str, Direction]) -> "pd.Series[bool]":
    """Whether each row is on the frontier; equal rows are, or are not, together."""
    costs = pd.DataFrame({n: -values[n] if d == "maximize" else values[n] for n, d in directions.items()})
    matrix = costs.to_numpy(dtype=float)
    beaten = [bool(((matrix <= row).all(axis=1) & (matrix < row).any(axis=1)).any()) for row in matrix]
    return ~pd.Series(beaten, index=values.index, dtype=bool)
