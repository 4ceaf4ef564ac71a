import pytest
import torch

from archsearch import count_macs, count_params, globality
from archsearch.architecture import Architecture, Image
from archsearch.counting import global_shares, reach
from archsearch.counting.meta_trace import Recorder, meta_trace
from archsearch.stages import (
    ConvStage,
    ConvStem,
    MHSAStage,
    Mixer,
    PatchStem,
    T2TStem,
    TokenTransformerStage,
)
from archsearch.stages.mixing import mixer_of

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


class Listener(Recorder):
    """Notes the outermost mixers in the order in which they run."""

    def __init__(self):
        super().__init__()
        self.met = []

    def _end(self, module, arguments, out):
        if len(self.mixing) == 1:
            self.met.append(mixer_of(module, arguments[0]))
        super()._end(module, arguments, out)


@pytest.mark.parametrize(
    "part",
    [
        ConvStem(channels=8, kernel=5, stride=2, hidden_channels=(4,)),
        PatchStem(channels=8, size=4),
        T2TStem(channels=8, kernels=(7, 3, 3), strides=(2, 2, 1), token_channels=4, attention="softmax"),
        T2TStem(channels=8, kernels=(7, 3), strides=(2, 2), token_channels=4, attention="performer"),
        ConvStage(channels=8, depth=2, stride=2, kernel=5, expansion=0.5),
        ConvStage(channels=8, depth=2, kernel=3, block="basic", shortcut="conv3x3"),
        ConvStage(channels=8, depth=2, kernel=3, groups=2, expansion=0.5),
        MHSAStage(channels=8, depth=2, stride=2, heads=2, expansion=0.5),
        TokenTransformerStage(channels=8, depth=2, stride=2, split_kernel=3, heads=2, mlp_ratio=2),
        TokenTransformerStage(channels=8, depth=1, split_kernel=1, heads=2, mlp_ratio=2, class_token=True),
    ],
    ids=lambda part: f"{part.kind}-{part.model_dump(exclude_defaults=True)}"[:60],
)
def test_the_modules_that_mix_are_the_mixers_that_a_part_declares(part):
    shape = IMAGE.shape
    listener = Listener()

    meta_trace(lambda: part.build(shape), shape, listener)

    # An attention over tokens sees no map; where it stands is the business of its part.
    reached = sorted(reach(mixer) for mixer in listener.met)
    assert reached == pytest.approx(sorted(reach(mixer) for mixer in part.mixers(shape)))


def test_watching_leaves_no_hooks_behind():
    part = ConvStage(channels=8, depth=1)
    module = meta_trace(lambda: part.build(IMAGE.shape), IMAGE.shape, Recorder())

    assert not any(inner._forward_hooks or inner._forward_pre_hooks for inner in module.modules())
    assert all(parameter.device == torch.device("meta") for parameter in module.parameters())
