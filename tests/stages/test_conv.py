"""Residual blocks, convolutional and patch stems are their formulas, in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archsearch.shapes import FeatureShape
from archsearch.stages import ConvStage, ConvStem, MHSAStage, PatchStem

ACTIVATIONS = {
    "relu": lambda x: x.clamp(min=0),
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "gelu": lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2,
}
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def norm(x, module, eps=1e-5):
    """Batch norm in eval mode, from its statistics."""
    mean, var, weight, bias = (
        t[:, None, None] for t in (module.running_mean, module.running_var, module.weight, module.bias)
    )
    return (x - mean) / (var + eps).sqrt() * weight + bias


def settled(module):
    """In eval mode, in float64, with norms that are not the identity."""
    for name, tensor in module.state_dict().items():
        if "running" in name or tensor.ndim == 1:
            tensor.uniform_(0.5, 1.5)
    return module.double().eval()


def a_map(channels, height, width):
    return torch.randn(2, channels, height, width, dtype=torch.float64)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_a_bottleneck_strides_in_its_spatial_convolution():
    stage = ConvStage(channels=16, depth=1, stride=2, kernel=5, expansion=0.5, groups=2)
    module = settled(stage.build(FeatureShape(6, 9, 12)))
    reduce, norm1, _, spatial, norm2, _, expand, norm3 = module[0].branch
    side, side_norm = module[0].shortcut
    x = torch.randn(2, 6, 9, 12, dtype=torch.float64)

    found = module(x)

    inner = F.relu(norm(F.conv2d(x, reduce.weight), norm1))
    inner = F.relu(norm(F.conv2d(inner, spatial.weight, stride=2, padding=2, groups=2), norm2))
    branch = norm(F.conv2d(inner, expand.weight), norm3)
    close(found, F.relu(branch + norm(F.conv2d(x, side.weight, stride=2), side_norm)))


def test_a_basic_block_strides_in_its_first_convolution():
    module = settled(
        ConvStage(channels=16, depth=1, stride=2, block="basic", groups=2).build(FeatureShape(6, 9, 12))
    )
    first, norm1, _, second, norm2 = module[0].branch
    side, side_norm = module[0].shortcut
    x = torch.randn(2, 6, 9, 12, dtype=torch.float64)

    found = module(x)

    inner = F.relu(norm(F.conv2d(x, first.weight, stride=2, padding=1, groups=2), norm1))
    branch = norm(F.conv2d(inner, second.weight, padding=1, groups=2), norm2)
    close(found, F.relu(branch + norm(F.conv2d(x, side.weight, stride=2), side_norm)))


def test_the_shortcut_is_the_input_itself_where_shapes_agree():
    module = settled(ConvStage(channels=8, depth=1).build(FeatureShape(8, 6, 5)))
    x = torch.randn(2, 8, 6, 5, dtype=torch.float64)

    found = module(x)

    close(found, F.relu(module[0].branch(x) + x))


def test_only_the_first_block_strides_and_changes_width():
    first, second, third = ConvStage(channels=8, depth=3, stride=2).build(FeatureShape(4, 8, 8))

    assert len(list(first.shortcut.parameters())) == 3
    assert not [*second.shortcut.parameters(), *third.shortcut.parameters()]


# --- activations ----------------------------------------------------------------------------------


@every_activation
def test_a_bottleneck_activates_behind_two_norms_and_behind_the_sum(activation):
    stage = ConvStage(channels=16, depth=1, activation=activation)
    module, act = settled(stage.build(FeatureShape(6, 5, 4))), ACTIVATIONS[activation]
    reduce, norm1, _, spatial, norm2, _, expand, norm3 = module[0].branch
    side, side_norm = module[0].shortcut
    x = a_map(6, 5, 4)

    found = module(x)

    inner = act(norm(F.conv2d(x, reduce.weight), norm1))
    inner = act(norm(F.conv2d(inner, spatial.weight, padding=1), norm2))
    branch = norm(F.conv2d(inner, expand.weight), norm3)
    close(found, act(branch + norm(F.conv2d(x, side.weight), side_norm)))


@every_activation
def test_a_basic_block_activates_behind_its_first_norm_and_behind_the_sum(activation):
    stage = ConvStage(channels=6, depth=1, block="basic", activation=activation)
    module, act = settled(stage.build(FeatureShape(6, 5, 4))), ACTIVATIONS[activation]
    first, norm1, _, second, norm2 = module[0].branch
    x = a_map(6, 5, 4)

    found = module(x)

    inner = act(norm(F.conv2d(x, first.weight, padding=1), norm1))
    close(found, act(norm(F.conv2d(inner, second.weight, padding=1), norm2) + x))


@every_activation
def test_an_attention_block_activates_behind_two_norms_and_behind_the_sum(activation):
    """The second norm stands behind attention and its pooling."""
    stage = MHSAStage(channels=16, depth=1, stride=2, activation=activation)
    module, act = settled(stage.build(FeatureShape(6, 4, 6))), ACTIVATIONS[activation]
    reduce, norm1, _, attention, _, norm2, _, expand, norm3 = module[0].branch
    side, side_norm = module[0].shortcut
    x = a_map(6, 4, 6)

    found = module(x)

    mixed = attention(act(norm(F.conv2d(x, reduce.weight), norm1)))
    pooled = mixed.reshape(2, 4, 2, 2, 3, 2).mean(dim=(3, 5))
    branch = norm(F.conv2d(act(norm(pooled, norm2)), expand.weight), norm3)
    close(found, act(branch + norm(F.conv2d(x, side.weight, stride=2), side_norm)))


# --- shortcuts ------------------------------------------------------------------------------------

BOTH_KINDS = {
    "conv": ConvStage(channels=16, depth=2, stride=2),
    "mhsa": MHSAStage(channels=16, depth=2, stride=2),
}
both_kinds = pytest.mark.parametrize("stage", BOTH_KINDS.values(), ids=BOTH_KINDS.keys())


def the_shortcuts(stage, shape, **fields):
    """The module on the first block's side, which projects what arrives."""
    module = settled(stage.model_copy(update=fields).build(shape))
    return module[0].shortcut


