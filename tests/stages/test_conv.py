"""Residual blocks, convolutional and patch stems are their formulas."""

import pytest
import torch
import torch.nn.functional as F

from archsearch.shapes import FeatureShape
from archsearch.stages import ConvStage, ConvStem, PatchStem


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def norm(x, module):
    """Batch norm in eval mode, from its statistics."""
    mean, var, weight, bias = (
        t[:, None, None] for t in (module.running_mean, module.running_var, module.weight, module.bias)
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def settled(module):
    """In eval mode, in float64, with norms that are not the identity."""
    for name, tensor in module.state_dict().items():
        if "running" in name or tensor.ndim == 1:
            tensor.uniform_(0.5, 1.5)
    return module.double().eval()


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
