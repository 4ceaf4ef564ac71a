"""What a report says of local and global: the map, fronts by family, the price of global, matched swaps."""

from collections.abc import Iterator

from archsearch.formatting import amount
from archsearch.plots import fronts
from archsearch.plots.frontier import COUNTS
from archsearch.report.blocks import (
    Absent,
    Block,
    Column,
    Picture,
    Row,
    Section,
    Shown,
    between,
    count,
    difference,
    share,
    short,
    shown,
    table,
    top1,
    unit_share,
    word,
)
from archsearch.report.sections.overview import NOTHING, UNITS, cost_column, named, trained
from archsearch.results.map import Grid, coverage
from archsearch.results.run import Run


def local_global_map(run: Run) -> Section:
    """Best accuracy by globality and cost."""
    if run.map.empty:
        return Section("map", "Map", blocks=(Absent("", NOTHING),))
    cost = named(run.cost)
    held, cells = coverage(run.map, run.trials, run.cost)
    sentence = (
        f"Candidates were trained in {held} of {cells} cells of globality and {cost}; what the others hold is not "
        "known."
    )
    caption = (
        f"Read along a column: at the same {cost}, how does accuracy change from local (bottom) to global (top)? "
        "A cell has the best validation accuracy found there, its 95 % interval over seeds where any was "
        "repeated, and the number of trained candidates n; with few of them it is a lower bound. Nothing was trained in "
        "hatched cells."
    )
    picture = Picture(
        "map", "Map", caption, fronts.map_figure(run.map, Grid.of(trained(run)[run.cost]), run.cost)
    )
    return Section("map", "Map", (sentence,), (picture,))


def by_family(run: Run) -> Section:
    """Fronts by family, the price of global, and what MACs do not say about latency."""
    if run.families.empty:
        return Section("families", "Fronts by family", blocks=(Absent("", NOTHING),))
    caption = (
        f"Left: each family's own front against {named(run.cost)}; grey dots are all trained candidates. Right: "
        "the hypervolume of each family at equal numbers of trainings with a 95 % interval over random subsets; "
        "families whose intervals overlap are not told apart."
    )
    drawn = fronts.families_figure(run.fronts, run.families, trained(run), run.cost)
    blocks = (
        Picture("families", "Fronts by family", caption, drawn),
        families_table(run),
        *price(run),
        *disagreement(run),
    )
    return Section("families", "Fronts by family", (), blocks)


def families_table(run: Run) -> Block:
    """One row a family."""
    chosen = [
        shown("family", "family", word, number=False),
        shown("trained", "trained", count),
        shown("trained_share", "of all", share, "%"),
        shown("on_frontier", "on frontier", count),
        shown("top1", "best", top1),
        between("top1", "95 % interval", top1),
        shown("hypervolume", "hypervolume", unit_share),
        between("hypervolume", "95 % interval", unit_share),
        shown("hypervolume_added", "added", lambda value: f"{float(value):.3f}"),
    ]
    caption = (
        "Families. Best is validation accuracy with its interval over seeds where known; hypervolume is at equal "
        "numbers of trainings, in shares of the run's objective space; added is what the whole front would lose "
        "without the family."
    )
    return table(run.families, caption, chosen)


def price(run: Run) -> Iterator[Block]:
    """What global stages cost and gain."""
    title = "Price of global"
    if run.price.empty:
        yield Absent(title, "it takes a trained all-local candidate and one with global stages to compare")
        return
    known = run.price[run.price["gain_at_equal_cost"].notna()]
    if len(known):
        caption = (
            f"Right of zero, the family's front lies above that of all-local at equal "
            f"{named(run.cost)}. A bar (95 % interval) across zero: the run does not tell them apart."
        )
        yield Picture("price", title, caption, fronts.price_figure(known))
    scale, unit = (1e6, f"per M {named(run.cost)}") if run.cost in COUNTS else (1.0, f"per {UNITS[run.cost]}")
    chosen = [
        shown("family", "family", word, number=False),
        shown("number", "best trial", word),
        shown("gain", "gain", difference),
        cost_column("extra_cost", run.cost, "for an extra"),
        shown("gain_per_cost", "gain", lambda value: f"{scale * float(value):+.3g}", unit),
        shown("gain_at_equal_cost", "gain at equal cost", difference),
        between("gain_at_equal_cost", "95 % interval", difference),
    ]
    caption = (
        f"The best of each family against the best of all-local, and the fronts at equal "
        f"{named(run.cost)}. Gains are of top-1 on validation images."
    )
    yield table(run.price, caption, chosen)


def disagreement(run: Run) -> Iterator[Block]:
    """Points on the front in MACs that fall off the front in latency."""
    title = "MACs against latency"
    timed = trained(run)["latency_ms"].notna().sum()
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
    drawn = fronts.disagreement_figure(trained(run), run.disagreement)
    yield Picture("disagreement", title, caption, drawn)
    chosen = [
        shown("number", "trial", word),
        shown("layout", "layout", word, number=False),
        shown("family", "family", word, number=False),
        shown("macs", "MACs", amount),
        shown("latency_ms", "latency", short, "ms"),
        shown("top1", "validation", top1),
        shown("beaten_by", "beaten by trial", word),
        shown("latency_factor", "slower by", lambda value: f"{float(value):.2f}", "times"),
    ]
    yield table(run.disagreement, "On the front in MACs, and beaten in latency by the trial named.", chosen)


def what_changed(row: Row) -> str:
    """The stage, and its kinds before and after."""
    return f"{row['place']}: {row['kind_from']} to {row['kind_to']}"


def swaps(run: Run) -> Section:
    """One stage changes kind at equal cost."""
    title = "Matched swaps"
    if run.swaps.empty:
        reason = "none was trained in this run; archsearch swap RUN --trial N changes a stage of a frontier network"
        return Section("swaps", title, blocks=(Absent("", reason),))
    cost = named(str(run.swaps["cost_name"].iloc[0]))
    caption = (
        f"One stage of a frontier network changes kind, its width scaled to equal {cost}, everything else and the "
        "seeds the same. Right of zero, the swap gained accuracy. Filled: the 95 % interval over paired seeds "
        "excludes zero; open: the seeds do not tell the two apart."
    )
    known = run.swaps[run.swaps["difference"].notna()]
    pictures = [Picture("swaps", title, caption, fronts.swaps_figure(known))] if len(known) else []
    chosen = [
        shown("number", "trial", word),
        Shown(Column("swap", number=False), what_changed),
        shown("cost_ratio", f"{cost} after / before", lambda value: f"{float(value):.3f}"),
        shown("seeds", "seeds", word),
        shown("top1_from", "before", top1),
        shown("top1_to", "after", top1),
        shown("difference", "difference", difference),
        between("difference", "95 % interval", difference),
        shown("note", "note", word, number=False),
    ]
    what = "Accuracies are means over seeds on validation images; differences are paired by seed."
    return Section("swaps", title, (), (*pictures, table(run.swaps, what, chosen)))
