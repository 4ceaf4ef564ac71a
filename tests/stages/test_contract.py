"""What every kind of stem and of stage must do. A new kind adds one example and is checked by all of it."""

from collections import Counter
from typing import ClassVar, Literal

import pytest
import torch
from examples import STAGES, STEMS
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from archsearch.architecture import Architecture, Image
from archsearch.shapes import FeatureShape
from archsearch.stages import (
    STAGE_KINDS,
    STEM_KINDS,
    ConvStage,
    ConvStem,
    Head,
    MapAndTokens,
    MHSAStage,
    Mixer,
    PatchStem,
    T2TStem,
    TokenTransformerStage,
)
from archsearch.stages.base import registry
from archsearch.stages.mixers import is_attention, window_of

PARTS = {**{f"stem, {name}": stem for name, stem in STEMS.items()}, **STAGES}
SHAPES = [FeatureShape(8, 32, 32), FeatureShape(8, 17, 9)]

every_part = pytest.mark.parametrize("part", PARTS.values(), ids=PARTS.keys())
on_every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def images(batch, shape):
    return torch.randn(batch, shape.channels, shape.height, shape.width, dtype=torch.float64)


def built(part, shape):
    """The part as training makes it: residual branches, which start at a scale of zero, are awake."""
    module = part.build(shape).double()
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(norm.weight)
    return module


@pytest.mark.parametrize("name", ["conv, identity shortcut"])
def test_a_residual_block_starts_as_its_shortcut(name):
    shape = SHAPES[0]
    pixels = images(2, shape)

    features = STAGES[name].build(shape).double()(pixels)

    assert torch.equal(features, pixels.relu())


def the_map(features):
    return features.map if isinstance(features, MapAndTokens) else features


def random_sum(features):
    """Weighted at random: a plain sum, or sum of squares, behind a norm is a constant without gradient."""
    outputs = features if isinstance(features, MapAndTokens) else (features,)
    return sum((output * torch.randn_like(output)).sum() for output in outputs)


def test_every_kind_has_an_example():
    assert {stem.kind for stem in STEMS.values()} == STEM_KINDS.keys()
    assert {stage.kind for stage in STAGES.values()} == STAGE_KINDS.keys()


@on_every_shape
@every_part
def test_no_example_has_a_problem(part, shape):
    assert part.problems(shape) == []


@on_every_shape
@every_part
def test_out_shape_is_what_the_module_returns(part, shape):
    features = built(part, shape)(images(2, shape))

    promised = part.out_shape(shape)
    assert the_map(features).shape == (2, promised.channels, promised.height, promised.width)


@on_every_shape
@every_part
def test_tokens_come_with_the_map_exactly_if_the_part_carries_its_own(part, shape):
    features = built(part, shape)(images(2, shape))

    own = getattr(part, "class_token", False) + getattr(part, "distillation_token", False)
    assert isinstance(features, MapAndTokens) == (own > 0)
    if isinstance(features, MapAndTokens):
        assert features.tokens.shape == (2, own, part.channels)


@every_part
def test_every_parameter_gets_a_gradient_that_is_not_zero(part):
    shape = SHAPES[1]
    module = built(part, shape).train()

    random_sum(module(images(4, shape))).backward()

    trained = {name: p.grad for name, p in module.named_parameters() if p.requires_grad}
    assert not [name for name, grad in trained.items() if grad is None or grad.abs().max() < 1e-9]


@pytest.mark.parametrize("corners", [((0, 0), (-1, -1)), ((-1, -1), (0, 0))], ids=["down", "up"])
@on_every_shape
@every_part
def test_a_corner_reaches_the_far_corner_exactly_if_mixing_is_global(part, shape, corners):
    (from_y, from_x), (to_y, to_x) = corners
    module = built(part, shape).eval()
    pixels = images(1, shape).requires_grad_()

    random_sum(the_map(module(pixels))[0, :, to_y, to_x]).backward()

    arrives = bool(pixels.grad[0, :, from_y, from_x].abs().max() > 0)
    assert arrives == (part.mixing(shape) == "global")


@every_part
def test_no_pixel_is_lost(part):
    """Seen over several images: in one of them every ReLU behind a pixel may happen to be shut."""
    shape = SHAPES[1]
    module = built(part, shape).eval()
    pixels = images(8, shape).requires_grad_()

    random_sum(module(pixels)).backward()

    influence = pixels.grad.abs().amax(dim=(0, 1))
    assert influence.min() > 0


@every_part
def test_the_image_beside_it_in_the_batch_changes_nothing(part):
    shape = SHAPES[1]
    module = built(part, shape).eval()
    batch = images(5, shape)

    together, alone = the_map(module(batch)), the_map(module(batch[:1]))

    assert len(together) == 5
    torch.testing.assert_close(alone, together[:1], rtol=0, atol=1e-10)