@both_kinds
def test_a_shortcut_is_a_strided_1x1_convolution_and_a_norm(stage):
    kept = the_shortcuts(stage, FeatureShape(6, 5, 4))
    conv, side_norm = kept
    x = a_map(6, 5, 4)

    close(kept(x), norm(torch.einsum("oi,biyx->boyx", conv.weight[..., 0, 0], x[..., ::2, ::2]), side_norm))


@both_kinds
def test_a_pooled_shortcut_takes_the_mean_of_two_by_two_before_its_convolution(stage):
    kept = the_shortcuts(stage, FeatureShape(6, 4, 6), shortcut="avgpool_conv1x1")
    _, conv, side_norm = kept
    x = a_map(6, 4, 6)

    squares = x.reshape(2, 6, 2, 2, 3, 2).mean(dim=(3, 5))
    close(kept(x), norm(torch.einsum("oi,biyx->boyx", conv.weight[..., 0, 0], squares), side_norm))


@both_kinds
def test_a_pooled_shortcut_takes_a_border_square_over_what_the_map_has(stage):
    kept = the_shortcuts(stage, FeatureShape(6, 3, 5), shortcut="avgpool_conv1x1")
    _, conv, side_norm = kept
    x = a_map(6, 3, 5)

    squares = torch.stack(
        [
            torch.stack([x[:, :, y : y + 2, x_ : x_ + 2].mean(dim=(2, 3)) for x_ in (0, 2, 4)], dim=-1)
            for y in (0, 2)
        ],
        dim=-2,
    )
    # The corner square holds one pixel, those of the last row and of the last column two.
    close(squares[:, :, 1, 2], x[:, :, 2, 4])
    close(squares[:, :, 1, 0], (x[:, :, 2, 0] + x[:, :, 2, 1]) / 2)
    close(kept(x), norm(torch.einsum("oi,biyx->boyx", conv.weight[..., 0, 0], squares), side_norm))


