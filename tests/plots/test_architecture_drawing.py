"""An architecture as a drawing: every part is there, with what it costs and how it mixes."""

import re
import xml.etree.ElementTree as ET

import pytest
from paths import SPACES

from archsearch.counting import count_macs
from archsearch.plots.architecture import WIDTH, Box, Label, architecture_svg, lay_out
from archsearch.results.parts import architecture_table, read_description
from archsearch.space import load_space


def texts(drawing):
    return [element.text for element in ET.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text")]


def test_every_part_is_named_with_its_mixing_and_output(mixed):
    said = texts(architecture_svg(mixed))

    for place in ("image", "stem", "stages.0  x 2", "stages.1", "stages.2  x 3", "head"):
        assert place in said
    assert (said.count("local"), said.count("global")) == (2, 2)
    for shape in ("3x32x32", "24x8x8", "32x8x8", "48x4x4", "64x4x4", "10 logits"):
        assert shape in said
    for field in ("kernel 5", "stride 2", "split kernel 3", "mlp ratio 2", "no qkv bias", "position none"):
        assert field in said


def test_local_and_global_parts_differ_in_grey_print_too(mixed):
    fills = re.findall(r'fill="#(\w{6})" stroke', architecture_svg(mixed))
    grey = {fill: sum(int(fill[at : at + 2], 16) for at in (0, 2, 4)) / 3 for fill in fills}

    assert grey["c6dbef"] - grey["a63603"] > 100


def test_the_strip_shares_the_macs_out(mixed):
    strip = [mark for mark in lay_out(mixed).marks if isinstance(mark, Box) and mark.edge == "#ffffff"]
    total = sum(box.width for box in strip)
    macs = count_macs(mixed)

    assert [box.width / total for box in strip] == pytest.approx(
        [count / macs.total for count in macs.by_stage.values()]
    )


def test_json_data_and_architecture_are_drawn_alike(mixed):
    assert (
        architecture_svg(mixed)
        == architecture_svg(mixed.model_dump_json())
        == architecture_svg(mixed.document())
    )


def test_nothing_is_drawn_outside(published):
    drawing = lay_out(published)
    boxes = [mark for mark in drawing.marks if isinstance(mark, Box)]
    labels = [mark for mark in drawing.marks if isinstance(mark, Label)]

    assert max(box.x + box.width for box in boxes) <= WIDTH
    assert max(box.y + box.height for box in boxes) <= drawing.height
    assert all(0 <= label.x <= WIDTH and 0 <= label.y <= drawing.height for label in labels)


def test_sixty_stages_are_drawn_line_by_line(mixed):
    deep = mixed.model_copy(update={"stages": (mixed.stages[0], *[mixed.stages[0]] * 59)})
    said = texts(architecture_svg(deep))

    assert {f"stages.{index}  x 2" for index in range(60)} <= set(said)


def test_a_name_is_no_part_of_the_drawing(mixed):
    evil = mixed.model_copy(update={"name": "<script>alert(1)</script>"})

    assert "alert" not in architecture_svg(evil)
    assert "alert" not in architecture_table(evil)


def test_a_drawing_refers_to_nothing(mixed):
    names = {element.tag.rpartition("}")[2] for element in ET.fromstring(architecture_svg(mixed)).iter()}

    assert names == {"svg", "title", "rect", "text", "path"}


def test_random_points_of_a_space_can_be_drawn():
    space = load_space(SPACES / "hybrid.yaml")
    for seed in range(5):
        architecture = space.draw(seed)
        assert architecture.layout in texts(architecture_svg(architecture))[0]
        assert read_description(architecture.model_dump_json()).id == architecture.id
