"""What a report says of local and global: the map, fronts by family, the price of global, matched swaps."""

from collections.abc import Iterator

import pandas as pd

from archsearch.families import ALL_LOCAL
from archsearch.formatting import amount
from archsearch.objectives import objective_of
from archsearch.plots import fronts
from archsearch.report import tables
from archsearch.report.blocks import INTERVAL, NOTHING, Absent, Content, FigureBlock, TableBlock
from archsearch.results.map import coverage
from archsearch.results.run import Run
from archsearch.results.trials import trained_trials
from archsearch.stats.cells import Grid


def describe_map(run: Run) -> Iterator[Content]:
    """Best accuracy by globality and cost."""
    if run.map.empty:
        yield Absent(NOTHING)
        return
    cost = objective_of(run.cost).short
    held, cells = coverage(run.map, run.trials, run.cost)
    yield (
        f"Candidates were trained in {held} of {cells} cells of globality and {cost}; what the others hold is not "
        "known."
    )
    caption = (
        f"Read along a column: at the same {cost}, how does accuracy change from local (bottom) to global (top)? "
        f"A cell has the best validation accuracy found there, its {INTERVAL} over seeds where any was "
        "repeated, and the number of trained candidates n; with few of them it is a lower bound. Nothing was trained in "
        "hatched cells."
    )
    grid = Grid.of(trained_trials(run.trials)[run.cost])
    yield FigureBlock("map", "Map", caption, fronts.map_figure(run.map, grid, run.cost))


def describe_families(run: Run) -> Iterator[Content]:
    """Fronts by family, the price of global, and what MACs do not say about latency."""
    if run.families.empty:
        yield Absent(NOTHING)
        return
    caption = (
        f"Left: each family's own front against {objective_of(run.cost).short}; grey dots are all trained candidates. Right: "
        f"the hypervolume of each family at equal numbers of trainings with a {INTERVAL} over random subsets; "
        "families whose intervals overlap are not told apart."
    )
    drawn = fronts.families_figure(run.fronts, run.families, trained_trials(run.trials), run.cost)
    yield FigureBlock("families", "Fronts by family", caption, drawn)
    yield families_table(run.families)
    yield from describe_price(run)
    yield from describe_disagreement(run)


def families_table(families: pd.DataFrame) -> TableBlock:
    """One row a family."""
    columns = [
        tables.column_of("family", "family", tables.as_word, number=False),
        tables.column_of("trained", "trained", tables.as_count),
        tables.column_of("trained_share", "of all", tables.as_share, "%"),
        tables.column_of("on_frontier", "on the front", tables.as_count),
        tables.column_of("top1", "best", tables.as_top1),
        tables.interval_column("top1", INTERVAL, tables.as_top1),
        tables.column_of("hypervolume", "hypervolume", tables.as_unit_share),
        tables.interval_column("hypervolume", INTERVAL, tables.as_unit_share),
        tables.column_of("hypervolume_added", "added", "{:.3f}".format),
    ]
    caption = (
        "Families. Best is validation accuracy with its interval over seeds where known; hypervolume is at equal "
        "numbers of trainings, in shares of the run's objective space; added is what the whole front would lose "
        "without the family."
    )
    return tables.make_table(families, caption, columns)


