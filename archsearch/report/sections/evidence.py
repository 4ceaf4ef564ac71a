"""The evidence in a report: measured globality, choices, proxies, costs, winners, progress."""

import shlex

import numpy as np
import pandas as pd

from archsearch.formatting import amount, listed
from archsearch.objectives import objective_of
from archsearch.plots import search
from archsearch.plots.architecture import architecture_svg
from archsearch.report.blocks import (
    INTERVAL,
    NOTHING,
    Absent,
    Block,
    FigureBlock,
    Heading,
    Section,
    TableBlock,
    Winner,
    as_count,
    as_share,
    as_short,
    as_top1,
    as_unit_share,
    as_word,
    column_of,
    identity_columns,
    interval_column,
    make_table,
)
from archsearch.results.compare import add_spent, progress_curve
from archsearch.results.importance import QUANTILE
from archsearch.results.parts import HEADER, cost_frames, part_cells, part_rows, read_description
from archsearch.results.proxies import ALL, FEWEST_TRAININGS, proxy_lines
from archsearch.results.run import Run
from archsearch.results.trials import trained_trials
from archsearch.stats.hypervolume import Indicators

# A report draws so many winners, from the cheapest to the dearest.
DRAWN = 8
# A choice with a smaller share of every objective is in no table.
SMALLEST_SHARE = 0.02


def measured_globality(run: Run) -> Section:
    """How far the trained networks mix, of what their structure lets them."""
    name, title = "measured_globality", "Measured globality"
    if run.measured_globality.empty:
        reason = "it was measured for no trained winner of this run"
        return Section(name, title, blocks=(Absent("", reason),))
    caption = (
        "Each mark is a trained winner. Below the dashed line it looks less far than its structure lets it; a bar "
        f"is its {INTERVAL} over seeds. If the marks rise from left to right, globality means here what it says."
    )
    picture = FigureBlock(name, title, caption, search.measured_globality_figure(run.measured_globality))
    chosen = [
        *identity_columns(),
        column_of("globality", "of the structure", as_unit_share),
        column_of("measured_globality", "measured", as_unit_share),
        interval_column("measured", INTERVAL, as_unit_share),
        column_of("attention_distance", "attention distance", as_unit_share),
        column_of("erf_side", "receptive field", as_unit_share),
        column_of("images", "images", as_count),
    ]
    what = (
        "Globality measured on trained networks, 0 local to 1 global, on validation images. Attention distance is a "
        "share of that of uniform attention; the receptive field is the side of what the middle of the last map "
        "sees, as a share of the image's."
    )
    return Section(name, title, (), (picture, make_table(run.measured_globality, what, chosen)))


def importance(run: Run) -> Section:
    """Which choices decide."""
    title = "Importance of every choice"
    if run.importance.empty:
        reason = run.importance.attrs.get("reason") or "nothing is known about the choices"
        return Section("importance", title, blocks=(Absent("", reason),))
    trials = int(run.importance["trials"].iloc[0])
    beyond = run.importance[run.importance["importance"] > run.importance["by_chance"]]
    sentences = [
        f"For {objective_of(str(objective)).short}, beyond what chance gives: "
        f"{listed(rows['parameter']) if len(rows) else 'no choice at all'}."
        for objective, rows in (
            (name, beyond[beyond["objective"] == name]) for name in dict.fromkeys(run.importance["objective"])
        )
    ]
    caption = (
        f"How much each choice decides whether a candidate is among the best {QUANTILE:.0%}, in shares of all choices "
        f"(conditional PED-ANOVA over {trials} trained candidates). Dashed: what the strongest choice reaches when "
        "the results are dealt at random (95th percentile); a grey bar is no finding. A share says that a choice "
        "matters, not which value is better."
    )
    picture = FigureBlock("importance", title, caption, search.importance_figure(run.importance))
    return Section("importance", title, tuple(sentences), (picture, importance_table(run.importance)))


def importance_table(frame: pd.DataFrame) -> Block:
    """All choices, a column an objective."""
    objectives = list(dict.fromkeys(frame["objective"]))
    wide = frame.pivot_table(index="parameter", columns="objective", values="importance", sort=False)
    asked = frame.drop_duplicates("parameter").set_index("parameter")["asked"]
    wide = wide.astype(float).assign(asked=asked).reset_index()
    chosen = [
        column_of("parameter", "choice", as_word, number=False),
        *(column_of(name, objective_of(name).short, as_share, "%") for name in objectives),
        column_of("asked", "asked of", as_count, "candidates"),
    ]
    wide = wide[wide[objectives].max(axis=1) >= SMALLEST_SHARE]
    limits = frame.drop_duplicates("objective").set_index("objective")["by_chance"]
    chance = listed(f"{objective_of(name).short} {as_share(limits[name])} %" for name in objectives)
    caption = f"Choices with at least {as_share(SMALLEST_SHARE)} % of an objective. By chance the strongest would have: {chance}."
    return make_table(wide, caption, chosen)


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
            "Right of zero, the proxy puts candidates in the order of their accuracy; a bar is a bootstrap "
            f"{INTERVAL} over candidates. Where the open mark falls to zero, the proxy only tells how large a "
            "candidate is."
        )
        drawn = search.proxies_figure(known)
        blocks += [FigureBlock("proxies", "Proxies", caption, drawn), proxies_table(run.proxies)]
    readings = search.rung_readings(run.trials)
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
            FigureBlock("rungs", "Learning at the rungs", caption, search.rungs_figure(run.trials, readings))
        )
    return Section("proxies", title, lines, tuple(blocks))


