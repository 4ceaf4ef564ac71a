"""A figure as SVG: marks know their trials, ids do not clash, and nothing depends on the moment."""

import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from archsearch.plots.style import known_marks, marks
from archsearch.report.svg import SVG, svg_of


def drawn(count, **style):
    """A figure with so many points, of the trials 10, 11 and so on."""
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    frame = pd.DataFrame({"number": range(10, 10 + count), "x": range(count), "y": [0.5] * count})
    axes.scatter(**known_marks(frame, "x", "y"), **style)
    return figure


def trials(svg):
    return [e.get("data-trial") for e in ET.fromstring(svg).iter() if "data-trial" in e.attrib]


@pytest.mark.parametrize("count", [0, 1, 2, 30])
@pytest.mark.parametrize("style", ["one colour", "many colours"])
def test_each_mark_knows_its_trial_whichever_way_it_is_written(count, style):
    colours = {"one colour": {"color": "red"}, "many colours": {"c": list(range(count)), "cmap": "viridis"}}
    svg = svg_of(drawn(count, **colours[style]), "a", "A")

    assert trials(svg) == [str(10 + index) for index in range(count)]


def test_marks_lie_where_their_trials_do():
    root = ET.fromstring(svg_of(drawn(30, color="red"), "a", "A"))
    places = [float(e.get("x")) for e in root.iter() if "data-trial" in e.attrib]

    assert places == sorted(places)
    assert len(set(places)) == 30


def test_lines_can_be_marks():
    figure = Figure()
    lines = [[(0, 0), (1, 1)], [(0, 1), (1, 0)]]
    figure.subplots().add_collection(LineCollection(lines, gid=marks([4, 7])))

    assert trials(svg_of(figure, "a", "A")) == ["4", "7"]


def test_a_trial_without_a_value_has_no_mark():
    axes = Figure().subplots()
    frame = pd.DataFrame({"number": [1, 2], "x": [1.0, 2.0], "y": pd.array([None, 3.0], dtype="Float64")})
    axes.scatter(**known_marks(frame, "x", "y"))

    assert trials(svg_of(axes.figure, "a", "A")) == ["2"]


def test_too_few_marks_are_an_error():
    figure = Figure()
    figure.subplots().scatter([1], [1], gid=marks([1, 2]))

    with pytest.raises(ValueError, match="1 marks were drawn for 2 trials"):
        svg_of(figure, "a", "A")


def test_ids_carry_the_name_of_their_figure():
    ids = [{e.get("id") for e in ET.fromstring(svg_of(drawn(30), name, "")).iter()} - {None} for name in "ab"]

    assert ids[0]
    assert ids[0].isdisjoint(ids[1])


def test_the_same_figure_is_the_same_text():
    assert svg_of(drawn(5), "a", "A") == svg_of(drawn(5), "a", "A")


def test_styles_are_attributes_and_words_are_words():
    figure = Figure()
    figure.subplots().set_title("<b>$x$ & co</b>", parse_math=False)
    svg = svg_of(figure, "a", '"quoted"')
    root = ET.fromstring(svg)

    assert not [e for e in root.iter() if "style" in e.attrib or e.tag == f"{{{SVG}}}style"]
    assert "<b>$x$ & co</b>" in [e.text for e in root.iter(f"{{{SVG}}}text")]
    assert root.get("aria-label") == '"quoted"'
