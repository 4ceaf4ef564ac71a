"""The winners in a report: where their costs go, and their drawings."""

import shlex
from collections.abc import Iterator

import numpy as np
import pandas as pd

from archsearch.formatting import amount
from archsearch.plots.architecture import architecture_svg
from archsearch.plots.search import costs_figure
from archsearch.report import tables
from archsearch.report.blocks import NOTHING, Absent, Content, FigureBlock, TableBlock, Winner
from archsearch.results.parts import HEADER, cost_frames, part_cells, part_rows, read_description
from archsearch.results.run import Run

# A report draws so many winners, from the cheapest to the dearest.
DRAWN = 8
# Columns of a table of parts that hold numbers.
PART_NUMBERS = ("MACs", "share", "parameters", "reach")


def choose_winners(run: Run) -> pd.DataFrame:
    """The trials of the Pareto front that are drawn: all of a short front, some of a long one, evenly from end to end."""
    known = run.frontier[run.frontier["architecture"].isin(list(run.descriptions))]
    places = np.unique(np.linspace(0, len(known) - 1, min(DRAWN, len(known))).round().astype(int))
    return known.iloc[places]


def describe_costs(run: Run) -> Iterator[Content]:
    """Where the costs of the winners go."""
    chosen = choose_winners(run)
    if chosen.empty:
        yield Absent(NOTHING)
        return
    labels = {
        f"trial {row['number']}, {row['layout']}": run.descriptions[row["architecture"]]
        for _, row in chosen.iterrows()
    }
    parts, groups = cost_frames(labels)
    caption = (
        "Each bar is one winner, from stem (dark) to head (light): where its multiply-adds and its parameters lie. "
        "Attention products grow with the square of the tokens, so they tell where global mixing is dear. Exact "
        "counts, which have no spread."
    )
    yield FigureBlock("costs", "Where the costs go", caption, costs_figure(parts, groups))
    yield costs_table(chosen)


def costs_table(chosen: pd.DataFrame) -> TableBlock:
    """What the global mixers of each winner cost."""
    columns = [
        tables.column_of("number", "trial", tables.as_word),
        tables.column_of("layout", "layout", tables.as_word, number=False),
        tables.column_of("globality", "globality", tables.as_unit_share),
        tables.column_of("globality_macs", "weighted by MACs", tables.as_unit_share),
        tables.column_of("global_depth", "global depth", tables.as_unit_share),
        tables.column_of("global_tokens", "first global grid", tables.as_count, "tokens"),
        tables.column_of("global_macs_share", "global: MACs", tables.as_share, "%"),
        tables.column_of("global_params_share", "parameters", tables.as_share, "%"),
        tables.column_of("global_latency_share", "latency", tables.as_share, "%"),
    ]
    caption = (
        "How global the winners are, and the shares of their costs in global mixers. Global depth is where these "
        "sit, 0 the stem and 1 the head. The share of latency is measured where the run could."
    )
    return tables.make_table(chosen, caption, columns)


def describe_winners(run: Run) -> Iterator[Content]:
    """The winners, drawn, with the command that exports each one."""
    chosen = choose_winners(run)
    if chosen.empty:
        yield Absent(NOTHING)
        return
    left = len(run.frontier) - len(chosen)
    if left:
        yield f"Of the {len(run.frontier)} on the Pareto front, {left} are not drawn here."
    for _, row in chosen.iterrows():
        yield draw_winner(run, row)


def draw_winner(run: Run, row: "pd.Series[float]") -> Winner:
    """One of them."""
    text = run.descriptions[str(row["architecture"])]
    seen = [f"top-1 {tables.as_top1(row['top1'])} on validation images, of one training"]
    if pd.notna(row["latency_ms"]):
        iqr = row["latency_iqr_ms"]
        noise = "" if pd.isna(iqr) else f", quartiles {tables.as_short(iqr)} ms apart"
        seen.append(f"{tables.as_short(row['latency_ms'])} ms a batch of {row['latency_batch']}{noise}")
    parts = pd.DataFrame(map(part_cells, part_rows(read_description(text))), columns=list(HEADER))
    total = f"{amount(row['macs'])} MACs and {amount(row['params'])} parameters in all."
    return Winner(
        title=f"Trial {row['number']}: {row['layout']}, {row['family']}",
        trial=int(row["number"]),
        text=f"{'; '.join(seen)}; architecture {row['architecture']}",
        svg=architecture_svg(text),
        parts=tables.make_table(
            parts,
            f"{total} Output is channels x height x width, reach 0 (one place) to 1 (the whole map).",
            [tables.column_of(name, name, tables.as_word, number=name in PART_NUMBERS) for name in HEADER],
        ),
        command=f"archsearch export {shlex.quote(str(run.folder))} --trial {row['number']}",
    )
