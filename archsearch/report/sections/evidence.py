"""The evidence in a report: globality realised, choices, proxies, costs, winners, progress, and how it was all got."""

import shlex
from collections.abc import Iterator

import numpy as np
import pandas as pd

from archsearch.formatting import amount
from archsearch.plots import search as details
from archsearch.plots.architecture import architecture_svg
from archsearch.report.blocks import (
    Absent,
    Block,
    Column,
    Facts,
    Picture,
    Section,
    Table,
    Winner,
    between,
    count,
    listed,
    share,
    short,
    shown,
    table,
    top1,
    unit_share,
    word,
)
from archsearch.report.costs import cost_frames
from archsearch.report.sections.overview import NOTHING, named, trained
from archsearch.results.compare import curve, spent
from archsearch.results.parts import HEADER, cells, described, part_rows
from archsearch.results.proxies import proxy_lines
from archsearch.results.run import Run
from archsearch.stats.hypervolume import Indicators

# A report draws so many winners, from the cheapest to the dearest.
DRAWN = 8


def realised(run: Run) -> Section:
    """What the trained networks do with the reach that their structure gives them."""
    title = "Realised globality"
    if run.realised.empty:
        reason = "it was measured of no trained winner of this run"
        return Section("realised", title, blocks=(Absent("", reason),))
    caption = (
        "Each mark is a trained winner. Below the dashed line it looks less far than its structure lets it; bars "
        "are 95 % intervals over its seeds. If the marks rise from left to right, globality means here what it says."
    )
    picture = Picture("realised", title, caption, details.realised_figure(run.realised))
    chosen = [
        shown("number", "trial", word),
        shown("layout", "layout", word, number=False),
        shown("family", "family", word, number=False),
        shown("globality", "of the structure", unit_share),
        shown("realised_globality", "realised", unit_share),
        between("realised", "95 % interval", unit_share),
        shown("attention_distance", "attention distance", unit_share),
        shown("erf_side", "receptive field", unit_share),
        shown("images", "images", count),
    ]
    what = (
        "Globality realised by trained networks, 0 local to 1 global, on validation images. Attention distance is a "
        "share of that of uniform attention; the receptive field is the side of what the middle of the last map "
        "sees, as a share of the image's."
    )
    return Section("realised", title, (), (picture, table(run.realised, what, chosen)))


def importance(run: Run) -> Section:
    """Which choices decide."""
    title = "Importance of every choice"
    if run.importance.empty:
        reason = run.importance.attrs.get("reason") or "nothing is known of the choices"
        return Section("importance", title, blocks=(Absent("", reason),))
    trials = int(run.importance["trials"].iloc[0])
    beyond = run.importance[run.importance["importance"] > run.importance["by_chance"]]
    sentences = [
        f"For {named(str(objective))}, beyond what chance gives: "
        f"{listed(rows['parameter']) if len(rows) else 'no choice at all'}."
        for objective, rows in (
            (name, beyond[beyond["objective"] == name]) for name in dict.fromkeys(run.importance["objective"])
        )
    ]
    caption = (
        f"How much each choice decides whether a candidate is among the best tenth, in shares of all choices "
        f"(conditional PED-ANOVA over {trials} trained candidates). Dashed: what the strongest choice reaches when "
        "the results are dealt at random (95th percentile); a grey bar is no finding. A share says that a choice "
        "matters, not which value is better."
    )
    picture = Picture("importance", title, caption, details.importance_figure(run.importance))
    return Section("importance", title, tuple(sentences), (picture, importance_table(run.importance)))


def importance_table(frame: pd.DataFrame) -> Block:
    """All choices, a column an objective."""
    objectives = list(dict.fromkeys(frame["objective"]))
    wide = frame.pivot_table(index="parameter", columns="objective", values="importance", sort=False)
    asked = frame.drop_duplicates("parameter").set_index("parameter")["asked"]
    wide = wide.astype(float).assign(asked=asked).reset_index()
    chosen = [
        shown("parameter", "choice", word, number=False),
        *(shown(name, named(name), share, "%") for name in objectives),
        shown("asked", "asked of", count, "candidates"),
    ]
    wide = wide[wide[objectives].max(axis=1) >= 0.02]
    limits = frame.drop_duplicates("objective").set_index("objective")["by_chance"]
    chance = listed(f"{named(name)} {share(limits[name])} %" for name in objectives)
    caption = f"Choices with at least 2 % of an objective. By chance the strongest would have: {chance}."
    return table(wide, caption, chosen)


