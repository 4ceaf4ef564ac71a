"""How a report begins: the answer, the conditions, the health checks, the Pareto front."""

import json
from collections.abc import Iterator

import pandas as pd

from archsearch.formatting import duration, listed
from archsearch.objectives import objective_of
from archsearch.plots.frontier import frontier_figure
from archsearch.report import tables
from archsearch.report.blocks import NOTHING, Absent, Check, Content, Facts, FigureBlock, TableBlock
from archsearch.results.answer import explain_codes
from archsearch.results.run import Run
from archsearch.results.trials import trained_trials
from archsearch.stats.intervals import CONFIDENCE

# Costs in the table of the front, whether or not they were objectives.
ALWAYS_LISTED = ("latency_ms", "macs", "params")


def describe_answer(run: Run) -> Iterator[Content]:
    """The answer in words, and what its codes mean where they first stand."""
    first, *others = run.answer
    yield first
    if len(trained_trials(run.trials)):
        yield explain_codes(run)
    yield from others


def describe_conditions(run: Run) -> Iterator[Content]:
    """Under which conditions all of this was found."""
    manifest, identity = run.manifest, run.manifest["identity"]
    counts = run.trials["outcome"].fillna("running").value_counts()
    outcomes = listed(f"{number} {outcome}" for outcome, number in counts.items())
    texts = {
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
    yield Facts(texts)


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


def describe_health(run: Run) -> Iterator[Content]:
    """What could be wrong with the answer."""
    rows = run.health.to_dict(orient="records")
    order = {"warn": 0, "unknown": 1, "ok": 2}
    rows.sort(key=lambda row: order.get(row["status"], 1))
    counts = {status: sum(row["status"] == status for row in rows) for status in order}
    yield f"Of {len(rows)} checks, {counts['ok']} found nothing wrong, {counts['warn']} warn, {counts['unknown']} could not be decided."
    yield from (Check(row["check"], row["status"], row["text"]) for row in rows)


def describe_spread(run: Run) -> str:
    """How far another seed moves an accuracy, as far as it is known."""
    if run.spread is None:
        return "No seed was repeated, so how far another seed would move an accuracy is not known."
    return (
        f"Two single trainings are told apart from {run.spread.margin_between():.3f} top-1 on ({100 * CONFIDENCE:.0f} %; standard "
        f"deviation over seeds {run.spread.deviation:.3f}, {run.spread.degrees} degrees of freedom)."
    )


def describe_frontier(run: Run) -> Iterator[Content]:
    """The Pareto front, and the finalists if there are any."""
    done = trained_trials(run.trials)
    if done.empty:
        yield Absent(NOTHING)
        return
    yield (
        f"{len(run.frontier)} of {len(done)} trained candidates are on the Pareto front of "
        f"{listed(objective_of(name).short for name in run.objectives)}."
    )
    yield describe_spread(run)
    caption = (
        f"Each mark is a trained candidate: to the upper left is better. The line joins the Pareto "
        f"front (outlined), the shape tells the family and the colour the globality. Where the line runs through "
        f"dark marks, local designs hold the front; where it runs through light ones, global designs do. {describe_spread(run)}"
    )
    drawn = frontier_figure(run.trials, run.frontier, run.cost)
    yield FigureBlock("frontier", "Pareto front", caption, drawn)
    yield frontier_table(run)
    if run.finalists.empty:
        yield Absent("no finalist was retrained in this run, so no interval over seeds is known", "Finalists")
    else:
        yield finalists_table(run.finalists)


def frontier_table(run: Run) -> TableBlock:
    """The Pareto front, cheapest first."""
    columns = [
        *tables.identity_columns(),
        tables.column_of("top1", "validation", tables.as_top1),
        tables.column_of("test_top1", "test", tables.as_top1),
        *(tables.cost_column(name, name) for name in dict.fromkeys((*ALWAYS_LISTED, *run.objectives[1:]))),
        tables.column_of("globality", "globality", tables.as_unit_share),
    ]
    caption = (
        "The Pareto front, cheapest first. Accuracies are top-1, of one short training; the search saw no "
        "test images. MACs are for one image."
    )
    return tables.make_table(run.frontier, caption, columns)


def finalists_table(finalists: pd.DataFrame) -> TableBlock:
    """Those that were retrained, with their spread."""
    columns = [
        *tables.identity_columns(),
        tables.column_of("seeds", "seeds", tables.as_word),
        tables.column_of("test_top1_mean", "test", tables.as_top1),
        tables.column_of("test_top1_sd", "\N{PLUS-MINUS SIGN}", tables.as_top1),
        tables.column_of("val_top1_mean", "validation", tables.as_top1),
        tables.column_of("val_top1_sd", "\N{PLUS-MINUS SIGN}", tables.as_top1),
        tables.column_of("latency_ms", "latency", tables.as_short, "ms"),
        tables.interval_column("latency", "range", tables.as_short, "ms"),
    ]
    caption = (
        "The finalists, retrained, the best on test images first. \N{PLUS-MINUS SIGN} is one standard deviation "
        "over seeds. Latencies whose ranges meet are a tie."
    )
    ends = {"latency_low_ms": "latency_low", "latency_high_ms": "latency_high"}
    return tables.make_table(finalists.rename(columns=ends), caption, columns)