def proxies_table(frame: pd.DataFrame) -> Block:
    """Every proxy over all candidates."""
    chosen = [
        column_of("proxy", "proxy", as_word, number=False),
        column_of("candidates", "candidates", as_count),
        column_of("kendall", "tau-b", as_unit_share),
        interval_column("kendall", INTERVAL, as_unit_share),
        column_of("spearman", "rho", as_unit_share),
        interval_column("spearman", INTERVAL, as_unit_share),
        column_of("status", "status", as_word, number=False),
    ]
    caption = (
        "Rank correlation with the final accuracy over all candidates. On: it still ranks at equal MACs, and may "
        f"be acted on; off: it does not surely; too few: fewer than {FEWEST_TRAININGS} final trainings."
    )
    return make_table(frame[frame["within"] == ALL], caption, chosen)


def winners(run: Run) -> pd.DataFrame:
    """The trials of the Pareto front that are drawn: all of a short front, of a long one some from end to end."""
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
    picture = FigureBlock("costs", title, caption, search.costs_figure(parts, groups))
    return Section("costs", title, (), (picture, costs_table(chosen)))


def costs_table(chosen: pd.DataFrame) -> Block:
    """What the global mixers of each winner cost."""
    columns = [
        column_of("number", "trial", as_word),
        column_of("layout", "layout", as_word, number=False),
        column_of("globality", "globality", as_unit_share),
        column_of("globality_macs", "weighted by MACs", as_unit_share),
        column_of("global_depth", "global depth", as_unit_share),
        column_of("global_tokens", "first global grid", as_count, "tokens"),
        column_of("global_macs_share", "global: MACs", as_share, "%"),
        column_of("global_params_share", "parameters", as_share, "%"),
        column_of("global_latency_share", "latency", as_share, "%"),
    ]
    caption = (
        "How global the winners are, and the shares of their costs in global mixers. Global depth is where these "
        "sit, 0 the stem and 1 the head. The share of latency is measured where the run could."
    )
    return make_table(chosen, caption, columns)


def drawings(run: Run) -> Section:
    """The winners, drawn, with the command that takes each one away."""
    title = "Winning architectures"
    chosen = winners(run)
    if chosen.empty:
        return Section("winners", title, blocks=(Absent("", NOTHING),))
    left = len(run.frontier) - len(chosen)
    sentences = (
        [f"Of the {len(run.frontier)} on the Pareto front, {left} are not drawn here."] if left else []
    )
    return Section(
        "winners", title, tuple(sentences), tuple(winner(run, row) for _, row in chosen.iterrows())
    )


def winner(run: Run, row: "pd.Series[float]") -> Winner:
    """One of them."""
    text = run.descriptions[str(row["architecture"])]
    seen = [f"top-1 {as_top1(row['top1'])} on validation images, of one training"]
    if pd.notna(row["latency_ms"]):
        noise = (
            ""
            if pd.isna(row["latency_iqr_ms"])
            else f", quartiles {as_short(row['latency_iqr_ms'])} ms apart"
        )
        seen.append(f"{as_short(row['latency_ms'])} ms a batch of {row['latency_batch']}{noise}")
    parts = part_rows(read_description(text))
    heads = tuple(Heading(name, number=name in ("MACs", "share", "parameters", "reach")) for name in HEADER)
    total = f"{amount(row['macs'])} MACs and {amount(row['params'])} parameters in all."
    return Winner(
        title=f"Trial {row['number']}: {row['layout']}, {row['family']}",
        trial=int(row["number"]),
        text=f"{'; '.join(seen)}; architecture {row['architecture']}",
        svg=architecture_svg(text),
        parts=TableBlock(
            f"{total} Output is channels x height x width, reach 0 (one place) to 1 (the whole map).",
            heads,
            tuple(map(part_cells, parts)),
            (None,) * len(parts),
        ),
        command=f"archsearch export {shlex.quote(str(run.folder))} --trial {row['number']}",
    )


def history(run: Run) -> Section:
    """How the search went on."""
    title = "Progress of the search"
    done = trained_trials(run.trials)
    if len(done) < 2:
        return Section("history", title, blocks=(Absent("", "fewer than two trials are trained"),))
    ended = add_spent(run.trials).assign(run="")
    points = progress_curve(ended, Indicators.of(done, run.objectives))
    names = listed(objective_of(name).short for name in run.objectives)
    caption = (
        f"The share of the space between the best and the worst of {names} that the "
        "candidates so far dominate. Where the curve is flat, more trials found nothing better; one search of one "
        "seed, so no interval."
    )
    return Section(
        "history", title, (), (FigureBlock("history", title, caption, search.history_figure(points)),)
    )
