"""One site for each mixer of the structure, whatever is built; each runs alone as it does in its network."""

import pytest
import torch
from analysis_examples import STAGES, STEMS, architecture, awake, every_part, images
from torch import nn

from archsearch.analysis.mixer_sites import (
    PIXELS,
    arrivals,
    axis_behind,
    evaluation_mode,
    mixer_sites,
    some_at_once,
)
from archsearch.errors import DataError
from archsearch.stages import STAGE_KINDS, STEM_KINDS
from archsearch.stages.residual import average_pool, conv
from archsearch.stages.tokens import SoftSplit

every = pytest.mark.parametrize("parts", every_part().values(), ids=every_part().keys())


def test_every_kind_has_an_example():
    assert {stem.kind for stem in STEMS.values()} == STEM_KINDS.keys()
    assert {stage.kind for stage in STAGES.values()} == STAGE_KINDS.keys()


@every
def test_there_is_a_site_for_each_mixer_of_the_structure_in_its_order(parts):
    network = awake(*parts)

    assert [(site.place, site.mixer) for site in mixer_sites(network)] == network.architecture.mixers()


@pytest.mark.parametrize("size", [(17, 9), (16, 16)], ids=str)
@every
def test_what_arrives_at_a_site_is_the_map_of_its_mixer_and_each_place_behind_it_looks_into_it(parts, size):
    network = awake(*parts, height=size[0], width=size[1])
    found = mixer_sites(network)
    arriving = arrivals(network, images(network, 2), [site.path.entered for site in found])

    for site in found:
        x, places = arriving[site.path.entered], site.mixer.height * site.mixer.width
        assert x.shape[2:] == (site.mixer.height, site.mixer.width) if x.ndim == 4 else x.shape[1] >= places
        out = site.run(x)
        assert out.ndim == 4
        sizes = (site.mixer.height, site.mixer.width)
        for length, across, axis in zip(out.shape[2:], sizes, site.axes, strict=True):
            last = axis.stride * (length - 1) + axis.offset
            assert abs(last - (across - 1)) < max(axis.stride, site.mixer.window or 1)


@every
def test_only_what_has_queries_and_keys_is_an_attention(parts):
    found = mixer_sites(awake(*parts))

    assert all((site.attention is not None) == site.mixer.attention for site in found)


def test_both_parts_of_a_residual_sum_add_up_to_it():
    network = awake(STEMS["point"], STAGES["mhsa, mixing shortcut"])
    shortcut, branch, _ = (site.path.total for site in mixer_sites(network))
    x = arrivals(network, images(network), [branch.entered])[branch.entered]

    assert torch.equal(branch.entered(x), (branch.mixed(x) + branch.kept(x)).relu())
    assert torch.equal(shortcut.mixed(x), branch.kept(x))


def test_a_token_layer_is_the_sum_of_its_values_and_what_it_mixes():
    network = awake(STEMS["t2t softmax"])
    layer = network.stem.layers[0]
    total = next(site.path.total for site in mixer_sites(network) if site.path.entered is layer)
    tokens = arrivals(network, images(network), [layer])[layer]

    added = total.mixed(tokens) + total.kept(tokens)
    torch.testing.assert_close(added + layer.mlp(layer.mlp_norm(added)), layer(tokens))


def test_the_two_convolutions_of_a_basic_block_are_judged_one_by_one_and_make_up_its_branch():
    network = awake(STEMS["point"], STAGES["basic"])
    first, second = (site.path for site in mixer_sites(network)[:2])
    x = arrivals(network, images(network), [first.entered])[first.entered]

    assert torch.equal(second.run(first.run(x)), network.stages[0][0].branch(x))
    assert first.total == second.total


@pytest.mark.parametrize(
    ("chain", "stride", "offset"),
    [
        ([conv(1, 1, 3)], 1, 0),
        ([conv(1, 1, 7, 2)], 2, 0),
        ([conv(1, 1, 3, 2), nn.ReLU(), conv(1, 1, 3, 2)], 4, 0),
        (average_pool(2), 2, 0),
        (average_pool(3), 3, 1),
        ([*average_pool(3), *average_pool(3)], 9, 4),
        ([SoftSplit(7, 4)], 4, 1),
        ([SoftSplit(4, 2)], 2, 0),
        ([nn.Conv2d(1, 1, 4, 4)], 4, 1),
    ],
)
def test_a_place_behind_a_window_stands_at_its_middle(chain, stride, offset):
    assert axis_behind(chain, 32, 0)[2:] == (stride, offset)


def test_the_mode_and_the_hooks_of_a_network_are_afterwards_as_before():
    network = awake(STEMS["conv"]).train()
    with evaluation_mode(network):
        arrivals(network, images(network), network.modules())
        assert not any(module.training for module in network.modules())

    assert all(module.training for module in network.modules())
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_images_go_through_in_batches_that_fit():
    network = awake(height=64, width=64)

    assert [len(part) for part in some_at_once(network, images(network, 5))] == [PIXELS // 64**2, 2, 1]


@pytest.mark.parametrize("shape", [(0, 3, 17, 9), (2, 1, 17, 9), (2, 3, 9, 17), (3, 17, 9)], ids=str)
def test_images_that_the_network_does_not_take_are_refused(shape):
    with pytest.raises(DataError, match="is no batch of 3x17x9 images"):
        some_at_once(awake(), torch.zeros(shape))


def test_a_network_that_mixes_nothing_has_no_sites():
    assert mixer_sites(awake()) == []
    assert architecture().mixers() == []