@every_part
def test_two_networks_of_one_description_start_from_different_weights(part):
    first, second = built(part, SHAPES[0]), built(part, SHAPES[0])

    assert any(
        not torch.equal(one, other)
        for one, other in zip(first.parameters(), second.parameters(), strict=True)
    )


@every_part
def test_a_field_that_no_part_knows_is_refused(part):
    with pytest.raises(ValidationError) as raised:
        type(part)(**part.model_dump(), dilation=2)

    assert [(error["loc"], error["type"]) for error in raised.value.errors()] == [
        (("dilation",), "extra_forbidden")
    ]


@every_part
def test_a_description_never_changes(part):
    with pytest.raises(ValidationError) as raised:
        part.channels = 24

    assert [error["type"] for error in raised.value.errors()] == ["frozen_instance"]


@every_part
def test_equal_descriptions_are_one_key_of_a_dictionary(part):
    twin = type(part)(**part.model_dump())

    assert {part: "found"}[twin] == "found"


@pytest.mark.parametrize("written", ["16", 16.5, 0, -8, True], ids=repr)
@pytest.mark.parametrize(
    "kind", [*STEM_KINDS.values(), *STAGE_KINDS.values()], ids=lambda kind: kind.__name__
)
def test_channels_are_a_whole_number_of_at_least_one(kind, written):
    needed = {name: 1 for name, field in kind.model_fields.items() if field.is_required()}

    with pytest.raises(ValidationError) as raised:
        kind(**{**needed, "channels": written})

    assert [error["loc"] for error in raised.value.errors()] == [("channels",)]


# --- what problems() accepts can be built ---------------------------------------------------------

sizes, strides, kernels = st.integers(1, 13), st.integers(1, 5), st.integers(1, 7)
shortcuts = st.sampled_from(["conv1x1", "avgpool_conv1x1", "conv3x3"])
some_parts = st.one_of(
    st.builds(
        ConvStem,
        channels=st.just(4),
        kernel=kernels,
        stride=strides,
        hidden_channels=st.sampled_from([(), (2,), (2, 3)]),
        pool=st.sampled_from(["none", "max"]),
    ),
    st.builds(PatchStem, channels=st.just(4), size=kernels),
    st.builds(
        T2TStem,
        channels=st.just(4),
        kernels=st.tuples(kernels, kernels),
        strides=st.tuples(strides, strides),
        token_channels=st.just(4),
        attention=st.sampled_from(["softmax", "performer"]),
    ),
    st.builds(
        ConvStage,
        channels=st.just(8),
        depth=st.integers(1, 2),
        kernel=kernels,
        stride=strides,
        block=st.sampled_from(["basic", "bottleneck"]),
        groups=st.integers(1, 3),
        shortcut=shortcuts,
    ),
    st.builds(
        MHSAStage,
        channels=st.just(8),
        depth=st.integers(1, 2),
        heads=st.just(2),
        stride=strides,
        position=st.sampled_from(["relative", "article", "none"]),
        shortcut=shortcuts,
    ),
    st.builds(
        TokenTransformerStage,
        channels=st.just(8),
        depth=st.just(1),
        heads=st.just(2),
        split_kernel=kernels,
        stride=strides,
        entry=st.sampled_from(["split", "direct"]),
    ),
)


@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much]
)
@given(part=some_parts, height=sizes, width=sizes)
def test_whatever_has_no_problems_can_be_built_and_keeps_its_promise(part, height, width):
    shape = FeatureShape(8, height, width)
    assume(not part.problems(shape))

    features = part.build(shape).eval()(torch.zeros(1, 8, height, width))

    promised = part.out_shape(shape)
    assert features.shape == (1, promised.channels, promised.height, promised.width)


# --- what cannot be built, and what to write instead ----------------------------------------------