def describe_price(run: Run) -> Iterator[Content]:
    """What global stages cost and gain."""
    title = "Price of global"
    if run.price.empty:
        yield Absent(f"it takes a trained {ALL_LOCAL} candidate and one with global stages to compare", title)
        return
    known, cost = run.price[run.price["gain_at_equal_cost"].notna()], objective_of(run.cost)
    if len(known):
        caption = (
            f"Right of zero, the family's front lies above that of {ALL_LOCAL} at equal "
            f"{cost.short}. A bar ({INTERVAL}) across zero: the run does not tell them apart."
        )
        yield FigureBlock("price", title, caption, fronts.price_figure(known))
    scale, unit = (1e6, f"per M {cost.unit}") if cost.counted else (1.0, f"per {cost.unit}".strip())
    columns = [
        tables.column_of("family", "family", tables.as_word, number=False),
        tables.column_of("number", "best trial", tables.as_word),
        tables.column_of("gain", "gain", tables.as_difference),
        tables.cost_column("extra_cost", run.cost, "for an extra"),
        tables.column_of("gain_per_cost", "gain", lambda value: f"{scale * float(value):+.3g}", unit),
        tables.column_of("gain_at_equal_cost", "gain at equal cost", tables.as_difference),
        tables.interval_column("gain_at_equal_cost", INTERVAL, tables.as_difference),
    ]
    caption = (
        f"The best of each family against the best of {ALL_LOCAL}, and the fronts at equal "
        f"{cost.short}. Gains are of top-1 on validation images."
    )
    yield tables.make_table(run.price, caption, columns)


def describe_disagreement(run: Run) -> Iterator[Content]:
    """Points on the front in MACs that fall off the front in latency."""
    title = "MACs against latency"
    timed = trained_trials(run.trials)["latency_ms"].notna().sum()
    if timed < 2:
        yield Absent("latency was measured of fewer than two trained candidates", title)
        return
    if run.disagreement.empty:
        yield Absent("no candidate on the front in MACs falls off the front in latency: the two agree", title)
        return
    caption = (
        f"The same candidates against MACs (left) and against measured latency (right). Circled: the "
        f"{len(run.disagreement)} that are on the front in MACs and not on that in latency; a search by MACs alone "
        "would have chosen them. Latencies are single medians: their quartiles are in the trials' table."
    )
    drawn = fronts.disagreement_figure(trained_trials(run.trials), run.disagreement)
    yield FigureBlock("disagreement", title, caption, drawn)
    columns = [
        *tables.identity_columns(),
        tables.column_of("macs", "MACs", amount),
        tables.column_of("latency_ms", "latency", tables.as_short, "ms"),
        tables.column_of("top1", "validation", tables.as_top1),
        tables.column_of("beaten_by", "beaten by trial", tables.as_word),
        tables.column_of("latency_factor", "slower by", "{:.2f}".format, "times"),
    ]
    caption = "On the front in MACs, and beaten in latency by the trial named."
    yield tables.make_table(run.disagreement, caption, columns)


def describe_swaps(run: Run) -> Iterator[Content]:
    """One stage changes kind at equal cost."""
    if run.swaps.empty:
        yield Absent(
            "none was trained in this run; archsearch swap RUN --trial N changes a stage of a network of the Pareto front"
        )
        return
    cost = objective_of(str(run.swaps["cost_name"].iloc[0])).short
    caption = (
        f"One stage of a network of the Pareto front changes kind, its width scaled to equal {cost}, everything else and the "
        f"seeds the same. Right of zero, the swap gained accuracy. Filled: the {INTERVAL} over paired seeds "
        "excludes zero; open: the seeds do not tell the two apart."
    )
    known = run.swaps[run.swaps["difference"].notna()]
    if len(known):
        yield FigureBlock("swaps", "Matched swaps", caption, fronts.swaps_figure(known))
    change = run.swaps["place"] + ": " + run.swaps["kind_from"] + " to " + run.swaps["kind_to"]
    columns = [
        tables.column_of("number", "trial", tables.as_word),
        tables.column_of("change", "swap", tables.as_word, number=False),
        tables.column_of("cost_ratio", f"{cost} after / before", "{:.3f}".format),
        tables.column_of("seeds", "seeds", tables.as_word),
        tables.column_of("top1_from", "before", tables.as_top1),
        tables.column_of("top1_to", "after", tables.as_top1),
        tables.column_of("difference", "difference", tables.as_difference),
        tables.interval_column("difference", INTERVAL, tables.as_difference),
        tables.column_of("note", "note", tables.as_word, number=False),
    ]
    caption = "Accuracies are means over seeds on validation images; differences are paired by seed."
    yield tables.make_table(run.swaps.assign(change=change), caption, columns)
