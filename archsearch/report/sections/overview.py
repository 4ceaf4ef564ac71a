"""How a report begins: the answer, the conditions, the health checks, the frontier; and words that all sections share."""

import json
from collections.abc import Iterator

import pandas as pd

from archsearch.formatting import amount, duration
from archsearch.plots import fronts
from archsearch.plots.frontier import COUNTS
from archsearch.report.blocks import (
    Absent,
    Block,
    Check,
    Facts,
    Picture,
    Row,
    Section,
    Shown,
    between,
    listed,
    short,
    shown,
    table,
    top1,
    unit_share,
    word,
)
from archsearch.results.run import Run
from archsearch.storage.trial_record import OBJECTIVES

UNITS = {"latency_ms": "ms", "macs": "", "params": "", "peak_memory_mib": "MiB"}
NOTHING = "no trial has been trained to its end yet"
NAMES = {"top1": "accuracy", "latency_ms": "latency", "macs": "MACs", "params": "parameters"}


def trained(run: Run) -> pd.DataFrame:
    """The trials that were trained."""
    return run.trials[run.trials["outcome"].fillna("") == "trained"]


def named(objective: str) -> str:
    """An objective in a sentence."""
    return NAMES.get(objective, OBJECTIVES[objective].label)


def cost_column(name: str, cost: str, head: str | None = None) -> Shown:
    """A column that holds a cost."""
    return shown(name, head or named(cost), amount if cost in COUNTS else short, UNITS[cost])


def answer(run: Run) -> Section:
    """The answer in words."""
    return Section("answer", "The answer", tuple(run.answer))


def conditions(run: Run) -> Section:
    """Under which conditions all of this was found."""
    manifest, identity = run.manifest, run.manifest["identity"]
    counts = run.trials["outcome"].fillna("running").value_counts()
    outcomes = listed(f"{number} {outcome}" for outcome, number in counts.items())
    pairs = {
        "Space": f"{identity['space']} (fingerprint {identity.get('space_fingerprint', 'unknown')})",
        "Data": f"{identity['data']} (fingerprint {identity.get('data_fingerprint', 'unknown')})",
        "Objectives": listed(named(name) for name in run.objectives),
        "Limits": settings(identity.get("limits") or {}) or "those of the space alone",
        "Search": f"sampler {identity.get('sampler', 'unknown')}, seed {identity['seed']}",
        "Budget": f"{len(run.trials)} trials: {outcomes}",
        "Training": settings({k.removeprefix("recipe."): v for k, v in identity.items() if "recipe." in k}),
        "Rungs": rungs(identity),
        "Latency": latency(run),
        "Hardware": f"{identity.get('device', 'unknown')}; {manifest.get('cores', '?')} cores; {manifest.get('system', '')}",
        "Versions": settings({"Python": manifest.get("python", "?"), **manifest.get("versions", {})}),
        "When": when(run.trials),
        "Command": " ".join(map(str, manifest.get("command", []))),
        "Revision": manifest.get("git_revision") or "not under version control",
    }
    return Section("conditions", "Conditions", blocks=(Facts(tuple(pairs.items())),))


def settings(values: dict[str, object]) -> str:
    """Settings in a row."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    return ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in texts.items())


def rungs(identity: dict[str, object]) -> str:
    """Where trainings are compared on the way."""
    shares = identity.get("rungs")
    if not isinstance(shares, list) or not shares:
        return "none: every candidate has the whole short training"
    return f"at {listed(f'{float(each):.0%}' for each in shares)} of the training"


def latency(run: Run) -> str:
    """How latency was measured."""
    identity = run.manifest["identity"]
    names = {"latency_batch": "batch", "latency_dtype": "", "latency_mode": "", "threads": "threads"}
    words = (f"{text} {identity[name]}".strip() for name, text in names.items() if identity.get(name))
    return f"median of one forward pass; {', '.join(words)}"


def when(trials: pd.DataFrame) -> str:
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


def spread(run: Run) -> str:
    """How far another seed moves an accuracy, as far as anybody knows."""
    if run.spread is None:
        return "No seed was repeated, so how far another seed would move an accuracy is not known."
    return (
        f"Two single trainings are told apart from {run.spread.margin_between():.3f} top-1 on (95 %; standard "
        f"deviation over seeds {run.spread.deviation:.3f}, {run.spread.degrees} degrees of freedom)."
    )


def frontier(run: Run) -> Section:
    """The frontier, and the finalists if there are any."""
    done = trained(run)
    if done.empty:
        return Section("frontier", "Frontier", blocks=(Absent("", NOTHING),))
    sentence = (
        f"{len(run.frontier)} of {len(done)} trained candidates are beaten by no other one on "
        f"{listed(named(name) for name in run.objectives)}."
    )
    caption = (
        f"Each mark is a trained candidate: to the upper left is better. The line joins those that no cheaper one "
        f"beats (outlined), the shape tells the family and the colour the globality. Where the line runs through "
        f"dark marks, local designs hold the front; where it runs through light ones, global designs do. {spread(run)}"
    )
    picture = Picture(
        "frontier", "Frontier", caption, fronts.frontier_figure(run.trials, run.frontier, run.cost)
    )
    return Section(
        "frontier", "Frontier", (sentence, spread(run)), (picture, frontier_table(run), *finalists(run))
    )


def frontier_table(run: Run) -> Block:
    """The frontier, cheapest first."""
    chosen = [
        shown("number", "trial", word),
        shown("layout", "layout", word, number=False),
        shown("family", "family", word, number=False),
        shown("top1", "validation", top1),
        shown("test_top1", "test", top1),
        shown("latency_ms", "latency", short, "ms"),
        shown("macs", "MACs", amount),
        shown("params", "parameters", amount),
        shown("globality", "globality", unit_share),
    ]
    caption = (
        "The frontier, cheapest first. Accuracies are top-1, of one short training; test images were seen by no "
        "search. MACs are for one image."
    )
    return table(run.frontier, caption, chosen)


def finalists(run: Run) -> Iterator[Block]:
    """Those that were trained anew, with their spread."""
    if run.finalists.empty:
        yield Absent(
            "Finalists", "no finalist was trained anew in this run, so no interval over seeds is known"
        )
        return
    chosen = [
        shown("number", "trial", word),
        shown("layout", "layout", word, number=False),
        shown("family", "family", word, number=False),
        shown("seeds", "seeds", word),
        shown("test_top1_mean", "test", top1),
        shown("test_top1_sd", "\N{PLUS-MINUS SIGN}", top1),
        shown("val_top1_mean", "validation", top1),
        shown("val_top1_sd", "\N{PLUS-MINUS SIGN}", top1),
        shown("latency_ms", "latency", short, "ms"),
        Shown(between("latency", "range", short, "ms").column, latency_range),
    ]
    caption = (
        "The finalists, trained anew, the best on test images first. \N{PLUS-MINUS SIGN} is one standard deviation "
        "over seeds. Latencies whose ranges meet are a tie."
    )
    yield table(run.finalists, caption, chosen)


def latency_range(row: Row) -> str:
    """The range of a finalist's latencies."""
    low, high = row["latency_low_ms"], row["latency_high_ms"]
    return "\N{EN DASH}" if pd.isna(low) else f"{short(low)} to {short(high)}"