REFUSED = {
    "a kernel larger than the map": (
        ConvStem(channels=8, kernel=5),
        FeatureShape(3, 4, 9),
        [
            "kernel: 5 is larger than the 4x9 map that arrives here; use an odd one up to 3, or stride less before it"
        ],
    ),
    "a second convolution larger than the map behind the stride": (
        ConvStage(channels=8, depth=1, block="basic", kernel=5, stride=2),
        FeatureShape(8, 8, 8),
        [
            "kernel: 5 is larger than the 4x4 map that arrives here; use an odd one up to 3, or stride less before it"
        ],
    ),
    "a later convolution of a stem larger than the map behind its stride": (
        ConvStem(channels=8, kernel=7, stride=2, hidden_channels=(8,)),
        FeatureShape(3, 9, 32),
        [
            "kernel: 7 is larger than the 5x16 map that arrives here; use an odd one up to 5, or stride less before it"
        ],
    ),
    "a stride of a stem larger than both sides of the image": (
        ConvStem(channels=8, stride=10),
        FeatureShape(3, 4, 9),
        ["stride: 10 is larger than the 4x9 map that arrives here; use at most 9, or stride less before it"],
    ),
    "a stride of convolutions larger than both sides of the map": (
        ConvStage(channels=8, depth=1, stride=4),
        FeatureShape(8, 3, 2),
        ["stride: 4 is larger than the 3x2 map that arrives here; use at most 3, or stride less before it"],
    ),
    "a stride of attention larger than both sides of the map": (
        MHSAStage(channels=16, depth=1, stride=3),
        FeatureShape(8, 1, 1),
        ["stride: 3 is larger than the 1x1 map that arrives here; use at most 2, or stride less before it"],
    ),
    "a kernel of five on the smallest map": (
        ConvStage(channels=8, depth=1, kernel=5),
        FeatureShape(8, 1, 1),
        [
            "kernel: 5 is larger than the 1x1 map that arrives here; use an odd one up to 3, or stride less before it"
        ],
    ),
    "a patch larger than the image": (
        PatchStem(channels=8, size=16),
        FeatureShape(3, 32, 12),
        ["size: 16 is larger than the 32x12 map that arrives here; use at most 12, or stride less before it"],
    ),
    "an even kernel in a stem": (
        ConvStem(channels=8, kernel=4),
        FeatureShape(3, 32, 32),
        ["kernel: 4 is even and has no centre; use 3 or 5"],
    ),
    "an even kernel in a stage": (
        ConvStage(channels=8, depth=1, kernel=6),
        FeatureShape(8, 32, 32),
        ["kernel: 6 is even and has no centre; use 5 or 7"],
    ),
    "heads that do not divide the attention": (
        MHSAStage(channels=16, depth=1, heads=3, expansion=0.5),
        FeatureShape(8, 8, 8),
        [
            (
                "heads: 3 heads do not divide the attention's width (channels x expansion) of 8; "
                "use heads that divide it, or another width"
            )
        ],
    ),
    "heads that do not divide the tokens": (
        TokenTransformerStage(channels=16, depth=1, heads=5),
        FeatureShape(8, 8, 8),
        [
            "heads: 5 heads do not divide the stage's channels of 16; use heads that divide it, or another width"
        ],
    ),
    "a broken convolution width": (
        ConvStage(channels=10, depth=1, expansion=0.25),
        FeatureShape(8, 8, 8),
        [
            (
                "expansion: 0.25 of 10 channels is no whole number; "
                "use another expansion, or channels that it divides evenly"
            )
        ],
    ),
    "a broken attention width": (
        MHSAStage(channels=10, depth=1, expansion=0.25),
        FeatureShape(8, 8, 8),
        [
            (
                "expansion: 0.25 of 10 channels is no whole number; "
                "use another expansion, or channels that it divides evenly"
            )
        ],
    ),
    "a broken hidden width": (
        TokenTransformerStage(channels=10, depth=1, heads=2, mlp_ratio=0.25),
        FeatureShape(8, 8, 8),
        [
            "mlp_ratio: 0.25 of 10 channels is no whole number; use another mlp_ratio, or channels that it divides evenly"
        ],
    ),
    "groups that do not divide the bottleneck": (
        ConvStage(channels=32, depth=1, groups=3),
        FeatureShape(9, 8, 8),
        [
            "groups: 3 groups do not divide the block's width of 8; use groups that divide it, or another width"
        ],
    ),
    "groups that do not divide what arrives at a basic block": (
        ConvStage(channels=32, depth=1, groups=4, block="basic"),
        FeatureShape(6, 8, 8),
        [
            "groups: 4 groups do not divide the 6 channels that arrive here; use groups that divide both widths"
        ],
    ),
    "a stride beyond the kernel of a stage's split": (
        TokenTransformerStage(channels=16, depth=1, stride=4, split_kernel=3),
        FeatureShape(8, 8, 8),
        [
            (
                "split_kernel: windows of 3 at stride 4 leave pixels out between them; "
                "use a kernel of at least 4, or a smaller stride"
            )
        ],
    ),
    "a stride beyond the kernel of a stem's second split": (
        T2TStem(channels=16, kernels=(7, 3), strides=(4, 5)),
        FeatureShape(3, 32, 32),
        [
            (
                "kernels.1: windows of 3 at stride 5 leave pixels out between them; "
                "use a kernel of at least 5, or a smaller stride"
            )
        ],
    ),
    # (16 + 2*2 - 7) // 4 + 1 = 4 rows are left behind the first split.
    "a later split larger than its map": (
        T2TStem(channels=16, kernels=(7, 5), strides=(4, 2)),
        FeatureShape(3, 16, 32),
        [
            "kernels.1: 5 is larger than the 4x8 map that arrives here; use at most 4, or stride less before it"
        ],
    ),
    # A 3x3 split at stride 3 is not padded.
    "a split without a window on its map": (
        TokenTransformerStage(channels=16, depth=1, stride=3, split_kernel=3),
        FeatureShape(8, 2, 16),
        [
            (
                "split_kernel: no window of 3 at stride 3 fits into the 2x16 map; "
                "use a smaller kernel, or stride less, here or before it"
            )
        ],
    ),
    # (2 + 2*1 - 3) // 2 + 1 = 1 row is left behind the first split.
    "a stem's later split without a window on its map": (
        T2TStem(channels=16, kernels=(3, 2), strides=(2, 2)),
        FeatureShape(3, 2, 8),
        [
            (
                "kernels.1: no window of 2 at stride 2 fits into the 1x4 map; "
                "use a smaller kernel, or stride less, here or before it"
            )
        ],
    ),
    "a distillation token without a class token": (
        TokenTransformerStage(channels=16, depth=1, distillation_token=True),
        FeatureShape(8, 8, 8),
        ["distillation_token: a distillation token without a class token; write class_token: true too"],
    ),
    "the article's positions between too many tokens": (
        MHSAStage(channels=16, depth=1, position="article"),
        FeatureShape(8, 65, 64),
        [
            (
                "kind: attention over the 65x64 map would compare 4160 tokens; "
                "stride more before it: at most 4096 tokens are built"
            )
        ],
    ),
    "heads that do not divide the article's attention": (
        MHSAStage(channels=16, depth=1, heads=3, expansion=0.5, position="article"),
        FeatureShape(8, 8, 8),
        [
            (
                "heads: 3 heads do not divide the attention's width (channels x expansion) of 8; "
                "use heads that divide it, or another width"
            )
        ],
    ),
    "kernels without their strides": (
        T2TStem(channels=16, kernels=(7, 3, 3), strides=(4, 2)),
        FeatureShape(3, 32, 32),
        ["strides: 3 kernels and 2 strides; write one stride for each kernel, first split to last"],
    ),
    "a direct entry that strides and changes width": (
        TokenTransformerStage(channels=16, depth=1, entry="direct", stride=2),
        FeatureShape(8, 8, 8),
        [
            "stride: a direct entry cannot stride by 2; use stride 1, or entry: split",
            "channels: a direct entry takes the 8 channels that arrive, not 16; use 8, or entry: split",
        ],
    ),
    "relative positions between too many tokens": (
        MHSAStage(channels=16, depth=1),
        FeatureShape(8, 65, 64),
        [
            (
                "kind: attention over the 65x64 map would compare 4160 tokens; "
                "stride more before it: at most 4096 tokens are built"
            )
        ],
    ),
    "attention between too many tokens": (
        TokenTransformerStage(channels=16, depth=1),
        FeatureShape(8, 129, 128),
        [
            (
                "kind: attention over the 129x128 map would compare 16512 tokens; "
                "stride more before it: at most 16384 tokens are built"
            )
        ],
    ),
    "softmax between too many tokens of a split": (
        T2TStem(channels=16, kernels=(3, 3), strides=(1, 2), attention="softmax"),
        FeatureShape(3, 200, 150),
        [
            (
                "strides.0: attention over the 200x150 map would compare 30000 tokens; "
                "stride more before it: at most 16384 tokens are built"
            )
        ],
    ),
    "everything that is wrong at once": (
        ConvStage(channels=10, depth=1, kernel=4),
        FeatureShape(3, 2, 2),
        [
            "kernel: 4 is even and has no centre; use 3 or 5",
            (
                "expansion: 0.25 of 10 channels is no whole number; "
                "use another expansion, or channels that it divides evenly"
            ),
        ],
    ),
}
ACCEPTED = {
    "a kernel as large as the map": (ConvStem(channels=8, kernel=5), FeatureShape(3, 5, 9)),
    "3x3 convolutions on the smallest map": (
        ConvStage(channels=8, depth=2, block="basic"),
        FeatureShape(8, 1, 1),
    ),
    "3x3 convolutions that stride on the smallest map": (
        ConvStage(channels=8, depth=2, stride=2, shortcut="conv3x3"),
        FeatureShape(4, 1, 1),
    ),
    "attention that strides on the smallest map": (
        MHSAStage(channels=16, depth=2, stride=2, shortcut="avgpool_conv1x1"),
        FeatureShape(8, 1, 1),
    ),
    "a 3x3 stem on the smallest image": (
        ConvStem(channels=8, stride=2, hidden_channels=(4, 4), pool="max"),
        FeatureShape(3, 1, 1),
    ),
    "3x3 windows on the smallest map": (
        TokenTransformerStage(channels=16, depth=1, stride=2, split_kernel=3),
        FeatureShape(8, 1, 1),
    ),
    "a stride as large as the larger side of the map": (
        ConvStage(channels=8, depth=1, stride=9),
        FeatureShape(8, 4, 9),
    ),
    "one convolution of a stem whose kernel fits before the stride": (
        ConvStem(channels=8, kernel=7, stride=2),
        FeatureShape(3, 9, 32),
    ),
    "a class token and a distillation token": (
        TokenTransformerStage(channels=16, depth=1, class_token=True, distillation_token=True),
        FeatureShape(8, 8, 8),
    ),
    "the article's positions at the limit": (
        MHSAStage(channels=16, depth=1, position="article"),
        FeatureShape(8, 64, 64),
    ),
    "one bottleneck whose kernel fits before the stride": (
        ConvStage(channels=8, depth=1, kernel=5, stride=2),
        FeatureShape(8, 8, 8),
    ),
    "relative positions at the limit": (MHSAStage(channels=16, depth=1), FeatureShape(8, 64, 64)),
    "attention without positions beyond it": (
        MHSAStage(channels=16, depth=1, position="none"),
        FeatureShape(8, 65, 64),
    ),
    "a performer over many tokens": (
        T2TStem(channels=16, kernels=(3, 3), strides=(1, 2), attention="performer"),
        FeatureShape(3, 200, 150),
    ),
    # A 2x2 split at stride 1, padding 1, leaves 129x129; nothing attends behind the last split.
    "a last split with more tokens than attention takes": (
        T2TStem(channels=16, kernels=(1, 2), strides=(1, 1), attention="softmax"),
        FeatureShape(3, 128, 128),
    ),
    "split fields that a direct entry does not use": (
        TokenTransformerStage(channels=8, depth=1, entry="direct", split_kernel=99),
        FeatureShape(8, 4, 4),
    ),
    "an expansion that a basic block does not use": (
        ConvStage(channels=10, depth=1, block="basic", expansion=0.25),
        FeatureShape(8, 8, 8),
    ),
}


