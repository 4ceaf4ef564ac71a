"""Where the class token and the positions go, seen through blocks that change nothing."""

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
    if module.class_token is not None:
        nn.init.normal_(module.class_token)
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

    features, token = module(x)

    torch.testing.assert_close(token, normed(module.class_token[0] + table[:1]).expand(2, -1))
    torch.testing.assert_close(row_by_row(features), normed(row_by_row(x) + table[1:]))


def test_learned_positions_are_trained_and_sinusoids_are_not():
    learned, fixed = transparent(position="learned"), transparent(position="sinusoid")

    assert "position.table" in dict(learned.named_parameters())
    assert "position.table" not in dict(fixed.named_parameters())


def test_a_fixed_table_is_no_part_of_the_weights():
    assert "position.table" not in transparent(position="sinusoid").state_dict()


def test_the_norm_takes_the_eps_that_is_written():
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
