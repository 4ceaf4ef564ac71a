"""How a report begins: the answer, the conditions, the health checks, the Pareto front."""

import json
from collections.abc import Iterator

import pandas as pd

from archsearch.formatting import duration, listed
from archsearch.objectives import objective_of
from archsearch.plots.frontier import frontier_figure
from archsearch.report.blocks import (
    NOTHING,
    Absent,
    Block,
    Check,
    Column,
    Facts,
    FigureBlock,
    Heading,
    Row,
    Section,
    as_short,
    as_top1,
    as_unit_share,
    as_word,
    column_of,
    cost_column,
    identity_columns,
    make_table,
)
from archsearch.results.answer import explain_codes
from archsearch.results.run import Run
from archsearch.results.trials import trained_trials
from archsearch.stats.intervals import CONFIDENCE

# Costs in the table of the front, whether or not they were objectives.
TOLD_COSTS = ("latency_ms", "macs", "params")


def answer(run: Run) -> Section:
    """The answer in words, and what its codes mean where they first stand."""
    if trained_trials(run.trials).empty:
        return Section("answer", "The answer", tuple(run.answer))
    first, *others = run.answer
    return Section("answer", "The answer", (first, explain_codes(run), *others))


def conditions(run: Run) -> Section:
    """Under which conditions all of this was found."""
    manifest, identity = run.manifest, run.manifest["identity"]
    counts = run.trials["outcome"].fillna("running").value_counts()
    outcomes = listed(f"{number} {outcome}" for outcome, number in counts.items())
    pairs = {
        "Space": f"{identity['space']} (fingerprint {identity.get('space_fingerprint', 'unknown')})",
        "Data": f"{identity['data']} (fingerprint {identity.get('data_fingerprint', 'unknown')})",
        "Objectives": listed(objective_of(name).short for name in run.objectives),
        "Limits": write_settings(identity.get("limits") or {}) or "those of the space alone",
        "Search": f"sampler {identity.get('sampler', 'unknown')}, seed {identity['seed']}",
        "Budget": f"{len(run.trials)} trials: {outcomes}",
        "Training": write_settings(
            {k.removeprefix("recipe."): v for k, v in identity.items() if "recipe." in k}
        ),
        "Rungs": describe_rungs(identity),
        "Latency": describe_latency(run),
        "Hardware": f"{identity.get('device', 'unknown')}; {manifest.get('cores', '?')} cores; {manifest.get('system', '')}",
        "Versions": write_settings({"Python": manifest.get("python", "?"), **manifest.get("versions", {})}),
        "When": describe_times(run.trials),
        "Command": " ".join(map(str, manifest.get("command", []))),
        "Revision": manifest.get("git_revision") or "not under version control",
    }
    return Section("conditions", "Conditions", blocks=(Facts(tuple(pairs.items())),))