def proxies(run: Run) -> Section:
    """Whether cheap readings rank candidates as their training does, and how they learn."""
    title = "Proxies and rungs"
    lines = tuple(proxy_lines(run.proxies))
    blocks: list[Block] = []
    known = run.proxies[run.proxies["kendall_low"].notna()]
    if known.empty:
        blocks.append(Absent("Proxies", "too few candidates are trained to rank any"))
    else:
        caption = (
            "Right of zero, the proxy puts candidates in the order of their accuracy; bars are 95 % bootstrap "
            "intervals over candidates. Where the open mark falls to zero, the proxy only tells how large a "
            "candidate is."
        )
        drawn = details.proxies_figure(known)
        blocks += [Picture("proxies", "Proxies", caption, drawn), proxies_table(run.proxies)]
    readings = details.rung_readings(run.trials)
    if readings.empty:
        blocks.append(
            Absent(
                "Learning at the rungs", "the run has no rungs: every candidate was trained once, in one go"
            )
        )
    else:
        caption = (
            "Thin lines are candidates, thick ones the median of their family at each rung. Where families cross, "
            "a short training favours the one that learns faster. Only those that went on have later readings."
        )
        blocks.append(
            Picture("rungs", "Learning at the rungs", caption, details.rungs_figure(run.trials, readings))
        )
    return Section("proxies", title, lines, tuple(blocks))


def proxies_table(frame: pd.DataFrame) -> Block:
    """Every proxy over all candidates."""
    chosen = [
        shown("proxy", "proxy", word, number=False),
        shown("candidates", "candidates", count),
        shown("kendall", "tau-b", unit_share),
        between("kendall", "95 % interval", unit_share),
        shown("spearman", "rho", unit_share),
        between("spearman", "95 % interval", unit_share),
        shown("status", "status", word, number=False),
    ]
    caption = (
        "Rank correlation with the final accuracy over all candidates. On: it still ranks at equal MACs, and may "
        "be acted on; off: it does not surely; too few: fewer than 30 final trainings."
    )
    return table(frame[frame["within"] == "all"], caption, chosen)


def winners(run: Run) -> pd.DataFrame:
    """The frontier trials that are drawn: all of a short frontier, of a long one some from end to end."""
    known = run.frontier[run.frontier["architecture"].isin(list(run.descriptions))]
    places = np.unique(np.linspace(0, len(known) - 1, min(DRAWN, len(known))).round().astype(int))
    return known.iloc[places]


def costs(run: Run) -> Section:
    """Where the costs of the winners go."""
    title = "Where the costs go"
    chosen = winners(run)
    if chosen.empty:
        return Section("costs", title, blocks=(Absent("", NOTHING),))
    rows = chosen.iterrows()
    labels = {
        f"trial {row['number']}, {row['layout']}": run.descriptions[row["architecture"]] for _, row in rows
    }
    parts, groups = cost_frames(labels)
    caption = (
        "Each bar is one winner, from stem (dark) to head (light): where its multiply-adds and its parameters lie. "
        "Attention products grow with the square of the tokens, so they tell where global mixing is dear. Exact "
        "counts, which have no spread."
    )
    picture = Picture("costs", title, caption, details.costs_figure(parts, groups))
    return Section("costs", title, (), (picture, costs_table(chosen)))


def costs_table(chosen: pd.DataFrame) -> Block:
    """What the global mixers of each winner cost."""
    columns = [
        shown("number", "trial", word),
        shown("layout", "layout", word, number=False),
        shown("globality", "globality", unit_share),
        shown("globality_macs", "weighted by MACs", unit_share),
        shown("global_depth", "global depth", unit_share),
        shown("global_tokens", "first global grid", count, "tokens"),
        shown("global_macs_share", "global: MACs", share, "%"),
        shown("global_params_share", "parameters", share, "%"),
        shown("global_latency_share", "latency", share, "%"),
    ]
    caption = (
        "How global the winners are, and the shares of their costs in global mixers. Global depth is where these "
        "sit, 0 the stem and 1 the head. The share of latency is measured where the run could."
    )
    return table(chosen, caption, columns)


def drawings(run: Run) -> Section:
    """The winners, drawn, with the command that takes each one away."""
    title = "Winning architectures"
    chosen = winners(run)
    if chosen.empty:
        return Section("winners", title, blocks=(Absent("", NOTHING),))
    left = len(run.frontier) - len(chosen)
    sentences = [f"Of the {len(run.frontier)} on the frontier, {left} are not drawn here."] if left else []
    return Section(
        "winners", title, tuple(sentences), tuple(winner(run, row) for _, row in chosen.iterrows())
    )


