import pytest
import torch
import torch.nn.functional as F
from examples import STAGES, STEMS
from torch import nn

from archsearch import count_macs, count_params, globality
from archsearch.architecture import Architecture, Image
from archsearch.counting import global_shares, reach
from archsearch.counting.meta_trace import MixerCosts, Recorder, meta_trace, trace_costs
from archsearch.errors import UncountedOperationError
from archsearch.shapes import FeatureShape
from archsearch.stages import (
    ConvStage,
    ConvStem,
    MHSAStage,
    Mixer,
    SpatialMixer,
    TokenTransformerStage,
)

IMAGE = Image(channels=3, height=32, width=24)


def network(*stages, stem=None):
    stem = stem or ConvStem(channels=8, kernel=1)
    return Architecture(image=IMAGE, classes=10, stem=stem, stages=stages)


def test_a_network_of_pointwise_convolutions_alone_has_no_mixers_and_shares_of_zero():
    shares = global_shares(network(ConvStage(channels=8, depth=1, kernel=1)))

    assert (shares.globality_macs, shares.global_macs, shares.global_params) == (0, 0, 0)


def test_a_convolution_net_spends_nothing_on_mixing_globally():
    shares = global_shares(network(ConvStage(channels=8, depth=2)))

    assert (shares.global_macs, shares.global_params) == (0, 0)
    assert 0 < shares.globality_macs < 0.2


def test_the_share_of_an_attention_by_hand():
    # 192 tokens of width 8: qkv 192 x 8 x 24, products 2 x 192^2 x 8, projection 192 x 8 x 8.
    stage = TokenTransformerStage(
        channels=8, depth=1, entry="direct", heads=2, mlp_ratio=2, position="none", qkv_bias=False
    )
    architecture = network(stage, stem=ConvStem(channels=8, kernel=1, stride=2))
    by_hand = 192 * 8 * 24 + 2 * 192**2 * 8 + 192 * 8 * 8

    shares = global_shares(architecture)

    assert shares.global_macs == pytest.approx(by_hand / count_macs(architecture).total, rel=1e-12)
    assert shares.global_params == pytest.approx((8 * 24 + 8 * 8 + 8) / count_params(architecture), rel=1e-12)
    assert shares.globality_macs == 1


def test_the_weighted_twin_by_hand():
    # One 3x3 convolution of 4 x 4 channels at 16 x 12, one attention of width 4 at the same map.
    conv = ConvStage(channels=16, depth=1, kernel=3, expansion=0.25)
    attention = MHSAStage(channels=16, depth=1, heads=2, expansion=0.25, position="none")
    local_macs, tokens = 192 * 9 * 4 * 4, 192
    global_macs = tokens * 4 * 12 + 2 * tokens**2 * 4
    near = reach(Mixer(16, 12, 3))

    shares = global_shares(network(conv, attention, stem=ConvStem(channels=16, kernel=1, stride=2)))

    expected = (local_macs * near + global_macs) / (local_macs + global_macs)
    assert shares.globality_macs == pytest.approx(expected, abs=1e-5)


def test_mixers_of_equal_macs_weigh_as_in_the_plain_mean():
    stage = ConvStage(channels=8, depth=3, kernel=3, block="basic")
    architecture = network(stage, stem=ConvStem(channels=8, kernel=1))

    assert global_shares(architecture).globality_macs == pytest.approx(globality(architecture), abs=1e-5)


@pytest.mark.parametrize("part", [*STEMS.values(), *STAGES.values()], ids=[*STEMS, *STAGES])
def test_the_modules_that_mix_are_the_mixers_that_a_part_declares(part):
    """A count refuses other mixers than were promised: it would not know how far they reach."""
    shape = FeatureShape(8, 32, 24)

    _, work, mixed = trace_costs(lambda: part.build(shape), shape, part.mixers(shape))

    assert mixed.macs <= sum(costs.macs for costs in work.values())
    assert (mixed.macs > 0) == (part.mixers(shape) != [])
    assert (mixed.global_macs > 0) == (part.mixing(shape) == "global")


