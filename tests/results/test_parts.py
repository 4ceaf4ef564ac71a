"""An architecture part by part, as rows and as a table."""

import pytest

from archsearch.counting import count_macs, count_params
from archsearch.results.parts import architecture_table, cost_frames, describe_field, part_rows


def test_the_table_adds_up(published):
    rows = part_rows(published)

    assert sum(row.macs for row in rows) == count_macs(published).total
    assert sum(row.params for row in rows) == count_params(published)
    assert sum(row.share for row in rows) == pytest.approx(1)
    assert [row.place for row in rows] == [*(place for place, _ in published.parts), "head"]


def test_the_table_is_markdown(mixed):
    header, rule, *rows = architecture_table(mixed).splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]

    assert header.startswith("| part | kind | mixing | fields | output | MACs |")
    assert {len(row) for row in cells} == {9}
    assert set(rule) <= set("|- ")
    assert cells[1][:5] == ["stages.0", "conv x 2", "local", "stride 1, kernel 5, expansion 0.25", "32x8x8"]
    assert cells[2][8] == "1.00"
    assert cells[-1][5] == f"**{count_macs(mixed).total:,}**"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("kernel", 3, "kernel 3"),
        ("mlp_ratio", 4.0, "mlp ratio 4"),
        ("kernels", (7, 3, 3), "kernels 7, 3, 3"),
        ("hidden_channels", (), "hidden channels none"),
        ("class_token", True, "class token"),
        ("qkv_bias", False, "no qkv bias"),
        ("pool", "max", "pool max"),
    ],
)
def test_fields_are_said_in_words(name, value, said):
    assert describe_field(name, value) == said


def test_a_row_has_the_shape_behind_it_and_its_mixers(mixed):
    rows = part_rows(mixed)

    assert [row.out for row in rows] == [(24, 8, 8), (32, 8, 8), (48, 4, 4), (64, 4, 4), (10,)]
    assert rows[-1].output == "10 logits"
    assert [row.mixers for row in rows] == [1, 2, 1, 4, 0]
    assert [row.reach is None for row in rows] == [False, False, False, False, True]


def test_costs_of_several_networks_add_up_by_part_and_by_operator(mixed):
    parts, groups = cost_frames({"one": mixed.model_dump_json(), "two": mixed.model_dump_json()})
    macs = count_macs(mixed)

    assert list(parts.columns) == ["label", "place", "kind", "mixing", "params", "macs"]
    for label in ("one", "two"):
        assert parts.loc[parts["label"] == label, "macs"].sum() == macs.total
        by_group = groups[groups["label"] == label].set_index("group")["macs"].to_dict()
        assert by_group == {group: amount for group, amount in macs.by_family.items() if amount}
