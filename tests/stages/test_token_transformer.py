"""Where the class token and the positions go, seen through blocks that change nothing."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archsearch.shapes import FeatureShape
from archsearch.stages import TokenTransformerStage
from archsearch.stages.tokens import sinusoid

CHANNELS, HEIGHT, WIDTH = 4, 3, 5


def transparent(**fields):
    """A direct stage whose blocks add zero, so that only entry, positions and closing norm are left."""
    stage = TokenTransformerStage(channels=CHANNELS, depth=1, entry="direct", heads=2, **fields)
    module = stage.build(FeatureShape(CHANNELS, HEIGHT, WIDTH))
    for layer in (module.blocks[0].attention.project, module.blocks[0].mlp[2]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    for token in (module.class_token, module.distillation_token):
        if token is not None:
            nn.init.normal_(token)
    return module


@pytest.fixture
def x():
    torch.manual_seed(0)
    return torch.randn(2, CHANNELS, HEIGHT, WIDTH)


def normed(tokens):
    return F.layer_norm(tokens, (CHANNELS,), eps=1e-6)


def row_by_row(features):
    return features.flatten(2).transpose(1, 2)


def test_without_positions_the_map_comes_back_normed(x):
    out = transparent(position="none")(x)

    torch.testing.assert_close(row_by_row(out), normed(row_by_row(x)))


@pytest.mark.parametrize("position", ["learned", "sinusoid"])
def test_positions_are_added_row_by_row(x, position):
    module = transparent(position=position)

    out = module(x)

    assert module.position.table.shape == (HEIGHT * WIDTH, CHANNELS)
    torch.testing.assert_close(row_by_row(out), normed(row_by_row(x) + module.position.table))


def test_the_class_token_stands_at_position_zero_and_the_map_behind_it(x):
    module = transparent(position="sinusoid", class_token=True)
    table = sinusoid(1 + HEIGHT * WIDTH, CHANNELS)

    features, tokens = module(x)

    torch.testing.assert_close(tokens, normed(module.class_token + table[:1]).expand(2, -1, -1))
    torch.testing.assert_close(row_by_row(features), normed(row_by_row(x) + table[1:]))


def test_the_distillation_token_stands_between_the_class_token_and_the_map(x):
    module = transparent(position="learned", class_token=True, distillation_token=True)
    table = module.position.table

    features, tokens = module(x)

    assert table.shape == (2 + HEIGHT * WIDTH, CHANNELS)
    first, second = module.class_token[0, 0] + table[0], module.distillation_token[0, 0] + table[1]
    torch.testing.assert_close(tokens, normed(torch.stack([first, second])).expand(2, -1, -1))
    torch.testing.assert_close(row_by_row(features), normed(row_by_row(x) + table[2:]))


def test_each_image_has_its_own_copy_of_the_tokens_before_it():
    """All tokens attend to all: behind a block, another image makes other tokens of the same two."""
    torch.manual_seed(0)
    stage = TokenTransformerStage(channels=4, depth=1, class_token=True, distillation_token=True)
    module = stage.build(FeatureShape(3, 2, 2)).double()
    nn.init.normal_(module.blocks[0].attention.qkv.weight)

    one, other = module(torch.randn(2, 3, 2, 2, dtype=torch.float64)).tokens

    assert (one - other).abs().amax(dim=1).min() > 1e-6


def test_the_mlp_of_every_block_takes_the_gelu_that_is_written():
    shape, x = FeatureShape(CHANNELS, HEIGHT, WIDTH), torch.linspace(-4, 4, 33, dtype=torch.float64)

    def gelus(written):
        stage = TokenTransformerStage(channels=CHANNELS, depth=2, gelu=written)
        return [block.mlp[1](x) for block in stage.build(shape).blocks]

    exact = x * (1 + torch.erf(x / 2**0.5)) / 2
    approximate = x * (1 + torch.tanh((2 / math.pi) ** 0.5 * (x + 0.044715 * x**3))) / 2
    torch.testing.assert_close(gelus("exact"), [exact, exact], rtol=0, atol=1e-12)
    torch.testing.assert_close(gelus("tanh"), [approximate, approximate], rtol=0, atol=1e-12)
    # 5e-4 is the most that the approximation is wrong by.
    assert 1e-4 < (exact - approximate).abs().max() < 1e-3


def test_learned_positions_are_trained_and_sinusoids_are_not():
    learned, fixed = transparent(position="learned"), transparent(position="sinusoid")

    assert learned.position.table.requires_grad
    assert not fixed.position.table.requires_grad


def test_a_fixed_table_is_saved_with_the_weights():
    module = transparent(position="sinusoid")

    table = module.state_dict()["position.table"]

    torch.testing.assert_close(table, sinusoid(HEIGHT * WIDTH, CHANNELS))


def test_no_positions_have_no_table():
    assert transparent(position="none").position.table is None


def test_every_norm_takes_the_eps_that_is_written():
    stage = TokenTransformerStage(channels=4, depth=2, heads=2, norm_eps=1e-5)

    norms = [m for m in stage.build(FeatureShape(4, 3, 3)).modules() if isinstance(m, nn.LayerNorm)]

    assert [norm.eps for norm in norms] == [1e-5] * (2 * stage.depth + 1)


def test_a_split_entry_is_an_unfolding_and_a_linear_layer():
    torch.manual_seed(0)
    stage = TokenTransformerStage(channels=CHANNELS, depth=1, stride=2, split_kernel=3)
    entry = stage.build(FeatureShape(2, 6, 10)).split
    images = torch.randn(1, 2, 6, 10)

    tokens = entry(images)

    windows = F.unfold(images, 3, padding=1, stride=2).transpose(1, 2)
    torch.testing.assert_close(tokens, windows @ entry[1].weight.T + entry[1].bias)