def write_settings(values: dict[str, object]) -> str:
    """Settings in a row."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    return ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in texts.items())


def describe_rungs(identity: dict[str, object]) -> str:
    """Where trainings are compared on the way."""
    shares = identity.get("rungs")
    if not isinstance(shares, list) or not shares:
        return "none: every candidate gets the whole short training"
    return f"at {listed(f'{float(each):.0%}' for each in shares)} of the training"


def describe_latency(run: Run) -> str:
    """How latency was measured."""
    identity = run.manifest["identity"]
    names = {"latency_batch": "batch", "latency_dtype": "", "latency_mode": "", "threads": "threads"}
    words = (f"{text} {identity[name]}".strip() for name, text in names.items() if identity.get(name))
    return f"median of one forward pass; {', '.join(words)}"


def describe_times(trials: pd.DataFrame) -> str:
    """From the first trial to the last, and the time in trials."""
    started = trials["started"].dropna()
    if started.empty:
        return "no trial has begun"
    ends = started + pd.to_timedelta(trials["seconds"].fillna(0).astype(float), unit="s")
    spent = duration(float(trials["seconds"].sum()))
    first, last = started.min(), ends.max()
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}, local time; {spent} in trials"


def health(run: Run) -> Section:
    """What could be wrong with the answer."""
    rows = run.health.to_dict(orient="records")
    order = {"warn": 0, "unknown": 1, "ok": 2}
    rows.sort(key=lambda row: order.get(row["status"], 1))
    counts = {status: sum(row["status"] == status for row in rows) for status in order}
    sentence = f"Of {len(rows)} checks, {counts['ok']} found nothing wrong, {counts['warn']} warn, {counts['unknown']} cannot be told."
    checks = tuple(Check(row["check"], row["status"], row["text"]) for row in rows)
    return Section("health", "Health checks", (sentence,), checks)


def describe_spread(run: Run) -> str:
    """How far another seed moves an accuracy, as far as anybody knows."""
    if run.spread is None:
        return "No seed was repeated, so how far another seed would move an accuracy is not known."
    return (
        f"Two single trainings are told apart from {run.spread.margin_between():.3f} top-1 on ({100 * CONFIDENCE:.0f} %; standard "
        f"deviation over seeds {run.spread.deviation:.3f}, {run.spread.degrees} degrees of freedom)."
    )


def frontier(run: Run) -> Section:
    """The Pareto front, and the finalists if there are any."""
    done = trained_trials(run.trials)
    if done.empty:
        return Section("frontier", "Pareto front", blocks=(Absent("", NOTHING),))
    sentence = (
        f"{len(run.frontier)} of {len(done)} trained candidates are on the Pareto front of "
        f"{listed(objective_of(name).short for name in run.objectives)}."
    )
    caption = (
        f"Each mark is a trained candidate: to the upper left is better. The line joins the Pareto "
        f"front (outlined), the shape tells the family and the colour the globality. Where the line runs through "
        f"dark marks, local designs hold the front; where it runs through light ones, global designs do. {describe_spread(run)}"
    )
    drawn = frontier_figure(run.trials, run.frontier, run.cost)
    picture = FigureBlock("frontier", "Pareto front", caption, drawn)
    return Section(
        "frontier",
        "Pareto front",
        (sentence, describe_spread(run)),
        (picture, frontier_table(run), *finalists(run)),
    )


def frontier_table(run: Run) -> Block:
    """The Pareto front, cheapest first."""
    chosen = [
        *identity_columns(),
        column_of("top1", "validation", as_top1),
        column_of("test_top1", "test", as_top1),
        *(cost_column(name, name) for name in dict.fromkeys((*TOLD_COSTS, *run.objectives[1:]))),
        column_of("globality", "globality", as_unit_share),
    ]
    caption = (
        "The Pareto front, cheapest first. Accuracies are top-1, of one short training; the search saw no "
        "test images. MACs are for one image."
    )
    return make_table(run.frontier, caption, chosen)


def finalists(run: Run) -> Iterator[Block]:
    """Those that were retrained, with their spread."""
    if run.finalists.empty:
        yield Absent("Finalists", "no finalist was retrained in this run, so no interval over seeds is known")
        return
    chosen = [
        *identity_columns(),
        column_of("seeds", "seeds", as_word),
        column_of("test_top1_mean", "test", as_top1),
        column_of("test_top1_sd", "\N{PLUS-MINUS SIGN}", as_top1),
        column_of("val_top1_mean", "validation", as_top1),
        column_of("val_top1_sd", "\N{PLUS-MINUS SIGN}", as_top1),
        column_of("latency_ms", "latency", as_short, "ms"),
        Column(Heading("range", "ms"), latency_range),
    ]
    caption = (
        "The finalists, retrained, the best on test images first. \N{PLUS-MINUS SIGN} is one standard deviation "
        "over seeds. Latencies whose ranges meet are a tie."
    )
    yield make_table(run.finalists, caption, chosen)


def latency_range(row: Row) -> str:
    """The range of a finalist's latencies."""
    low, high = row["latency_low_ms"], row["latency_high_ms"]
    return "\N{EN DASH}" if pd.isna(low) else f"{as_short(low)} to {as_short(high)}"