@pytest.mark.parametrize(("part", "shape", "lines"), REFUSED.values(), ids=REFUSED.keys())
def test_a_part_that_cannot_be_says_why_and_what_to_write(part, shape, lines):
    assert [problem.at("") for problem in part.problems(shape)] == lines


@pytest.mark.parametrize(("part", "shape"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_part_that_can_be_is_not_refused(part, shape):
    assert part.problems(shape) == []


SMALL_ENOUGH = {name: case for name, case in ACCEPTED.items() if case[1].tokens <= 128}


@pytest.mark.parametrize(("part", "shape"), SMALL_ENOUGH.values(), ids=SMALL_ENOUGH.keys())
def test_a_part_that_is_not_refused_runs(part, shape):
    features = built(part, shape).eval()(images(2, shape))

    promised = part.out_shape(shape)
    assert the_map(features).shape == (2, promised.channels, promised.height, promised.width)
    assert the_map(features).isfinite().all()


# --- the mixers that a kind lists -----------------------------------------------------------------

# On a 32x24 map: a stride of 2 leaves 16x12 and one of 4 leaves 8x6.
MIXERS = {
    "a conv stem convolves before its stride; pooling mixes nothing": (
        ConvStem(channels=8, kernel=7, stride=2, pool="max"),
        [Mixer(32, 24, 7)],
    ),
    "a deep stem convolves once at the image, then behind its stride": (
        ConvStem(channels=8, stride=2, hidden_channels=(4, 6), pool="max"),
        [Mixer(32, 24, 3), Mixer(16, 12, 3), Mixer(16, 12, 3)],
    ),
    "a 1x1 stem mixes nothing": (ConvStem(channels=8, kernel=1), []),
    "a deep 1x1 stem mixes nothing": (ConvStem(channels=8, kernel=1, hidden_channels=(4, 6)), []),
    "a patch mixes its square": (PatchStem(channels=8, size=4), [Mixer(32, 24, 4)]),
    "a patch of one pixel mixes nothing": (PatchStem(channels=8, size=1), []),
    "a t2t stem splits, attends, splits": (
        T2TStem(channels=8, kernels=(7, 3), strides=(4, 2)),
        [Mixer(32, 24, 7), Mixer(8, 6, None, attention=True), Mixer(8, 6, 3)],
    ),
    "a t2t stem attends behind every split but the last": (
        T2TStem(channels=8, kernels=(5, 1, 3), strides=(2, 1, 2)),
        [
            Mixer(32, 24, 5),
            Mixer(16, 12, None, attention=True),
            Mixer(16, 12, None, attention=True),
            Mixer(16, 12, 3),
        ],
    ),
    "a bottleneck convolves once a block": (
        ConvStage(channels=8, depth=3, stride=2, kernel=5),
        [Mixer(32, 24, 5), Mixer(16, 12, 5), Mixer(16, 12, 5)],
    ),
    "a basic block convolves twice": (
        ConvStage(channels=8, depth=2, stride=2, block="basic"),
        [Mixer(32, 24, 3), Mixer(16, 12, 3), Mixer(16, 12, 3), Mixer(16, 12, 3)],
    ),
    "1x1 bottlenecks mix nothing": (ConvStage(channels=8, depth=2, kernel=1), []),
    "mhsa attends before its stride": (
        MHSAStage(channels=8, depth=2, stride=2, heads=2),
        [Mixer(32, 24, None, attention=True), Mixer(16, 12, None, attention=True)],
    ),
    "a 3x3 shortcut that strides mixes in the first block": (
        ConvStage(channels=3, depth=2, stride=2, kernel=5, expansion=1, shortcut="conv3x3"),
        [Mixer(32, 24, 3), Mixer(32, 24, 5), Mixer(16, 12, 5)],
    ),
    "a 3x3 shortcut that changes width mixes in the first block": (
        ConvStage(channels=8, depth=2, kernel=5, shortcut="conv3x3"),
        [Mixer(32, 24, 3), Mixer(32, 24, 5), Mixer(32, 24, 5)],
    ),
    "a 3x3 shortcut is none where the first block keeps its input": (
        ConvStage(channels=3, depth=2, kernel=5, expansion=1, shortcut="conv3x3"),
        [Mixer(32, 24, 5), Mixer(32, 24, 5)],
    ),
    "a 3x3 shortcut mixes beside 1x1 bottlenecks": (
        ConvStage(channels=8, depth=2, kernel=1, shortcut="conv3x3"),
        [Mixer(32, 24, 3)],
    ),
    "a 3x3 shortcut mixes beside attention": (
        MHSAStage(channels=8, depth=2, stride=2, heads=2, shortcut="conv3x3"),
        [Mixer(32, 24, 3), Mixer(32, 24, None, attention=True), Mixer(16, 12, None, attention=True)],
    ),
    "a pooled shortcut mixes nothing": (
        MHSAStage(channels=8, depth=2, stride=2, heads=2, shortcut="avgpool_conv1x1"),
        [Mixer(32, 24, None, attention=True), Mixer(16, 12, None, attention=True)],
    ),
    "the article's attention attends as any other": (
        MHSAStage(channels=8, depth=2, stride=2, heads=2, position="article"),
        [Mixer(32, 24, None, attention=True), Mixer(16, 12, None, attention=True)],
    ),
    "tokens of a stage's own are no places of the map": (
        TokenTransformerStage(
            channels=8, depth=1, stride=2, split_kernel=5, class_token=True, distillation_token=True
        ),
        [Mixer(32, 24, 5), Mixer(16, 12, None, attention=True)],
    ),
    "a token transformer splits, then attends once a block": (
        TokenTransformerStage(channels=8, depth=2, stride=2, split_kernel=5),
        [Mixer(32, 24, 5), Mixer(16, 12, None, attention=True), Mixer(16, 12, None, attention=True)],
    ),
    "a split of one pixel mixes nothing": (
        TokenTransformerStage(channels=8, depth=1, split_kernel=1),
        [Mixer(32, 24, None, attention=True)],
    ),
    "a direct entry splits nothing": (
        TokenTransformerStage(channels=3, depth=2, heads=1, entry="direct"),
        [Mixer(32, 24, None, attention=True), Mixer(32, 24, None, attention=True)],
    ),
}


@pytest.mark.parametrize(("part", "mixers"), MIXERS.values(), ids=MIXERS.keys())
def test_the_mixers_are_those_of_the_drawing(part, mixers):
    assert part.mixers(FeatureShape(3, 32, 24)) == mixers


@on_every_shape
@every_part
def test_a_part_is_global_exactly_if_one_of_its_mixers_is(part, shape):
    reaches_everywhere = any(mixer.window is None for mixer in part.mixers(shape))

    assert reaches_everywhere == (part.mixing(shape) == "global")


@pytest.mark.parametrize("shape", [FeatureShape(8, 12, 12), FeatureShape(8, 5, 12)], ids=str)
@every_part
def test_the_mixers_of_a_module_are_those_that_its_part_promises(part, shape):
    """In number and window, and which of them attend; a mixer inside of another one is a piece of it."""
    module, found = part.build(shape), []
    for name, inner in module.named_modules():
        if window_of(inner) != 1 and not any(name.startswith(f"{outer}.") for outer, _ in found):
            found.append((name, inner))

    mixing = Counter((window_of(inner), is_attention(inner)) for _, inner in found)
    assert mixing == Counter((mixer.window, mixer.attention) for mixer in part.mixers(shape))


@every_part
def test_the_weights_of_an_attention_add_up_to_one(part):
    module, shape = built(part, SHAPES[1]).eval(), SHAPES[1]
    arriving = {}
    for inner in filter(is_attention, module.modules()):
        inner.register_forward_pre_hook(lambda inner, arguments: arriving.update({inner: arguments[0]}))

    module(images(2, shape))

    for attention, x in arriving.items():
        weights = attention.attention_weights(x)
        tokens = x.shape[2] * x.shape[3] if x.ndim == 4 else x.shape[1]
        assert (len(weights), *weights.shape[2:]) == (2, tokens, tokens)
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones_like(weights[..., 0]))


# --- kinds ----------------------------------------------------------------------------------------


class Twin(ConvStage):
    """A kind with the letter of another one."""

    kind: Literal["twin"] = "twin"


class Namesake(ConvStage):
    """A kind with the name of another one."""

    letter: ClassVar[str] = "N"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (Twin, "ConvStage and Twin have one letter: 'C'"),
        (Namesake, "ConvStage and Namesake have one name: 'conv'"),
    ],
    ids=["letter", "name"],
)
def test_two_kinds_of_one_letter_or_one_name_are_refused(other, why):
    with pytest.raises(ValueError, match=why):
        registry([ConvStage, MHSAStage, other])