@both_kinds
def test_a_pooled_shortcut_that_does_not_stride_has_no_pool(stage):
    kept = the_shortcuts(stage, FeatureShape(6, 3, 5), stride=1, shortcut="avgpool_conv1x1")
    conv, side_norm = kept
    x = a_map(6, 3, 5)

    close(kept(x), norm(torch.einsum("oi,biyx->boyx", conv.weight[..., 0, 0], x), side_norm))


@both_kinds
def test_a_3x3_shortcut_is_a_strided_convolution_padded_by_one_and_a_norm(stage):
    kept = the_shortcuts(stage, FeatureShape(6, 5, 4), shortcut="conv3x3")
    conv, side_norm = kept
    x = a_map(6, 5, 4)

    assert conv.weight.shape == (16, 6, 3, 3)
    assert conv.bias is None
    close(kept(x), norm(F.conv2d(x, conv.weight, stride=2, padding=1), side_norm))


@every_activation
@pytest.mark.parametrize("shortcut", ["conv1x1", "avgpool_conv1x1", "conv3x3"])
@both_kinds
def test_a_shortcut_is_activated_behind_its_norm_if_it_is_written(stage, shortcut, activation):
    torch.manual_seed(1)
    fields = {"shortcut": shortcut, "activation": activation}
    plain = the_shortcuts(stage, FeatureShape(6, 5, 4), **fields)
    active = the_shortcuts(stage, FeatureShape(6, 5, 4), **fields, shortcut_activation=True)
    active.load_state_dict(plain.state_dict())
    x = a_map(6, 5, 4)

    close(active(x), ACTIVATIONS[activation](plain(x)))


@pytest.mark.parametrize("shortcut", ["conv1x1", "avgpool_conv1x1", "conv3x3"])
@both_kinds
def test_a_block_that_keeps_stride_and_width_keeps_its_input_whatever_is_written(stage, shortcut):
    first, second = stage.model_copy(update={"shortcut": shortcut, "shortcut_activation": True}).build(
        FeatureShape(6, 5, 4)
    )

    assert not isinstance(first.shortcut, nn.Identity)
    assert isinstance(second.shortcut, nn.Identity)


def test_the_first_block_projects_if_it_strides_at_the_same_width():
    (block,) = ConvStage(channels=8, depth=1, stride=2).build(FeatureShape(8, 4, 4))

    assert block.shortcut[0].weight.shape == (8, 8, 1, 1)


# --- norms ----------------------------------------------------------------------------------------

# Three in a bottleneck or an attention block, two in a basic one, and one in the first block's shortcut.
NORMS = {
    "bottleneck": (ConvStage(channels=8, depth=2, stride=2, norm_eps=1e-3), 3 + 1 + 3),
    "basic": (ConvStage(channels=8, depth=2, stride=2, block="basic", norm_eps=1e-3), 2 + 1 + 2),
    "pooled shortcut": (
        ConvStage(channels=8, depth=1, stride=2, shortcut="avgpool_conv1x1", norm_eps=1e-3),
        3 + 1,
    ),
    "3x3 shortcut": (ConvStage(channels=8, depth=1, stride=2, shortcut="conv3x3", norm_eps=1e-3), 3 + 1),
    "no shortcut": (ConvStage(channels=6, depth=2, expansion=1, norm_eps=1e-3), 3 + 3),
    "attention": (MHSAStage(channels=16, depth=2, stride=2, norm_eps=1e-3), 3 + 1 + 3),
    "stem": (ConvStem(channels=8, norm_eps=1e-3), 1),
    "deep stem": (ConvStem(channels=8, hidden_channels=(4, 5), norm_eps=1e-3), 3),
}


