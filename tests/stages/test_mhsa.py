"""Attention over a map is its formula, written out place by place in float64."""

import math

import pytest
import torch

from archsearch.shapes import FeatureShape
from archsearch.stages import MHSAStage
from archsearch.stages.mhsa import MapAttention, offsets

HEIGHT, WIDTH, HEADS, HEAD_WIDTH = 3, 4, 2, 5
GRID = FeatureShape(HEADS * HEAD_WIDTH, HEIGHT, WIDTH)
PLACES = [(y, x) for y in range(HEIGHT) for x in range(WIDTH)]


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def attention(position, **fields):
    stage = MHSAStage(channels=GRID.channels, depth=1, heads=HEADS, expansion=1, position=position, **fields)
    return MapAttention(stage.branch(), HEIGHT, WIDTH).double()


def a_map():
    return torch.randn(2, GRID.channels, HEIGHT, WIDTH, dtype=torch.float64)


def place_by_place(module, x, logit):
    """What every place receives: softmax of ``logit`` over all places, times their values."""
    width = GRID.channels
    qkv = torch.einsum("oc,bcyx->boyx", module.qkv.weight[:, :, 0, 0], x)
    out = torch.zeros_like(x)
    for image in range(len(x)):
        for head in range(HEADS):
            first, last = head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH
            q, k, v = (qkv[image, part * width :][first:last] for part in range(3))
            for y, x_ in PLACES:
                logits = [logit(q[:, y, x_], k[:, y2, x2], y2 - y, x2 - x_) for y2, x2 in PLACES]
                weights = torch.softmax(torch.stack(logits), dim=0)
                out[image, first:last, y, x_] = sum(
                    weight * v[:, y2, x2] for weight, (y2, x2) in zip(weights, PLACES, strict=True)
                )
    return out


def test_relative_attention_is_content_plus_row_plus_column_each_scaled():
    module, x = attention("relative"), a_map()
    rows, columns = module.position.rows, module.position.columns
    scale = 1 / math.sqrt(HEAD_WIDTH)

    def logit(query, key, down, right):
        content = scale * query @ key
        row = scale * query @ rows[down + HEIGHT - 1]
        column = scale * query @ columns[right + WIDTH - 1]
        return content + row + column

    torch.testing.assert_close(module(x), place_by_place(module, x, logit), rtol=0, atol=1e-10)


def test_a_position_that_is_not_scaled_joins_content_that_is():
    module, x = attention("relative", rel_scale="content"), a_map()
    rows, columns = module.position.rows, module.position.columns
    scale = 1 / math.sqrt(HEAD_WIDTH)

    def logit(query, key, down, right):
        content = scale * query @ key
        row = query @ rows[down + HEIGHT - 1]
        column = query @ columns[right + WIDTH - 1]
        return content + row + column

    torch.testing.assert_close(module(x), place_by_place(module, x, logit), rtol=0, atol=1e-10)


def test_position_and_content_are_scaled_alike_unless_it_is_written_otherwise():
    assert MHSAStage(channels=32, depth=1).rel_scale == "both"


@pytest.mark.parametrize("position", ["relative", "none"])
def test_queries_keys_and_values_take_a_bias_if_it_is_written(position):
    without, with_bias = attention(position), attention(position, qkv_bias=True)

    assert without.qkv.bias is None
    assert with_bias.qkv.bias.tolist() == [0] * (3 * GRID.channels)


def test_a_bias_is_added_to_queries_keys_and_values():
    """Content alone, and equal values: what is left of the mixing is the value's own bias."""
    module = attention("none", qkv_bias=True)
    torch.nn.init.normal_(module.qkv.bias)
    x = torch.zeros(1, GRID.channels, HEIGHT, WIDTH, dtype=torch.float64)

    found = module(x)

    value = module.qkv.bias[2 * GRID.channels :]
    torch.testing.assert_close(found, value[None, :, None, None].expand_as(found), rtol=0, atol=1e-10)


def test_attention_without_positions_is_content_alone():
    module, x = attention("none"), a_map()
    scale = 1 / math.sqrt(HEAD_WIDTH)

    def logit(query, key, _down, _right):
        return scale * query @ key

    torch.testing.assert_close(module(x), place_by_place(module, x, logit), rtol=0, atol=1e-10)


def test_without_positions_a_mirrored_map_is_mixed_to_the_mirrored_map():
    module, x = attention("none"), a_map()

    mirrored = module(x.flip(-1))

    torch.testing.assert_close(mirrored, module(x).flip(-1), rtol=0, atol=1e-10)


def test_relative_positions_tell_left_from_right():
    module, x = attention("relative"), a_map()

    mirrored = module(x.flip(-1))

    assert (mirrored - module(x).flip(-1)).abs().max() > 1e-3


def test_an_offset_stands_at_the_distance_from_the_farthest_one():
    down_from_0, down_from_1, down_from_2 = [0, 1, 2], [-1, 0, 1], [-2, -1, 0]
    farthest = -2

    expected = [[offset - farthest for offset in row] for row in (down_from_0, down_from_1, down_from_2)]

    assert offsets(3).tolist() == expected


def test_the_tables_hold_one_vector_for_each_offset_shared_by_the_heads():
    stage = MHSAStage(channels=32, depth=2, stride=2, heads=2, expansion=0.5)

    first, second = (block.branch[3].position for block in stage.build(FeatureShape(8, 6, 5)))

    head_width = 16 // 2
    assert first.rows.shape == (2 * 6 - 1, head_width)
    assert first.columns.shape == (2 * 5 - 1, head_width)
    # The first block attends before its stride, the second one behind it, on a 3x3 map.
    assert second.rows.shape == second.columns.shape == (2 * 3 - 1, head_width)


def test_the_stride_is_an_average_that_counts_only_places_on_the_map():
    stage = MHSAStage(channels=8, depth=1, stride=2, heads=1)
    pool = stage.build(FeatureShape(8, 3, 3))[0].branch[4]
    square = torch.tensor([[[[1.0, 3.0, 5.0], [5.0, 7.0, 9.0], [2.0, 4.0, 8.0]]]])

    corner, right_edge, lower_edge, last = (1 + 3 + 5 + 7) / 4, (5 + 9) / 2, (2 + 4) / 2, 8.0

    assert pool(square).flatten().tolist() == [corner, right_edge, lower_edge, last]
