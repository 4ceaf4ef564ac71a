"""The picture of matched swaps: a mark a swap, filled where the interval leaves out zero."""

import pandas as pd
import pytest

from archsearch.plots.fronts import swaps_figure
from archsearch.plots.style import save_figure
from archsearch.results.swaps import COLUMNS

ROW = {"place": "stages.0", "kind_from": "conv", "kind_to": "mhsa", "cost_name": "macs"}


def swaps(*rows):
    """Swaps by number and difference, with its interval if there is one."""
    made = [
        {**ROW, "number": number, "difference": difference, "difference_low": low, "difference_high": high}
        for number, difference, low, high in rows
    ]
    return pd.DataFrame(made, columns=list(COLUMNS)).astype(COLUMNS)


def marks_of(figure):
    """What is drawn for trials; intervals are for none."""
    return [drawn for drawn in figure.axes[0].collections if drawn.get_gid() is not None]


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_picture_is_drawn_in_the_format_of_its_name(tmp_path, ending, start):
    path = tmp_path / f"swaps.{ending}"
    save_figure(swaps_figure(swaps((2, 0.03, 0.01, 0.05), (3, 0.0, -0.1, 0.1)), "a title"), path)

    assert path.read_bytes().startswith(start)


def test_what_the_seeds_separate_is_filled():
    figure = swaps_figure(swaps((2, 0.03, 0.01, 0.05), (3, 0.0, -0.1, 0.1)))
    filled, open_ = marks_of(figure)

    assert (filled.get_gid(), open_.get_gid()) == ("trials:2", "trials:3")


def test_swaps_to_several_kinds_are_drawn_each_with_its_mark():
    figure = swaps_figure(
        swaps((2, 0.03, 0.01, 0.05), (3, 0.0, -0.1, 0.1)).assign(kind_to=["mhsa", "unheard_of"])
    )

    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mhsa", "unheard_of"]
    assert [mark.get_gid() for mark in marks_of(figure)] == [
        "trials:2",
        "trials:",
        "trials:",
        "trials:3",
    ]


def test_a_swap_is_named_by_trial_stage_kinds_and_cost():
    (label,) = swaps_figure(swaps((2, 0.03, None, None))).axes[0].get_yticklabels()

    assert label.get_text() == "trial 2, stages.0: conv to mhsa (equal MACs)"
