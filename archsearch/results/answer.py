"""The answer in words: where to be local and where to be global, what it costs, and how sure that is.

Every difference is given with the differences that seeds alone make. Where those hide it, the sentence says so;
where no architecture was trained from several seeds, it says that this is not known.
"""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from archsearch.families import ALL_LOCAL, describe_family
from archsearch.formatting import as_sentence, listed
from archsearch.objectives import objective_of
from archsearch.results.families import by_family, most_accurate
from archsearch.results.frames import RunFrames
from archsearch.results.map import best_globality, coverage, means_of
from archsearch.results.measured_globality import measured_globality_lines
from archsearch.results.swaps import swap_lines
from archsearch.results.trials import trained_trials


def answer_lines(run: RunFrames) -> list[str]:
    """The answer of a run, sentence by sentence; one sentence saying that there is none if nothing was trained."""
    if trained_trials(run.trials).empty:
        return ["No candidate was trained to its end, so there is no answer yet."]
    return [
        *best_lines(run),
        *family_lines(run),
        *map_lines(run),
        *disagreement_lines(run),
        *map(as_sentence, swap_lines(run.swaps)),
        *map(as_sentence, measured_globality_lines(run.measured_globality)),
        *spread_lines(run),
    ]


def best_lines(run: RunFrames) -> Iterator[str]:
    """The most accurate network, its parts, its cost and its accuracy."""
    best, cost = most_accurate(run.frontier), objective_of(run.cost)
    yield (
        f"Most accurate: trial {best['number']} ({best['layout']}, {best['family']}) with top-1 "
        f"{with_interval(best, run)} at {cost.write_with_unit(best[run.cost])}; {describe_standing(best)}."
    )
    tested = run.finalists[run.finalists["test_top1_sd"].notna()] if len(run.finalists) else run.finalists
    if len(tested):
        row = tested.iloc[0]
        yield (
            f"Retrained from {row['seeds']} seeds, trial {row['number']} ({row['layout']}) is the best on test images: "
            f"{row['test_top1_mean']:.3f} +- {row['test_top1_sd']:.3f}."
        )


def describe_standing(row: "pd.Series[Any]") -> str:
    """How global a network is, and what it spends on attention."""
    text = f"globality {row['globality']:.2f}"
    if pd.notna(row["global_macs_share"]) and row["global_macs_share"] > 0:
        text += f", {row['global_macs_share']:.0%} of its MACs in attention"
    if pd.notna(row["global_tokens"]):
        text += f", first attention over {row['global_tokens']} tokens"
    return text


def family_lines(run: RunFrames) -> Iterator[str]:
    """Every family with global stages against the local one, at equal cost and at its best."""
    if ALL_LOCAL not in set(run.families["family"]):
        families = ", ".join(run.families["family"])
        yield f"No {ALL_LOCAL} network was trained ({families} were), so the price of being global is not known."
        return
    if run.price.empty:
        yield f"Only {ALL_LOCAL} networks were trained, so being global was never tried."
        return
    for _, row in run.price.iterrows():
        yield price_line(row, run)


def price_line(row: "pd.Series[Any]", run: RunFrames) -> str:
    """One family against the local one."""
    low, high = (row[f"gain_at_equal_cost_{end}"] for end in ("low", "high"))
    cost = objective_of(run.cost)
    text = f"{row['family']} against {ALL_LOCAL}: "
    if pd.isna(low):
        text += f"{row['gain_at_equal_cost']:+.3f} top-1 at equal {cost.short} (how much of it is due to seeds is not known)"
    else:
        text += f"{row['gain_at_equal_cost']:+.3f} top-1 at equal {cost.short} ({low:+.3f} to {high:+.3f})"
        text += ", not separated by the seeds" if low <= 0 <= high else ""
    extra = cost.write_with_unit(abs(row["extra_cost"]))
    dearer = "more" if row["extra_cost"] > 0 else "less"
    gain = f"{row['gain']:+.3f} top-1 for {extra} {dearer}"
    if run.spread is not None and abs(row["gain"]) < run.spread.margin_between():
        gain += f", within the {run.spread.margin_between():.3f} that seeds make"
    return f"{text}; best against best {gain}."


def map_lines(run: RunFrames) -> Iterator[str]:
    """The globality of the best cell, and of the cells whose difference to it the seeds explain."""
    best = best_globality(run.map, run.spread)
    if best is None:
        return
    middle, low, high = best
    held, cells = coverage(run.map, run.trials, run.cost)
    text = f"The best cell of the map lies at globality {middle:.2f}"
    if run.spread is None:
        text += "; how far that is the seed's doing is not known"
    elif high - low < 0.005:
        text += ", and no other cell is within what seeds make"
    else:
        text += f"; cells from {low:.2f} to {high:.2f} are not told apart from it by the seeds"
    yield f"{text} ({held} of {cells} cells hold a trained network)."


def disagreement_lines(run: RunFrames) -> Iterator[str]:
    """What choosing by MACs instead of latency would cost."""
    off = run.disagreement
    if off.empty:
        return
    worst = off.sort_values("latency_factor").iloc[-1]
    yield (
        f"{len(off)} networks of the MACs front are off the latency front, by a factor of up to "
        f"{worst['latency_factor']:.2f} (trial {worst['number']}, {worst['family']})."
    )


def spread_lines(run: RunFrames) -> Iterator[str]:
    """What the intervals are made of."""
    if run.spread is None:
        yield (
            "No architecture was trained from several seeds, so that differences above are those of single trainings; "
            "write finalists: 4, or run archsearch swap, to know the spread."
        )
        return
    spread = run.spread
    yield (
        f"Seeds deviate by {spread.deviation:.4f} ({spread.degrees} degrees of freedom, trainings of "
        f"{spread.samples:,} images); intervals are 95 %, and the best of many candidates is flattered by its seed."
    )


def with_interval(row: "pd.Series[Any]", run: RunFrames) -> str:
    """The accuracy of a candidate with its interval: that of its own seeds, where the search's budget was repeated."""
    value, spread = float(row["top1"]), run.spread
    if spread is None:
        return f"{value:.3f} (one training)"
    own = means_of(run.repeats, spread).get(str(row["architecture"]))
    middle, seeds = own or (value, 1)
    margin = spread.margin(seeds)
    interval = f"{middle - margin:.3f} to {middle + margin:.3f}"
    return (
        f"{value:.3f} ({interval})"
        if own is None
        else f"{value:.3f}, {middle:.3f} ({interval}) over {seeds} other seeds,"
    )


def explain_codes(run: RunFrames) -> str:
    """What the letters of a layout and the names of the families mean, of those that this run has."""
    trained = trained_trials(run.trials)
    known = trained.drop_duplicates("layout")
    # A stem and a stage of one letter are two kinds.
    stems, stages = set(), set()
    for layout, architecture in zip(known["layout"], known["architecture"], strict=True):
        if architecture in run.descriptions:
            description = json.loads(run.descriptions[architecture])
            stems.add(f"{layout[0]} {description['stem']['kind']}")
            letters = zip(layout[2:], description["stages"], strict=False)
            stages |= {f"{letter} {stage['kind']}" for letter, stage in letters}
    families = "; ".join(f"{name}: {describe_family(name)}" for name, _ in by_family(trained))
    return (
        f"A layout has a letter for the stem ({listed(sorted(stems))}), then one for each stage "
        f"({listed(sorted(stages))}). Families (stages count from 0): {families}."
    )
