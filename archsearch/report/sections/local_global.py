"""What a report says of local and global: the map, fronts by family, the price of global, matched swaps."""

from collections.abc import Iterator

from archsearch.families import ALL_LOCAL
from archsearch.formatting import amount
from archsearch.objectives import objective_of
from archsearch.plots import fronts
from archsearch.report.blocks import (
    INTERVAL,
    NOTHING,
    Absent,
    Block,
    Column,
    FigureBlock,
    Heading,
    Row,
    Section,
    as_count,
    as_difference,
    as_share,
    as_short,
    as_top1,
    as_unit_share,
    as_word,
    column_of,
    cost_column,
    identity_columns,
    interval_column,
    make_table,
)
from archsearch.results.map import coverage
from archsearch.results.run import Run
from archsearch.results.trials import trained_trials
from archsearch.stats.cells import Grid


def local_global_map(run: Run) -> Section:
    """Best accuracy by globality and cost."""
    if run.map.empty:
        return Section("map", "Map", blocks=(Absent("", NOTHING),))
    cost = objective_of(run.cost).short
    held, cells = coverage(run.map, run.trials, run.cost)
    sentence = (
        f"Candidates were trained in {held} of {cells} cells of globality and {cost}; what the others hold is not "
        "known."
    )
    caption = (
        f"Read along a column: at the same {cost}, how does accuracy change from local (bottom) to global (top)? "
        f"A cell has the best validation accuracy found there, its {INTERVAL} over seeds where any was "
        "repeated, and the number of trained candidates n; with few of them it is a lower bound. Nothing was trained in "
        "hatched cells."
    )
    picture = FigureBlock(
        "map",
        "Map",
        caption,
        fronts.map_figure(run.map, Grid.of(trained_trials(run.trials)[run.cost]), run.cost),
    )
    return Section("map", "Map", (sentence,), (picture,))


def by_family(run: Run) -> Section:
    """Fronts by family, the price of global, and what MACs do not say about latency."""
    if run.families.empty:
        return Section("families", "Fronts by family", blocks=(Absent("", NOTHING),))
    caption = (
        f"Left: each family's own front against {objective_of(run.cost).short}; grey dots are all trained candidates. Right: "
        f"the hypervolume of each family at equal numbers of trainings with a {INTERVAL} over random subsets; "
        "families whose intervals overlap are not told apart."
    )
    drawn = fronts.families_figure(run.fronts, run.families, trained_trials(run.trials), run.cost)
    blocks = (
        FigureBlock("families", "Fronts by family", caption, drawn),
        families_table(run),
        *price(run),
        *disagreement(run),
    )
    return Section("families", "Fronts by family", (), blocks)


def families_table(run: Run) -> Block:
    """One row a family."""
    chosen = [
        column_of("family", "family", as_word, number=False),
        column_of("trained", "trained", as_count),
        column_of("trained_share", "of all", as_share, "%"),
        column_of("on_frontier", "on the front", as_count),
        column_of("top1", "best", as_top1),
        interval_column("top1", INTERVAL, as_top1),
        column_of("hypervolume", "hypervolume", as_unit_share),
        interval_column("hypervolume", INTERVAL, as_unit_share),
        column_of("hypervolume_added", "added", lambda value: f"{float(value):.3f}"),
    ]
    caption = (
        "Families. Best is validation accuracy with its interval over seeds where known; hypervolume is at equal "
        "numbers of trainings, in shares of the run's objective space; added is what the whole front would lose "
        "without the family."
    )
    return make_table(run.families, caption, chosen)