def winner(run: Run, row: "pd.Series[float]") -> Winner:
    """One of them."""
    text = run.descriptions[str(row["architecture"])]
    seen = [f"top-1 {top1(row['top1'])} on validation images, of one training"]
    if pd.notna(row["latency_ms"]):
        noise = (
            "" if pd.isna(row["latency_iqr_ms"]) else f", quartiles {short(row['latency_iqr_ms'])} ms apart"
        )
        seen.append(f"{short(row['latency_ms'])} ms a batch of {row['latency_batch']}{noise}")
    parts = part_rows(described(text))
    heads = tuple(Column(name, number=name in ("MACs", "share", "parameters", "reach")) for name in HEADER)
    total = f"{amount(row['macs'])} MACs and {amount(row['params'])} parameters in all."
    return Winner(
        title=f"Trial {row['number']}: {row['layout']}, {row['family']}",
        trial=int(row["number"]),
        text=f"{'; '.join(seen)}; architecture {row['architecture']}",
        svg=architecture_svg(text),
        parts=Table(
            f"{total} Output is channels x height x width, reach 0 (one place) to 1 (the whole map).",
            heads,
            tuple(map(cells, parts)),
            (None,) * len(parts),
        ),
        command=f"archsearch export {shlex.quote(str(run.folder))} --trial {row['number']}",
    )


def history(run: Run) -> Section:
    """How the search went on."""
    title = "Progress of the search"
    done = trained(run)
    if len(done) < 2:
        return Section("history", title, blocks=(Absent("", "fewer than two trials are trained"),))
    ended = spent(run.trials).assign(run="")
    points = curve(ended, Indicators.of(done, run.objectives))
    caption = (
        f"The share of the space between the best and the worst of {listed(map(named, run.objectives))} that the "
        "candidates so far dominate. Where the curve is flat, more trials found nothing better; one search of one "
        "seed, so no interval."
    )
    return Section(
        "history", title, (), (Picture("history", title, caption, details.history_figure(points)),)
    )


METHODS = {
    "Globality": "Mean over the spatial mixers of how far each one reaches, as a share of the reach of uniform "
    "attention on its grid; attention is taken as uniform, soft splits count, 1x1 convolutions and channel MLPs do "
    "not. It needs no weights. 0 is local, 1 is global.",
    "Families": "all-local has no global stage; global-from-K mixes locally before stage K and globally from there on; "
    "all-global has no local stage; mixed is the rest.",
    "Accuracy": "Top-1 on validation images after the short training that all candidates share; test images are "
    "read for the frontier and for finalists alone and decide nothing.",
    "Latency": "Median of repeated forward passes on the device above; quartiles and what was wrong with the machine "
    "meanwhile are in the trials' table.",
    "MACs": "Multiply-adds of one image, counted operator by operator, attention products and norms included; a "
    "paper that counts a multiply and an add apart has twice as many.",
    "Frontier": "Trials that no other one beats on every objective, within all limits.",
    "Map": "Cells of globality and cost; each one has the best validation accuracy found in it. The interval is over "
    "seeds, where the candidate was trained on several.",
    "Hypervolume": "Share of the normalised objective space (error linear, costs in log10, from the best to a tenth "
    "beyond the worst trained candidate) that a set dominates; of families at equal numbers of trainings, over "
    "random subsets. Zitzler and Thiele 1998.",
    "Matched swaps": "One stage of a trained network changes kind, its width is scaled to equal cost within a stated "
    "tolerance, both are trained with the same recipe and seeds, and the differences are paired by seed.",
    "Realised globality": "The same reach, of the influence that trained residual branches really have, by "
    "vector-Jacobian products on validation images.",
    "Importance": "Conditional PED-ANOVA (Watanabe et al. 2023; its conditional form of 2026) as Optuna has it; the "
    "dashed line comes from dealing the results to the trials at random, twenty times.",
    "Proxies": "Kendall's tau-b and Spearman's rho with the final accuracy, with bootstrap intervals over "
    "candidates; at equal MACs as partial correlations.",
}
FILES = {
    "trials.parquet, trials.csv": "one row a trial, units in the names",
    "stages.parquet": "one row for each part of each trial",
    "frontier.csv, frontier/": "the winners, as a table, as architecture files and with their weights",
    "map.csv, families.csv": "the cells of the map, and the families, with their intervals",
    "finalists.csv, swaps.csv": "what was trained anew from several seeds, where anything was",
    "proxies.csv": "every rank correlation with its interval",
    "figures/": "every figure of this page as PNG and SVG",
    "study.db": "the record itself, an Optuna study, from which all of this is derived",
}


def methods() -> Iterator[Section]:
    """How each number was got, and where the numbers lie."""
    yield Section("methods", "How each number was got", blocks=(Facts(tuple(METHODS.items())),))
    yield Section("files", "Files of the run", blocks=(Facts(tuple(FILES.items())),))