@pytest.mark.parametrize(("part", "number"), NORMS.values(), ids=NORMS.keys())
def test_every_norm_takes_the_eps_that_is_written(part, number):
    norms = [m for m in part.build(FeatureShape(6, 8, 8)).modules() if isinstance(m, nn.BatchNorm2d)]

    assert [norm.eps for norm in norms] == [1e-3] * number


def test_an_eps_widens_the_deviation_that_a_norm_divides_by():
    module = settled(ConvStem(channels=8, norm_eps=1e-2).build(FeatureShape(3, 5, 4)))
    images = a_map(3, 5, 4)

    found = module(images)

    close(found, F.relu(norm(F.conv2d(images, module[0].weight, padding=1), module[1], eps=1e-2)))


# --- stems ----------------------------------------------------------------------------------------


def test_a_deep_stem_convolves_norms_and_activates_three_times_and_strides_first():
    stem = ConvStem(channels=8, stride=2, hidden_channels=(4, 6), pool="max", activation="silu")
    module, act = settled(stem.build(FeatureShape(3, 17, 12))), ACTIVATIONS["silu"]
    conv1, norm1, _, conv2, norm2, _, conv3, norm3, _, _ = module
    images = a_map(3, 17, 12)

    found = module(images)

    inner = act(norm(F.conv2d(images, conv1.weight, stride=2, padding=1), norm1))
    inner = act(norm(F.conv2d(inner, conv2.weight, padding=1), norm2))
    inner = act(norm(F.conv2d(inner, conv3.weight, padding=1), norm3))
    close(found, F.max_pool2d(inner, 3, stride=2, padding=1))


def test_the_widths_of_a_deep_stem_are_those_written_and_its_convolutions_have_no_bias():
    stem = ConvStem(channels=8, kernel=5, hidden_channels=(4, 6))

    convs = [m for m in stem.build(FeatureShape(3, 17, 12)) if isinstance(m, nn.Conv2d)]

    assert [tuple(conv.weight.shape) for conv in convs] == [(4, 3, 5, 5), (6, 4, 5, 5), (8, 6, 5, 5)]
    assert [conv.bias for conv in convs] == [None, None, None]


@every_activation
def test_a_stem_activates_behind_its_norm(activation):
    module = settled(ConvStem(channels=8, activation=activation).build(FeatureShape(3, 5, 4)))
    images = a_map(3, 5, 4)

    found = module(images)

    close(found, ACTIVATIONS[activation](norm(F.conv2d(images, module[0].weight, padding=1), module[1])))


def test_a_conv_stem_norms_cuts_and_takes_the_maximum_of_three_by_three():
    module = settled(ConvStem(channels=8, kernel=7, stride=2, pool="max").build(FeatureShape(3, 17, 12)))
    images = torch.randn(2, 3, 17, 12, dtype=torch.float64)

    found = module(images)

    features = F.relu(norm(F.conv2d(images, module[0].weight, stride=2, padding=3), module[1]))
    close(found, F.max_pool2d(features, 3, stride=2, padding=1))


def test_a_patch_is_one_linear_layer_over_its_pixels():
    module = PatchStem(channels=8, size=2).build(FeatureShape(3, 4, 6)).double()
    images = torch.randn(2, 3, 4, 6, dtype=torch.float64)

    found = module(images)

    last = images[:, :, 2:4, 4:6].flatten(1)
    close(found[:, :, 1, 2], last @ module.project.weight.flatten(1).T + module.project.bias)


def test_a_started_patch_is_filled_with_zeros_below_and_to_the_right():
    module = PatchStem(channels=8, size=4).build(FeatureShape(3, 5, 6)).double()
    images = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    filled = torch.zeros(2, 3, 8, 8, dtype=torch.float64)
    filled[:, :, :5, :6] = images

    found = module(images)

    close(found, F.conv2d(filled, module.project.weight, module.project.bias, stride=4))