@pytest.mark.parametrize("kind", [*STEM_KINDS.values(), *STAGE_KINDS.values()], ids=lambda k: k.__name__)
def test_what_a_kind_says_of_its_fields_is_said_of_fields_that_it_has(kind):
    rules = kind.swap_rules
    said = {*kind.summary_fields, *kind.inactive_when, *rules.alike, rules.inner_width, rules.halved} - {None}

    assert said <= kind.model_fields.keys()
    assert len(kind.letter) == 1
    assert kind.letter.isupper()


# On maps of 8x6: a window of 8 covers them.
@pytest.mark.parametrize(
    ("mixer", "is_global"),
    [
        (Mixer(8, 6, None, attention=True), True),
        (Mixer(8, 6, 8, attention=True), True),
        (Mixer(8, 6, 7, attention=True), False),
        (Mixer(8, 6, 15), False),
        (Mixer(1, 1, 3), False),
        (Mixer(8, 6, None), True),
    ],
    ids=str,
)
def test_attention_is_global_where_its_window_covers_the_map_and_a_convolution_never(mixer, is_global):
    assert mixer.is_global == is_global


# --- fields that mean nothing are no part of the identity -----------------------------------------


def identity(stem=None, stage=None, head=None):
    image = Image(channels=3, height=32, width=32)
    stem = stem or ConvStem(channels=8)
    stage = stage or ConvStage(channels=8, depth=1)
    return Architecture(image=image, classes=10, stem=stem, stages=(stage,), head=head or Head()).id