CONV, MHSA = ConvStage(channels=8, depth=1), MHSAStage(channels=8, depth=1, heads=2)


@pytest.mark.parametrize(
    ("promised", "why"),
    [
        (CONV.mixers(IMAGE.shape) * 2, "a Sequential has no mixer of window 3, and mixers() promises one"),
        ([], "a Conv2d is a mixer of window 3, and mixers() promises no such one more"),
        (MHSA.mixers(IMAGE.shape), "a Conv2d is a mixer of window 3, and mixers() promises no such one more"),
    ],
    ids=["one too many", "none", "another"],
)
def test_other_mixers_than_were_promised_are_refused(promised, why):
    with pytest.raises(UncountedOperationError) as raised:
        trace_costs(lambda: CONV.build(IMAGE.shape), IMAGE.shape, promised)

    assert raised.value.lines() == [why]


def test_tokens_of_a_single_place_reach_nowhere():
    """A token of the stage's own stands beside the place; it is no place of the map."""
    stem, stage = (
        ConvStem(channels=8, kernel=1, stride=8),
        TokenTransformerStage(channels=8, depth=1, entry="direct", class_token=True),
    )
    architecture = Architecture(
        image=Image(channels=3, height=8, width=8), classes=10, stem=stem, stages=(stage,)
    )

    assert global_shares(architecture).globality_macs == globality(architecture) == 0


# --- what mixes and belongs to no mixer -----------------------------------------------------------


class Outside(nn.Module):
    """A module that is one function, and no mixer."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.ones(24, 24))

    def forward(self, x):
        return self.function(x, self.weight)


class Inside(SpatialMixer, Outside):
    """The same as a mixer."""


MIXING = {
    "scaled_dot_product_attention": lambda x, _: F.scaled_dot_product_attention(x, x, x),
    "matmul": lambda x, _: x @ x.transpose(2, 3),
    "bmm": lambda x, _: torch.bmm(x[0], x[0].transpose(1, 2)),
    "conv2d": lambda x, _: F.conv2d(x, torch.ones(3, 3, 3, 3)),
    "unfold": lambda x, _: F.unfold(x, 3),
    "matmul from the left": lambda x, weight: weight @ x.transpose(2, 3),
}
POINTWISE = {
    "a product with a parameter": lambda x, weight: x @ weight,
    "a product with a view of one": lambda x, weight: x @ weight.T[:, :5],
    "a linear layer": F.linear,
    "a pointwise convolution": lambda x, _: F.conv2d(x, torch.ones(3, 3, 1, 1)),
}


@pytest.mark.parametrize("name", MIXING)
def test_work_that_mixes_in_no_mixer_is_refused_with_its_module(name):
    function = MIXING[name]
    with pytest.raises(UncountedOperationError) as raised:
        trace_costs(lambda: nn.Sequential(nn.Identity(), Outside(function)), IMAGE.shape)

    (line,) = raised.value.lines()
    assert line.startswith(f"{name.split()[0]} in 1 (Outside): mixes places, and no mixer says how far; ")
    assert "archsearch.stages.SpatialMixer" in line


@pytest.mark.parametrize("name", MIXING)
def test_the_same_work_in_a_mixer_counts_as_mixing(name):
    _, work, mixed = trace_costs(lambda: Inside(MIXING[name]), IMAGE.shape)

    assert mixed.macs == mixed.global_macs == sum(costs.macs for costs in work.values())


@pytest.mark.parametrize("name", POINTWISE)
def test_work_at_each_place_alone_needs_no_mixer(name):
    assert trace_costs(lambda: Outside(POINTWISE[name]), IMAGE.shape)[2] == MixerCosts()


def test_watching_leaves_no_hooks_behind():
    part = ConvStage(channels=8, depth=1)
    module = meta_trace(lambda: part.build(IMAGE.shape), IMAGE.shape, Recorder())

    assert not any(inner._forward_hooks or inner._forward_pre_hooks for inner in module.modules())
    assert all(parameter.device == torch.device("meta") for parameter in module.parameters())
