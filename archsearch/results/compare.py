"""Runs against each other: which found more, and what each needed to find as much as another one.

The cost of a search is what it spent, not how many trials it had: training images shown and seconds, summed over
its trials, also over those that failed, were stopped or were infeasible.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from archsearch.errors import InputError, Problem, shown
from archsearch.objectives import measured_among
from archsearch.results.frames import RunFrames
from archsearch.results.trials import trained_trials
from archsearch.stats.hypervolume import Indicators
from archsearch.stats.pareto import front
from archsearch.storage.run_folder import RunFolder

# What an accuracy means, and what a measured cost means.
SAME = ("space", "space_fingerprint", "data", "data_fingerprint", "recipe.validation_images")
SAME_MEASURED = ("device", "latency_batch", "latency_dtype", "latency_mode")
ENDED = ("COMPLETE", "PRUNED", "FAIL")
SPENT = ["trials", "samples", "seconds"]
COUNTS = ("trained", "front", "trials", "samples")
PARTS = ["profile_seconds", "score_seconds", "train_seconds"]
# The same points in another order may differ in the last digits of their hypervolume.
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs held against each other; see ``stats.hypervolume`` for the indicators and ``add_spent`` for the costs.

    Attributes:
        objectives: what all of them optimised, accuracy first.
        candidates: every trained candidate: ``run``, ``number``, ``architecture``, the objectives, and what the
            search had cost by its end: ``trials``, ``samples``, ``seconds``.
        curves: each run after each trial that ended: ``run``, ``trials``, ``samples``, ``seconds``,
            ``hypervolume``, ``igd_plus`` (NA before the first trained candidate).
        final: each run at its end: ``run``, ``trained``, ``front`` (points on its own front), ``samples``,
            ``seconds``, ``hypervolume``, ``igd_plus``, ``attained``.
        reached: each ``run`` and each ``other``: the other's final ``hypervolume``, the ``trials``, ``samples`` and
            ``seconds`` after which the run had as much (NA if it never had), and ``samples_ratio`` and
            ``seconds_ratio`` to what the other itself had spent when it first had that hypervolume.
    """

    objectives: tuple[str, ...]
    candidates: pd.DataFrame
    curves: pd.DataFrame
    final: pd.DataFrame
    reached: pd.DataFrame


def compare(runs: Mapping[str, RunFrames]) -> Comparison:
    """Hold ``runs``, by their names, against each other.

    Raises:
        InputError: they have other objectives, space or data, measured elsewhere, or have nothing trained.
    """
    refuse_incomparable(runs)
    objectives = next(iter(runs.values())).objectives
    ended = pd.concat(
        [add_spent(run.trials).assign(run=name) for name, run in runs.items()], ignore_index=True
    )
    trained = trained_trials(ended)
    indicators = Indicators.of(trained, objectives)
    curves = pd.concat(
        [progress_curve(ended[ended["run"] == name], indicators) for name in runs], ignore_index=True
    )
    columns = ["run", "number", "architecture", *objectives, "trials", "samples", "seconds"]
    return Comparison(
        objectives=objectives,
        candidates=trained[columns].reset_index(drop=True),
        curves=curves,
        final=with_types(pd.DataFrame([final_row(name, trained, curves, indicators) for name in runs])),
        reached=reached_frame(curves),
    )


def refuse_incomparable(runs: Mapping[str, RunFrames]) -> None:
    """InputError with everything that keeps ``runs`` from being compared."""
    if not runs:
        raise InputError("comparison", [Problem("", "no run is given", "give one run at least")])
    problems = [
        Problem(name, "no candidate is trained yet", "compare it when one is")
        for name, run in runs.items()
        if trained_trials(run.trials).empty
    ]
    (first, reference), *others = runs.items()
    for name, run in others:
        what = "; ".join(differences(reference, run))
        if what:
            remedy = "compare runs of one space on the same data, for the same objectives"
            problems.append(Problem("", f"{first} and {name} are not comparable: {what}", remedy))
    if problems:
        raise InputError("comparison", problems)


def differences(one: RunFrames, other: RunFrames) -> Iterator[str]:
    """What makes an accuracy or a cost of ``one`` mean something else than in ``other``."""
    if one.objectives != other.objectives:
        yield f"objectives {', '.join(one.objectives)} against {', '.join(other.objectives)}"
    mine, theirs = RunFolder(one.folder).identity(), RunFolder(other.folder).identity()
    measured = measured_among((*one.objectives, *other.objectives))
    names = [*SAME, *SAME_MEASURED] if measured else [*SAME]
    differing = [name for name in names if mine.get(name) != theirs.get(name)]
    for name in differing:
        # Under another name it is something else anyway.
        if name.removesuffix("_fingerprint") == name or name.removesuffix("_fingerprint") not in differing:
            yield f"{name} {shown(mine.get(name))} against {shown(theirs.get(name))}"