def price(run: Run) -> Iterator[Block]:
    """What global stages cost and gain."""
    title = "Price of global"
    if run.price.empty:
        yield Absent(title, f"it takes a trained {ALL_LOCAL} candidate and one with global stages to compare")
        return
    known, cost = run.price[run.price["gain_at_equal_cost"].notna()], objective_of(run.cost)
    if len(known):
        caption = (
            f"Right of zero, the family's front lies above that of {ALL_LOCAL} at equal "
            f"{cost.short}. A bar ({INTERVAL}) across zero: the run does not tell them apart."
        )
        yield FigureBlock("price", title, caption, fronts.price_figure(known))
    scale, unit = (1e6, f"per M {cost.unit}") if cost.counted else (1.0, f"per {cost.unit}".strip())
    chosen = [
        column_of("family", "family", as_word, number=False),
        column_of("number", "best trial", as_word),
        column_of("gain", "gain", as_difference),
        cost_column("extra_cost", run.cost, "for an extra"),
        column_of("gain_per_cost", "gain", lambda value: f"{scale * float(value):+.3g}", unit),
        column_of("gain_at_equal_cost", "gain at equal cost", as_difference),
        interval_column("gain_at_equal_cost", INTERVAL, as_difference),
    ]
    caption = (
        f"The best of each family against the best of {ALL_LOCAL}, and the fronts at equal "
        f"{cost.short}. Gains are of top-1 on validation images."
    )
    yield make_table(run.price, caption, chosen)


def disagreement(run: Run) -> Iterator[Block]:
    """Points on the front in MACs that fall off the front in latency."""
    title = "MACs against latency"
    timed = trained_trials(run.trials)["latency_ms"].notna().sum()
    if timed < 2:
        yield Absent(title, "latency was measured of fewer than two trained candidates")
        return
    if run.disagreement.empty:
        yield Absent(title, "no candidate on the front in MACs falls off the front in latency: the two agree")
        return
    caption = (
        f"The same candidates against MACs (left) and against measured latency (right). Circled: the "
        f"{len(run.disagreement)} that are on the front in MACs and not on that in latency; a search by MACs alone "
        "would have chosen them. Latencies are single medians: their quartiles are in the trials' table."
    )
    drawn = fronts.disagreement_figure(trained_trials(run.trials), run.disagreement)
    yield FigureBlock("disagreement", title, caption, drawn)
    chosen = [
        *identity_columns(),
        column_of("macs", "MACs", amount),
        column_of("latency_ms", "latency", as_short, "ms"),
        column_of("top1", "validation", as_top1),
        column_of("beaten_by", "beaten by trial", as_word),
        column_of("latency_factor", "slower by", lambda value: f"{float(value):.2f}", "times"),
    ]
    yield make_table(
        run.disagreement, "On the front in MACs, and beaten in latency by the trial named.", chosen
    )


def describe_change(row: Row) -> str:
    """The stage, and its kinds before and after."""
    return f"{row['place']}: {row['kind_from']} to {row['kind_to']}"


def swaps(run: Run) -> Section:
    """One stage changes kind at equal cost."""
    title = "Matched swaps"
    if run.swaps.empty:
        reason = "none was trained in this run; archsearch swap RUN --trial N changes a stage of a network of the Pareto front"
        return Section("swaps", title, blocks=(Absent("", reason),))
    cost = objective_of(str(run.swaps["cost_name"].iloc[0])).short
    caption = (
        f"One stage of a network of the Pareto front changes kind, its width scaled to equal {cost}, everything else and the "
        f"seeds the same. Right of zero, the swap gained accuracy. Filled: the {INTERVAL} over paired seeds "
        "excludes zero; open: the seeds do not tell the two apart."
    )
    known = run.swaps[run.swaps["difference"].notna()]
    pictures = [FigureBlock("swaps", title, caption, fronts.swaps_figure(known))] if len(known) else []
    chosen = [
        column_of("number", "trial", as_word),
        Column(Heading("swap", number=False), describe_change),
        column_of("cost_ratio", f"{cost} after / before", lambda value: f"{float(value):.3f}"),
        column_of("seeds", "seeds", as_word),
        column_of("top1_from", "before", as_top1),
        column_of("top1_to", "after", as_top1),
        column_of("difference", "difference", as_difference),
        interval_column("difference", INTERVAL, as_difference),
        column_of("note", "note", as_word, number=False),
    ]
    what = "Accuracies are means over seeds on validation images; differences are paired by seed."
    return Section("swaps", title, (), (*pictures, make_table(run.swaps, what, chosen)))
