"""The evidence in a report: measured globality, choices, proxies, progress."""

from collections.abc import Iterator

import pandas as pd

from archsearch.formatting import listed
from archsearch.objectives import objective_of
from archsearch.plots import search
from archsearch.report import tables
from archsearch.report.blocks import INTERVAL, Absent, Content, FigureBlock, TableBlock
from archsearch.results.compare import add_spent, progress_curve
from archsearch.results.importance import QUANTILE
from archsearch.results.proxies import ALL, FEWEST_TRAININGS, proxy_lines
from archsearch.results.run import Run
from archsearch.results.trials import trained_trials
from archsearch.stats.hypervolume import Indicators

# A choice with a smaller share of every objective is in no table.
SMALLEST_SHARE = 0.02


def describe_measured_globality(run: Run) -> Iterator[Content]:
    """How far the trained networks mix, compared with what their structure allows."""
    if run.measured_globality.empty:
        yield Absent("it was measured for no trained winner of this run")
        return
    caption = (
        "Each mark is a trained winner. Below the dashed line it reaches less far than its structure allows; a bar "
        f"is its {INTERVAL} over seeds. If the marks rise from left to right, globality ranks these networks as they really mix."
    )
    drawn = search.measured_globality_figure(run.measured_globality)
    yield FigureBlock("measured_globality", "Measured globality", caption, drawn)
    columns = [
        *tables.identity_columns(),
        tables.column_of("globality", "of the structure", tables.as_unit_share),
        tables.column_of("measured_globality", "measured", tables.as_unit_share),
        tables.interval_column("measured", INTERVAL, tables.as_unit_share),
        tables.column_of("attention_distance", "attention distance", tables.as_unit_share),
        tables.column_of("erf_side", "receptive field", tables.as_unit_share),
        tables.column_of("images", "images", tables.as_count),
    ]
    caption = (
        "Globality measured on trained networks, 0 local to 1 global, on validation images. Attention distance is a "
        "share of that of uniform attention; the receptive field is the side of what the middle of the last map "
        "sees, as a share of the image's."
    )
    yield tables.make_table(run.measured_globality, caption, columns)


def describe_importance(run: Run) -> Iterator[Content]:
    """Which choices decide."""
    if run.importance.empty:
        yield Absent(run.importance.attrs.get("reason") or "nothing is known about the choices")
        return
    trials = int(run.importance["trials"].iloc[0])
    for objective, rows in run.importance.groupby("objective", sort=False):
        beyond = rows.loc[rows["importance"] > rows["by_chance"], "parameter"]
        found = listed(beyond) if len(beyond) else "no choice at all"
        yield f"For {objective_of(str(objective)).short}, beyond what chance gives: {found}."
    caption = (
        f"How much each choice decides whether a candidate is among the best {QUANTILE:.0%}, in shares of all choices "
        f"(conditional PED-ANOVA over {trials} trained candidates). Dashed: what the strongest choice reaches when "
        "the results are shuffled among the trials (95th percentile); a grey bar is no finding. A share says that a choice "
        "matters, not which value is better."
    )
    drawn = search.importance_figure(run.importance)
    yield FigureBlock("importance", "Importance of every choice", caption, drawn)
    yield importance_table(run.importance)


def importance_table(frame: pd.DataFrame) -> TableBlock:
    """All choices, a column an objective."""
    by_chance = dict(zip(frame["objective"], frame["by_chance"], strict=True))
    wide = frame.pivot_table("importance", ["parameter", "asked"], "objective", sort=False)
    wide = wide.astype(float).reset_index()
    columns = [
        tables.column_of("parameter", "choice", tables.as_word, number=False),
        *(tables.column_of(name, objective_of(name).short, tables.as_share, "%") for name in by_chance),
        tables.column_of("asked", "asked of", tables.as_count, "candidates"),
    ]
    wide = wide[wide[list(by_chance)].max(axis=1) >= SMALLEST_SHARE]
    limits = (f"{objective_of(name).short} {tables.as_share(limit)} %" for name, limit in by_chance.items())
    caption = f"Choices with at least {tables.as_share(SMALLEST_SHARE)} % of an objective. By chance the strongest would have: {listed(limits)}."
    return tables.make_table(wide, caption, columns)


def describe_proxies(run: Run) -> Iterator[Content]:
    """Whether cheap readings rank candidates as their training does, and how they learn."""
    yield from proxy_lines(run.proxies)
    known = run.proxies[run.proxies["kendall_low"].notna()]
    if known.empty:
        yield Absent("too few candidates are trained to rank any", "Proxies")
    else:
        caption = (
            "Right of zero, the proxy puts candidates in the order of their accuracy; a bar is a bootstrap "
            f"{INTERVAL} over candidates. Where the open mark falls to zero, the proxy only tells how large a "
            "candidate is."
        )
        yield FigureBlock("proxies", "Proxies", caption, search.proxies_figure(known))
        yield proxies_table(run.proxies)
    title = "Learning at the rungs"
    readings = search.rung_readings(run.trials)
    if readings.empty:
        yield Absent("the run has no rungs: every candidate was trained once, in one go", title)
    else:
        caption = (
            "Thin lines are candidates, thick ones the median of their family at each rung. Where families cross, "
            "a short training favours the one that learns faster. Only those that went on have later readings."
        )
        yield FigureBlock("rungs", title, caption, search.rungs_figure(run.trials, readings))


def proxies_table(frame: pd.DataFrame) -> TableBlock:
    """Every proxy over all candidates."""
    columns = [
        tables.column_of("proxy", "proxy", tables.as_word, number=False),
        tables.column_of("candidates", "candidates", tables.as_count),
        tables.column_of("kendall", "tau-b", tables.as_unit_share),
        tables.interval_column("kendall", INTERVAL, tables.as_unit_share),
        tables.column_of("spearman", "rho", tables.as_unit_share),
        tables.interval_column("spearman", INTERVAL, tables.as_unit_share),
        tables.column_of("status", "status", tables.as_word, number=False),
    ]
    caption = (
        "Rank correlation with the final accuracy over all candidates. On: it still ranks at equal MACs, and may "
        f"be acted on; off: it does not surely; too few: fewer than {FEWEST_TRAININGS} final trainings."
    )
    return tables.make_table(frame[frame["within"] == ALL], caption, columns)


def describe_history(run: Run) -> Iterator[Content]:
    """How much of the objective space was covered after each trial."""
    done = trained_trials(run.trials)
    if len(done) < 2:
        yield Absent("fewer than two trials are trained")
        return
    ended = add_spent(run.trials).assign(run="")
    points = progress_curve(ended, Indicators.of(done, run.objectives))
    names = listed(objective_of(name).short for name in run.objectives)
    caption = (
        f"The share of the space between the best and the worst of {names} that the "
        "candidates so far dominate. Where the curve is flat, more trials found nothing better; one search of one "
        "seed, so no interval."
    )
    yield FigureBlock("history", "Progress of the search", caption, search.history_figure(points))