def add_spent(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that ended, in that order, with what the search had cost by then: the sums over all until there.

    Replaces ``seconds`` and ``samples`` by these sums and adds ``trials``, their number. A trial without ``seconds``
    counts its known parts; one without ``samples`` those of its last rung, or none if it was never trained. If
    ``evaluate`` replaced the training of a candidate, its samples are unknown, and from there on they are NA.
    """
    ended = trials[trials["state"].isin(ENDED)].copy()
    ended["seconds"] = ended["seconds"].fillna(ended[PARTS].sum(axis=1)).astype("Float64")
    ended["samples"] = samples_seen(ended)
    duration = pd.to_timedelta(ended["seconds"].astype("float64"), unit="s")
    ended = ended.assign(end=ended["started"] + duration).sort_values(["end", "number"], ignore_index=True)
    return ended.assign(
        trials=range(1, len(ended) + 1),
        samples=ended["samples"].cumsum(skipna=False),
        seconds=ended["seconds"].cumsum(),
    )


def samples_seen(ended: pd.DataFrame) -> "pd.Series[int]":
    """Training images that each trial was shown; NA for a trained one that does not say."""
    rungs = ended.filter(regex=r"^rung_\d+_samples$").astype("Float64").max(axis=1).astype("Float64")
    seen = ended["samples"].astype("Float64").fillna(rungs)
    return seen.mask(seen.isna() & (ended["outcome"] != "trained").fillna(value=True), 0).astype("Int64")


def progress_curve(ended: pd.DataFrame, indicators: Indicators) -> pd.DataFrame:
    """Hypervolume and IGD+ of one run after each trial that ended."""
    trained = ended["outcome"] == "trained"
    known = pd.DataFrame(
        list(indicators.history(ended[trained])), ended.index[trained], ["hypervolume", "igd_plus"]
    )
    known = known.reindex(ended.index).ffill().fillna({"hypervolume": 0.0})
    return with_types(pd.concat([ended[["run", *SPENT]], known], axis=1))


def final_row(
    name: str, trained: pd.DataFrame, curves: pd.DataFrame, indicators: Indicators
) -> dict[str, object]:
    """A run at its end."""
    mine, end = trained[trained["run"] == name], curves[curves["run"] == name].iloc[-1]
    return {
        "run": name,
        "trained": len(mine),
        "front": len(front(indicators.points(mine))),
        **{column: end[column] for column in ("samples", "seconds", "hypervolume", "igd_plus")},
        "attained": indicators.attained(mine),
    }


def reached_frame(curves: pd.DataFrame) -> pd.DataFrame:
    """For each run and each other, what it needed for the other's final hypervolume."""
    by_run = {str(name): frame for name, frame in curves.groupby("run", sort=False)}
    rows = [reached_row(one, other, by_run) for one in by_run for other in by_run if one != other]
    columns = ["run", "other", "hypervolume", *SPENT, "samples_ratio", "seconds_ratio"]
    return with_types(pd.DataFrame(rows, columns=columns))


def with_types(frame: pd.DataFrame) -> pd.DataFrame:
    """The type of every column, whatever the rows hold: missing values are NA."""
    types = {"run": "string", "other": "string"} | dict.fromkeys(COUNTS, "Int64")
    return frame.astype({name: types.get(name, "Float64") for name in frame.columns})


def reached_row(one: str, other: str, by_run: Mapping[str, pd.DataFrame]) -> dict[str, object]:
    """One run and one other."""
    target = float(by_run[other]["hypervolume"].iloc[-1])
    mine, theirs = (first_at(by_run[name], target) for name in (one, other))
    ratios = (mine / theirs.mask(theirs == 0)).rename(lambda name: f"{name}_ratio")
    return {"run": one, "other": other, "hypervolume": target, **mine, **ratios.drop("trials_ratio")}


def first_at(run: pd.DataFrame, target: float) -> "pd.Series[float]":
    """Trials, samples and seconds after which a curve first reaches ``target``; NA if it never does."""
    there = run.loc[run["hypervolume"] >= target - ROUNDING, SPENT]
    row = there.iloc[0] if len(there) else pd.Series(pd.NA, SPENT)
    return row.astype("Float64")


def comparison_lines(comparison: Comparison) -> list[str]:
    """A sentence for each run and each other."""
    return [describe_reached(row) for _, row in comparison.reached.iterrows()]


def describe_reached(row: "pd.Series[float]") -> str:
    """One row of ``reached`` in words."""
    one, other = row["run"], row["other"]
    goal = f"{other}'s final hypervolume {row['hypervolume']:.3f}"
    if pd.isna(row["trials"]):
        return f"{one} never reaches {goal}"
    parts = {"samples_ratio": "training samples", "seconds_ratio": "seconds"}
    known = [(f"{row[name]:.2f}", unit) for name, unit in parts.items() if pd.notna(row[name])]
    if not known:
        return f"{one} reaches {goal}"
    (share, unit), *more = known
    also = "".join(f" ({share} of the {unit})" for share, unit in more)
    return f"{one} reaches {goal} after {share} of the {unit} that {other} needed{also}"