SAME = {
    "expansion of a basic block": (
        {"stage": ConvStage(channels=8, depth=1, block="basic", expansion=0.25)},
        {"stage": ConvStage(channels=8, depth=1, block="basic", expansion=0.5)},
    ),
    "split_kernel of a direct entry": (
        {"stage": TokenTransformerStage(channels=8, depth=1, entry="direct", split_kernel=3)},
        {"stage": TokenTransformerStage(channels=8, depth=1, entry="direct", split_kernel=5)},
    ),
    "features of softmax attention": (
        {"stem": T2TStem(channels=8, attention="softmax", features=32)},
        {"stem": T2TStem(channels=8, attention="softmax", features=64)},
    ),
    "rel_scale of the article's positions": (
        {"stage": MHSAStage(channels=16, depth=1, position="article", rel_scale="both")},
        {"stage": MHSAStage(channels=16, depth=1, position="article", rel_scale="content")},
    ),
    "rel_scale without positions": (
        {"stage": MHSAStage(channels=16, depth=1, position="none", rel_scale="both")},
        {"stage": MHSAStage(channels=16, depth=1, position="none", rel_scale="content")},
    ),
    "defaults of a residual stage written out": (
        {"stage": MHSAStage(channels=16, depth=1)},
        {
            "stage": MHSAStage(
                channels=16,
                depth=1,
                activation="relu",
                norm_eps=1e-5,
                shortcut="conv1x1",
                shortcut_activation=False,
                rel_scale="both",
                qkv_bias=False,
            )
        },
    ),
    "defaults of a conv stem written out": (
        {"stem": ConvStem(channels=8)},
        {"stem": ConvStem(channels=8, hidden_channels=(), activation="relu", norm_eps=1e-5)},
    ),
    "defaults of a token transformer written out": (
        {"stage": TokenTransformerStage(channels=8, depth=1)},
        {"stage": TokenTransformerStage(channels=8, depth=1, distillation_token=False, gelu="exact")},
    ),
    "a default written out": (
        {"stage": MHSAStage(channels=16, depth=1)},
        {"stage": MHSAStage(channels=16, depth=1, stride=1, heads=4, expansion=0.25, position="relative")},
    ),
    "a default tuple written out": (
        {"stem": T2TStem(channels=8)},
        {"stem": T2TStem(channels=8, kernels=(7, 3, 3), strides=(4, 2, 2))},
    ),
    "a whole ratio written as an integer": (
        {"stage": TokenTransformerStage(channels=8, depth=1, mlp_ratio=3)},
        {"stage": TokenTransformerStage(channels=8, depth=1, mlp_ratio=3.0)},
    ),
}
DIFFERENT = {
    "expansion of a bottleneck": (
        {"stage": ConvStage(channels=8, depth=1, expansion=0.25)},
        {"stage": ConvStage(channels=8, depth=1, expansion=0.5)},
    ),
    "split_kernel of a split entry": (
        {"stage": TokenTransformerStage(channels=8, depth=1, split_kernel=3)},
        {"stage": TokenTransformerStage(channels=8, depth=1, split_kernel=5)},
    ),
    "features of a performer": (
        {"stem": T2TStem(channels=8, features=32)},
        {"stem": T2TStem(channels=8, features=64)},
    ),
    "rel_scale of relative positions": (
        {"stage": MHSAStage(channels=16, depth=1, rel_scale="both")},
        {"stage": MHSAStage(channels=16, depth=1, rel_scale="content")},
    ),
    "head": ({"head": Head(pool="cls")}, {"head": Head(pool="distilled")}),
    "positions": (
        {"stage": MHSAStage(channels=16, depth=1, position="none")},
        {"stage": MHSAStage(channels=16, depth=1, position="article")},
    ),
    "activation of convolutions": (
        {"stage": ConvStage(channels=8, depth=1)},
        {"stage": ConvStage(channels=8, depth=1, activation="silu")},
    ),
    "activation of attention": (
        {"stage": MHSAStage(channels=8, depth=1, activation="gelu")},
        {"stage": MHSAStage(channels=8, depth=1, activation="silu")},
    ),
    "shortcut": (
        {"stage": ConvStage(channels=8, depth=1, shortcut="avgpool_conv1x1")},
        {"stage": ConvStage(channels=8, depth=1, shortcut="conv3x3")},
    ),
    "activation of a stem": (
        {"stem": ConvStem(channels=8)},
        {"stem": ConvStem(channels=8, activation="silu")},
    ),
    "hidden channels of a stem": (
        {"stem": ConvStem(channels=8, hidden_channels=(8,))},
        {"stem": ConvStem(channels=8, hidden_channels=(8, 8))},
    ),
    "gelu of a token transformer": (
        {"stage": TokenTransformerStage(channels=8, depth=1)},
        {"stage": TokenTransformerStage(channels=8, depth=1, gelu="tanh")},
    ),
    "one kind and another of the same fields": (
        {"stage": ConvStage(channels=8, depth=1)},
        {"stage": MHSAStage(channels=8, depth=1)},
    ),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME.keys())
def test_what_means_the_same_has_the_same_id(one, other):
    assert identity(**one) == identity(**other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_what_means_something_else_has_another_id(one, other):
    assert identity(**one) != identity(**other)


@every_part
def test_every_number_and_switch_that_means_something_is_part_of_the_identity(part):
    place = "stem" if isinstance(part, tuple(STEM_KINDS.values())) else "stage"
    numbers = {name: value for name, value in part.active().items() if isinstance(value, (int, float))}
    changed = [
        part.model_copy(update={name: not value if isinstance(value, bool) else value + 1})
        for name, value in numbers.items()
    ]

    ids = {identity(**{place: other}) for other in (part, *changed)}

    assert len(ids) == 1 + len(numbers)
