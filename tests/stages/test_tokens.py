"""What token networks are made of, against small numbers and against torch's own layers."""

import math

import pytest
import torch
from torch import nn

from archsearch.stages.tokens import MLP, Attention, Block, SoftSplit, TransformerBlock, linear, sinusoid

WIDTH, HEADS, HIDDEN, EPS = 12, 3, 20, 1e-3


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def counted(channels, height, width):
    """An image whose pixels are numbered 0, 1, 2, ... channel by channel, row by row."""
    numbers = torch.arange(channels * height * width, dtype=torch.float32)
    return numbers.reshape(1, channels, height, width)


def test_a_soft_split_orders_its_features_by_channel_then_row_then_column():
    left, right = SoftSplit(kernel=2, stride=2)(counted(channels=2, height=2, width=4))[0].tolist()

    # The first channel is 0 1 2 3 / 4 5 6 7, the second one 8 9 10 11 / 12 13 14 15.
    assert left == [0, 1, 4, 5, 8, 9, 12, 13]
    assert right == [2, 3, 6, 7, 10, 11, 14, 15]


def test_a_soft_split_orders_its_tokens_row_by_row():
    tokens = SoftSplit(kernel=1, stride=1)(counted(channels=1, height=2, width=3))

    assert tokens[0, :, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_soft_split_overlaps_and_pads_with_zeros():
    tokens = SoftSplit(kernel=3, stride=2)(counted(channels=1, height=2, width=4) + 1)[0].tolist()

    # Padding is 1; the map is 1 2 3 4 / 5 6 7 8, and both windows see the column of 2 and 6.
    assert tokens == [[0, 0, 0, 0, 1, 2, 0, 5, 6], [0, 0, 0, 2, 3, 4, 6, 7, 8]]


def test_the_sinusoid_of_a_place_by_hand():
    first, second, third = sinusoid(3, 4).tolist()

    slow = 10_000 ** (2 / 4)
    assert first == pytest.approx([0, 1, 0, 1])
    assert second == pytest.approx([math.sin(1), math.cos(1), math.sin(1 / slow), math.cos(1 / slow)])
    assert third == pytest.approx([math.sin(2), math.cos(2), math.sin(2 / slow), math.cos(2 / slow)])


def test_a_sinusoid_of_odd_width_ends_on_a_sine():
    _, second = sinusoid(2, 3).tolist()

    assert second == pytest.approx([math.sin(1), math.cos(1), math.sin(1 / 10_000 ** (2 / 3))])


@pytest.mark.parametrize("qkv_bias", [True, False])
def test_a_transformer_block_is_the_pre_norm_encoder_layer_of_torch(qkv_bias):
    block = TransformerBlock(WIDTH, Block(HEADS, HIDDEN, qkv_bias, EPS, "none")).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    torchs = nn.TransformerEncoderLayer(
        WIDTH, HEADS, HIDDEN, 0.0, "gelu", EPS, batch_first=True, norm_first=True
    ).double()
    no_bias = torch.zeros(3 * WIDTH, dtype=torch.float64)
    torchs.load_state_dict(
        {
            "norm1.weight": block.attention_norm.weight,
            "norm1.bias": block.attention_norm.bias,
            "self_attn.in_proj_weight": block.attention.qkv.weight,
            "self_attn.in_proj_bias": block.attention.qkv.bias if qkv_bias else no_bias,
            "self_attn.out_proj.weight": block.attention.project.weight,
            "self_attn.out_proj.bias": block.attention.project.bias,
            "norm2.weight": block.mlp_norm.weight,
            "norm2.bias": block.mlp_norm.bias,
            "linear1.weight": block.mlp[0].weight,
            "linear1.bias": block.mlp[0].bias,
            "linear2.weight": block.mlp[2].weight,
            "linear2.bias": block.mlp[2].bias,
        }
    )
    tokens = torch.randn(2, 7, WIDTH, dtype=torch.float64)

    found = block(tokens)

    torch.testing.assert_close(found, torchs(tokens), rtol=0, atol=1e-10)


def test_attention_without_positions_does_not_know_the_order_of_its_tokens():
    attention = Attention(WIDTH, HEADS, qkv_bias=True).double()
    nn.init.normal_(attention.qkv.weight)
    tokens = torch.randn(1, 7, WIDTH, dtype=torch.float64)
    order = torch.randperm(7)

    shuffled = attention(tokens[:, order])

    torch.testing.assert_close(shuffled, attention(tokens)[:, order], rtol=0, atol=1e-10)


def test_an_mlp_sees_each_token_alone():
    mlp = MLP(WIDTH, HIDDEN)
    tokens = torch.randn(1, 7, WIDTH)

    together = mlp(tokens)

    torch.testing.assert_close(together[:, 3], mlp(tokens[:, 3]))


def test_linear_layers_start_small_and_without_bias():
    layer = linear(200, 300)

    # A normal of deviation 0.02 has 60,000 draws here: their mean square is known to about 1 %.
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert layer.bias.abs().max() == 0
