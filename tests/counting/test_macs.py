"""MACs, activations and parameters are checked against arithmetic done by hand, and against fvcore."""

import json
import warnings
from functools import cache
from pathlib import Path

import examples
import pytest
import torch
from examples import one_of_each
from fvcore.nn import ActivationCountAnalysis
from fvcore.nn.jit_handles import generic_activation_jit
from fvcore_trace import traced_macs
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.jit import TracerWarning

from archsearch.architecture import Architecture, Image
from archsearch.counting import count_activations, count_frozen, count_macs, count_params, part_counts
from archsearch.counting.macs import PartCount, count, count_head, count_part
from archsearch.counting.meta_trace import OpCosts
from archsearch.counting.op_counters import GROUPS
from archsearch.errors import ArchitectureError
from archsearch.shapes import FeatureShape
from archsearch.space import load_space
from archsearch.stages import (
    STAGE_KINDS,
    STEM_KINDS,
    ConvStage,
    ConvStem,
    Head,
    MHSAStage,
    PatchStem,
    T2TStem,
    TokenTransformerStage,
)

# fvcore's price of a norm, for each element of the map.
BATCH_NORM, LAYER_NORM = 2, 5


def architecture(stem, *stages, head=None):
    image = Image(channels=3, height=32, width=24)
    return Architecture(image=image, classes=10, stem=stem, stages=stages, head=head or Head())


MIXED = architecture(
    ConvStem(channels=16, kernel=7, stride=2, pool="max"),
    ConvStage(channels=32, depth=2, groups=2),
    MHSAStage(channels=32, depth=2, stride=2),
    TokenTransformerStage(channels=16, depth=2, class_token=True),
    head=Head(pool="cls"),
)
NETWORKS = {
    "convolutions": architecture(ConvStem(channels=8), ConvStage(channels=16, depth=2, block="basic")),
    "tokens": architecture(PatchStem(channels=16, size=4), TokenTransformerStage(channels=16, depth=2)),
    "t2t softmax": architecture(
        T2TStem(channels=16, attention="softmax", kernels=(7, 3), strides=(4, 2)),
        TokenTransformerStage(channels=16, depth=1, entry="direct", position="sinusoid"),
    ),
    "t2t performer": architecture(
        T2TStem(channels=16, kernels=(7, 3), strides=(4, 2)), MHSAStage(channels=32, depth=1)
    ),
    "mixed": MIXED,
    "settings that are not usual": architecture(
        ConvStem(channels=16, stride=2, hidden_channels=(8, 8), activation="gelu"),
        ConvStage(channels=32, depth=3, stride=2, shortcut="avgpool_conv1x1", activation="silu"),
        MHSAStage(channels=32, depth=3, shortcut="conv3x3", shortcut_activation=True, rel_scale="content"),
        MHSAStage(channels=16, depth=2, stride=2, heads=1, position="article", qkv_bias=True),
        TokenTransformerStage(channels=16, depth=1, class_token=True, distillation_token=True, gelu="tanh"),
        head=Head(pool="distilled"),
    ),
    **{
        name: architecture(examples.STEMS["point"], stage)
        for name, stage in one_of_each(examples.STAGES).items()
    },
    **{
        f"stem {name}": architecture(stem, examples.STAGES["1x1"])
        for name, stem in one_of_each(examples.STEMS).items()
    },
}
SPACES = Path(__file__).parents[2] / "spaces"

every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())


# --- by hand --------------------------------------------------------------------------------------


def test_a_conv_stem_by_hand():
    stem = ConvStem(channels=8, kernel=3, stride=2, pool="max")

    places = 16 * 12
    convolution = places * 8 * (3 * 3 * 3)
    norm = BATCH_NORM * places * 8

    count = count_part(stem, FeatureShape(3, 32, 24))
    assert count.macs == convolution + norm
    assert count.by_family["convolution"] == convolution
    assert count.by_family["other"] == norm


def test_a_patch_stem_by_hand():
    stem = PatchStem(channels=16, size=4)

    # 30 rows are filled up to 32.
    patches = 8 * 6
    project = patches * 16 * (3 * 4 * 4)

    assert count_part(stem, FeatureShape(3, 30, 24)).macs == project


# A 7x7 split at stride 4, padding 2, leaves (32 + 4 - 7) // 4 + 1 = 8 by (24 + 4 - 7) // 4 + 1 = 6;
# a 3x3 split at stride 2, padding 1, leaves 4x3.
FIRST_TOKENS, FIRST_WINDOW = 8 * 6, 3 * 7 * 7
LAST_TOKENS, LAST_WINDOW = 4 * 3, 8 * 3 * 3


def token_layer_but_its_mixing(width):
    """Norm of the windows, projection, norm, MLP of one hidden width."""
    norms = LAYER_NORM * FIRST_TOKENS * (FIRST_WINDOW + width)
    project = FIRST_TOKENS * width * width
    mlp = 2 * FIRST_TOKENS * width * width
    return norms + project + mlp


def test_a_t2t_stem_with_softmax_by_hand():
    stem = T2TStem(
        channels=16, kernels=(7, 3), strides=(4, 2), token_channels=8, attention="softmax", features=99
    )

    qkv = FIRST_TOKENS * FIRST_WINDOW * (3 * 8)
    attention = 2 * FIRST_TOKENS * FIRST_TOKENS * 8
    last_project = LAST_TOKENS * LAST_WINDOW * 16

    count = count_part(stem, FeatureShape(3, 32, 24))
    assert count.macs == qkv + attention + token_layer_but_its_mixing(8) + last_project
    assert count.by_family["attention product"] == attention
    assert count.by_family["MLP"] == 2 * FIRST_TOKENS * 8 * 8


def test_a_t2t_stem_with_a_performer_by_hand():
    stem = T2TStem(channels=16, kernels=(7, 3), strides=(4, 2), token_channels=8, features=5)

    kqv = FIRST_TOKENS * FIRST_WINDOW * (3 * 8)
    features_of_keys_and_queries = 2 * FIRST_TOKENS * 8 * 5
    keys_by_values = 5 * FIRST_TOKENS * 8
    queries_by_that = FIRST_TOKENS * 5 * 8
    queries_by_sum_of_keys = FIRST_TOKENS * 5
    mixing = features_of_keys_and_queries + keys_by_values + queries_by_that + queries_by_sum_of_keys
    last_project = LAST_TOKENS * LAST_WINDOW * 16

    count = count_part(stem, FeatureShape(3, 32, 24))
    assert count.macs == kqv + mixing + token_layer_but_its_mixing(8) + last_project
    assert count.by_family["attention product"] == mixing


def test_a_bottleneck_stage_by_hand():
    stage = ConvStage(channels=32, depth=2, stride=2, kernel=3, expansion=0.25, groups=2)

    before, behind, width = 12 * 10, 6 * 5, 32 // 4
    spatial = behind * width * (3 * 3 * width // 2)
    expand = behind * width * 32
    first = before * 16 * width + spatial + expand
    first_norms = BATCH_NORM * (before * width + behind * width + behind * 32)
    shortcut = behind * 16 * 32 + BATCH_NORM * behind * 32
    second = behind * 32 * width + spatial + expand
    second_norms = BATCH_NORM * behind * (width + width + 32)

    count = count_part(stage, FeatureShape(16, 12, 10))
    assert count.macs == first + first_norms + shortcut + second + second_norms


def test_a_basic_stage_by_hand():
    stage = ConvStage(channels=32, depth=1, stride=2, kernel=5, block="basic")

    behind = 6 * 5
    first = behind * 32 * (5 * 5 * 16)
    second = behind * 32 * (5 * 5 * 32)
    shortcut = behind * 16 * 32
    norms = 3 * BATCH_NORM * behind * 32

    assert count_part(stage, FeatureShape(16, 12, 10)).macs == first + second + shortcut + norms


def test_an_mhsa_stage_by_hand():
    stage = MHSAStage(channels=32, depth=1, stride=2, heads=2, expansion=0.5)

    height, width, inner, head_width = 6, 5, 16, 8
    before, behind = height * width, 3 * 3
    reduce = before * 16 * inner
    qkv = before * inner * (3 * inner)
    queries_by_rows = 2 * before * head_width * height
    queries_by_columns = 2 * before * head_width * width
    attention = 2 * before * before * inner
    expand = behind * inner * 32
    shortcut = behind * 16 * 32
    norms = BATCH_NORM * (before * inner + behind * inner + behind * 32 + behind * 32)

    count = count_part(stage, FeatureShape(16, height, width))
    assert count.by_family == {
        "convolution": reduce + qkv + expand + shortcut,
        "projection": 0,
        "attention product": queries_by_rows + queries_by_columns + attention,
        "MLP": 0,
        "soft split": 0,
        "other": norms,
    }


def test_relative_positions_cost_the_queries_times_their_tables():
    shape = FeatureShape(16, 6, 5)
    with_positions = MHSAStage(channels=32, depth=1, heads=2, position="relative")
    without = MHSAStage(channels=32, depth=1, heads=2, position="none")

    inner = 8
    queries_by_tables = (6 * 5) * inner * (6 + 5)

    assert count_part(with_positions, shape).macs - count_part(without, shape).macs == queries_by_tables


def test_a_token_transformer_stage_by_hand():
    stage = TokenTransformerStage(
        channels=16, depth=2, stride=2, split_kernel=3, heads=4, mlp_ratio=3.0, class_token=True
    )

    # (6 + 2 - 3) // 2 + 1 = 3 rows and (5 + 2 - 3) // 2 + 1 = 3 columns.
    places = 3 * 3
    tokens = places + 1
    split = places * (8 * 3 * 3) * 16
    qkv_and_project = tokens * 16 * (3 * 16) + tokens * 16 * 16
    attention = 2 * tokens * tokens * 16
    mlp = 2 * tokens * 16 * (3 * 16)
    norms = (2 + 2 + 1) * LAYER_NORM * tokens * 16

    count = count_part(stage, FeatureShape(8, 6, 5))
    assert count.by_family == {
        "convolution": 0,
        "projection": 2 * qkv_and_project,
        "attention product": 2 * attention,
        "MLP": 2 * mlp,
        "soft split": split,
        "other": norms,
    }


def test_a_direct_entry_is_free():
    stage = TokenTransformerStage(channels=8, depth=1, entry="direct", heads=2)

    assert count_part(stage, FeatureShape(8, 6, 5)).by_family["soft split"] == 0


def test_a_deep_conv_stem_by_hand():
    stem = ConvStem(channels=8, kernel=3, stride=2, hidden_channels=(4, 6), pool="max", activation="silu")

    places = 16 * 12
    convolutions = places * 9 * (3 * 4 + 4 * 6 + 6 * 8)
    norms = BATCH_NORM * places * (4 + 6 + 8)

    count = count_part(stem, FeatureShape(3, 32, 24))
    assert count.by_family["convolution"] == convolutions
    assert count.macs == convolutions + norms


# A stage of 16 channels from 8 on a 6x5 map at stride 2: what its shortcut convolves, at 3x3 places.
SHORTCUTS = {
    "conv1x1": 3 * 3 * 8 * 16,
    "avgpool_conv1x1": 3 * 3 * 8 * 16,
    "conv3x3": 3 * 3 * (3 * 3 * 8) * 16,
}


@pytest.mark.parametrize("kind", [ConvStage, MHSAStage])
@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_a_shortcut_by_hand(kind, shortcut):
    shape = FeatureShape(8, 6, 5)
    fields = {"channels": 16, "depth": 2, "stride": 2}
    count = count_part(kind(**fields, shortcut=shortcut), shape)
    usual = count_part(kind(**fields), shape)

    assert count.macs - usual.macs == SHORTCUTS[shortcut] - SHORTCUTS["conv1x1"]
    assert count.params - usual.params == (8 * 8 * 16 if shortcut == "conv3x3" else 0)


@pytest.mark.parametrize("kind", [ConvStage, MHSAStage])
def test_an_activation_is_free(kind):
    shape = FeatureShape(8, 6, 5)
    usual, *others = (
        count_part(kind(channels=16, depth=1, activation=activation, shortcut_activation=active), shape)
        for activation in ("relu", "silu", "gelu")
        for active in (False, True)
    )

    assert {other.macs for other in others} == {usual.macs}
    assert {other.activations for other in others} == {usual.activations}
    assert {other.params for other in others} == {usual.params}


def test_positions_of_the_article_by_hand():
    shape = FeatureShape(16, 6, 5)
    fields = {"channels": 32, "depth": 1, "heads": 2}
    article = count_part(MHSAStage(**fields, position="article", qkv_bias=True), shape)
    without = count_part(MHSAStage(**fields, position="none"), shape)

    places, inner = 6 * 5, 8
    places_by_queries = places * places * inner
    rows_and_columns, biases = inner * (6 + 5), 3 * inner

    assert article.macs - without.macs == places_by_queries
    assert article.params - without.params == rows_and_columns + biases


def test_a_distillation_token_is_one_more_token():
    stage = TokenTransformerStage(
        channels=16,
        depth=1,
        entry="direct",
        heads=4,
        mlp_ratio=3.0,
        class_token=True,
        distillation_token=True,
    )

    tokens = 6 * 5 + 2
    qkv_and_project = tokens * 16 * (3 * 16) + tokens * 16 * 16
    attention = 2 * tokens * tokens * 16
    mlp = 2 * tokens * 16 * (3 * 16)
    norms = 3 * LAYER_NORM * tokens * 16

    assert count_part(stage, FeatureShape(16, 6, 5)).macs == qkv_and_project + attention + mlp + norms


def test_a_distilled_head_is_two_linear_layers():
    count = count_head(Head(pool="distilled"), FeatureShape(16, 6, 5), 10)

    assert count.macs == 2 * 16 * 10
    assert count.params == 2 * (16 * 10 + 10)


@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_a_head_is_one_linear_layer(pool):
    assert count_head(Head(pool=pool), FeatureShape(16, 6, 5), 10).macs == 16 * 10


def test_a_whole_network_by_hand():
    counted = count_macs(
        architecture(PatchStem(channels=8, size=4), ConvStage(channels=8, depth=1, block="basic"))
    )

    places = 8 * 6
    stem = places * (3 * 4 * 4) * 8
    stage = 2 * places * (8 * 3 * 3) * 8 + 2 * BATCH_NORM * places * 8
    head = 8 * 10

    assert counted.by_stage == {"stem": stem, "stages.0": stage, "head": head}
    assert counted.total == stem + stage + head


def test_parameters_by_hand():
    found = dict(part_counts(architecture(PatchStem(channels=8, size=4), ConvStage(channels=8, depth=1))))

    patch = 8 * (3 * 4 * 4) + 8
    convolutions = 8 * 2 + 2 * 2 * (3 * 3) + 2 * 8
    norms = 2 * (2 + 2 + 8)
    head = 8 * 10 + 10

    assert {place: count.params for place, count in found.items()} == {
        "stem": patch,
        "stages.0": convolutions + norms,
        "head": head,
    }


# --- activations by hand --------------------------------------------------------------------------


def test_the_activations_of_a_conv_stage_by_hand():
    stage = ConvStage(channels=32, depth=2, stride=2, expansion=0.25, groups=2)

    before, behind, width = 12 * 10, 6 * 5, 32 // 4
    first = before * width + behind * width + behind * 32
    shortcut = behind * 32
    second = behind * (width + width + 32)

    counted = count_part(stage, FeatureShape(16, 12, 10))
    assert counted.activations == counted.activations_by_family["convolution"] == first + shortcut + second


def test_the_activations_of_an_mhsa_stage_by_hand():
    stage = MHSAStage(channels=32, depth=1, stride=2, heads=2, expansion=0.5)

    height, width, inner = 6, 5, 16
    before, behind = height * width, 3 * 3
    reduce, qkv = before * inner, before * (3 * inner)
    expand, shortcut = behind * 32, behind * 32
    queries_by_rows, queries_by_columns = 2 * before * height, 2 * before * width
    mixed_values = before * inner

    counted = count_part(stage, FeatureShape(16, height, width))
    assert counted.activations_by_family == {
        "convolution": reduce + qkv + expand + shortcut,
        "projection": 0,
        "attention product": queries_by_rows + queries_by_columns + mixed_values,
        "MLP": 0,
        "soft split": 0,
    }


def test_the_activations_of_a_token_transformer_stage_by_hand():
    stage = TokenTransformerStage(channels=16, depth=2, stride=2, mlp_ratio=3.0, class_token=True)

    places = 3 * 3
    tokens = places + 1
    split = places * 16
    qkv, mixed_values, project = tokens * (3 * 16), tokens * 16, tokens * 16
    mlp = tokens * (3 * 16) + tokens * 16

    counted = count_part(stage, FeatureShape(8, 6, 5))
    assert counted.activations_by_family == {
        "convolution": 0,
        "projection": 2 * (qkv + project),
        "attention product": 2 * mixed_values,
        "MLP": 2 * mlp,
        "soft split": split,
    }


def test_the_activations_of_a_t2t_stem_with_a_performer_by_hand():
    stem = T2TStem(channels=16, kernels=(7, 3), strides=(4, 2), token_channels=8, features=5)

    kqv, project = FIRST_TOKENS * (3 * 8), FIRST_TOKENS * 8
    features_of_keys_and_queries = 2 * FIRST_TOKENS * 5
    keys_by_values = 5 * 8
    queries_by_that, queries_by_sum_of_keys = FIRST_TOKENS * 8, FIRST_TOKENS
    products = features_of_keys_and_queries + keys_by_values + queries_by_that + queries_by_sum_of_keys

    counted = count_part(stem, FeatureShape(3, 32, 24))
    assert counted.activations_by_family == {
        "convolution": 0,
        "projection": kqv + project,
        "attention product": products,
        "MLP": 2 * FIRST_TOKENS * 8,
        "soft split": LAST_TOKENS * 16,
    }


def test_norms_and_what_works_element_by_element_write_no_activations():
    shape = FeatureShape(8, 6, 5)
    plain, pooled = (ConvStem(channels=8, pool=pool) for pool in ("none", "max"))

    counted = count_part(plain, shape)

    assert counted.activations == (6 * 5) * 8
    assert count_part(pooled, shape).activations == counted.activations


def traced_activations(network):
    """Elements that fvcore sees written in one pass over the whole network."""
    shape = network.image.shape
    analysis = ActivationCountAnalysis(
        network.build().eval(), torch.zeros(1, shape.channels, shape.height, shape.width)
    )
    analysis.unsupported_ops_warnings(enabled=False).uncalled_modules_warnings(enabled=False)
    analysis.set_op_handle("aten::scaled_dot_product_attention", generic_activation_jit())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", category=TracerWarning)
        return analysis.total()


@every_network
def test_the_activations_of_the_parts_are_those_of_one_pass_over_the_whole_network(network):
    assert count_activations(network) == traced_activations(network)


# --- the sum of the parts is the whole ------------------------------------------------------------


def test_the_networks_below_hold_every_kind():
    kinds = {place.split(".")[0]: set() for place, _ in MIXED.parts}
    for network in NETWORKS.values():
        for place, part in network.parts:
            kinds[place.split(".")[0]].add(part.kind)

    assert kinds == {"stem": STEM_KINDS.keys(), "stages": STAGE_KINDS.keys()}


@every_network
def test_the_sum_of_the_parts_is_one_count_of_the_whole_network(network):
    whole = traced_macs(network.build(), network.image.shape)

    assert count_macs(network).total == whole


@every_network
def test_every_mac_belongs_to_one_stage_and_to_one_family(network):
    counted = count_macs(network)

    assert counted.total == sum(counted.by_stage.values()) == sum(counted.by_family.values())
    assert min(counted.by_family.values()) >= 0


@every_network
def test_every_part_has_its_place(network):
    places = ["stem", *(f"stages.{i}" for i in range(len(network.stages))), "head"]

    assert list(count_macs(network).by_stage) == places


@every_network
def test_the_parameters_are_those_that_a_training_of_the_built_network_moves(network):
    trained = [parameter for parameter in network.build().parameters() if parameter.requires_grad]

    assert count_params(network) == sum(parameter.numel() for parameter in trained)


@every_network
def test_the_frozen_parameters_are_those_that_it_leaves_where_they_are(network):
    frozen = [parameter for parameter in network.build().parameters() if not parameter.requires_grad]

    assert count_frozen(network) == sum(parameter.numel() for parameter in frozen)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_fixed_table_counts_apart_from_what_is_trained_whatever_the_depth(depth):
    shape = FeatureShape(16, 4, 3)
    fields = {"channels": 16, "depth": depth, "entry": "direct"}
    without, fixed, learned = (
        count_part(TokenTransformerStage(**fields, position=position), shape)
        for position in ("none", "sinusoid", "learned")
    )

    table = 4 * 3 * 16
    assert (fixed.params, fixed.frozen) == (without.params, table)
    assert (learned.params, learned.frozen) == (without.params + table, 0)


def test_the_directions_of_a_performer_are_frozen_in_each_token_layer():
    shape = FeatureShape(3, 32, 24)
    performer, softmax = (
        count_part(T2TStem(channels=16, token_channels=8, features=5, attention=attention), shape)
        for attention in ("performer", "softmax")
    )

    assert (performer.frozen, softmax.frozen) == (2 * 5 * 8, 0)


def test_a_part_that_was_counted_is_remembered():
    count_macs(MIXED)
    before = count_part.cache_info()

    count_macs(MIXED)

    after = count_part.cache_info()
    assert after.misses == before.misses
    assert after.hits == before.hits + len(MIXED.parts)


def test_a_part_behind_another_map_is_counted_anew():
    stage = ConvStage(channels=8, depth=1)

    small, large = (count_part(stage, FeatureShape(8, size, size)).macs for size in (4, 8))

    assert large == 4 * small


def test_an_architecture_that_cannot_be_is_refused_before_it_is_counted():
    impossible = architecture(ConvStem(channels=8), MHSAStage(channels=8, depth=1, heads=3))

    with pytest.raises(ArchitectureError, match=r"stages\.0\.heads"):
        count_macs(impossible)


# --- blocks behind the first ----------------------------------------------------------------------

DEEP = {
    **one_of_each(examples.STAGES),
    "conv": ConvStage(channels=16, depth=1),
    "conv, stride 2": ConvStage(channels=16, depth=1, stride=2, groups=2, expansion=0.5),
    "conv, basic": ConvStage(channels=16, depth=1, stride=2, kernel=5, block="basic", activation="gelu"),
    "conv, active 3x3 shortcut": ConvStage(
        channels=16, depth=1, shortcut="conv3x3", shortcut_activation=True, activation="silu"
    ),
    "mhsa": MHSAStage(channels=16, depth=1, heads=2),
    "mhsa, stride 2": MHSAStage(channels=16, depth=1, stride=2, shortcut="avgpool_conv1x1"),
    "mhsa, article": MHSAStage(channels=16, depth=1, stride=2, position="article", qkv_bias=True),
    "mhsa, no position": MHSAStage(channels=16, depth=1, stride=3, position="none"),
    "token_transformer": TokenTransformerStage(channels=16, depth=1, position="none"),
    "token_transformer, direct": TokenTransformerStage(channels=16, depth=1, entry="direct"),
    "token_transformer, stride 2": TokenTransformerStage(
        channels=16, depth=1, stride=2, split_kernel=4, class_token=True, position="sinusoid"
    ),
    "token_transformer, two tokens": TokenTransformerStage(
        channels=16, depth=1, stride=2, class_token=True, distillation_token=True, qkv_bias=False
    ),
}

ARRIVING = [FeatureShape(16, 13, 10), FeatureShape(6, 13, 10)]
ON_A_MAP = [
    pytest.param(stage, shape, id=f"{name} on {shape}")
    for name, stage in DEEP.items()
    for shape in ARRIVING
    if not stage.problems(shape)
]


def test_the_stages_below_hold_every_kind():
    assert {stage.kind for stage in DEEP.values()} == STAGE_KINDS.keys()


@pytest.mark.parametrize(("stage", "shape"), ON_A_MAP)
@pytest.mark.parametrize("depth", [2, 3, 6])
def test_a_deep_stage_costs_what_the_whole_of_it_costs_when_it_is_built(stage, shape, depth):
    """Calls, MACs and elements of every group, and both kinds of parameters."""
    deep = stage.model_copy(update={"depth": depth})

    assert count_part(deep, shape) == count(lambda: deep.build(shape), shape)


@pytest.mark.parametrize(("stage", "shape"), ON_A_MAP)
def test_every_piece_of_a_stage_can_be_built_where_it_stands(stage, shape):
    for piece in stage.model_copy(update={"depth": 5}).cost_terms(shape):
        assert piece.part.problems(piece.shape) == []
        assert piece.part.depth <= 2
        assert piece.part.cost_terms(piece.shape)


def test_stages_that_differ_in_what_arrives_share_all_pieces_but_the_first():
    narrow, wide = (ConvStage(channels=16, depth=4).cost_terms(FeatureShape(c, 8, 8)) for c in (8, 32))

    assert len(narrow) == len(wide) == 2
    assert narrow[1] == wide[1]


def test_the_entry_of_a_token_stage_is_the_same_piece_whatever_its_heads_and_its_depth():
    fields = {"channels": 16, "stride": 2}
    shape = FeatureShape(8, 8, 8)
    one = TokenTransformerStage(**fields, depth=1, heads=2).cost_terms(shape)
    other = TokenTransformerStage(**fields, depth=3, heads=4, mlp_ratio=2.0, class_token=True).cost_terms(
        shape
    )

    assert one[-2:] == other[-2:]
    assert [piece.times for piece in other] == [-1, 2, 1, -1]


def test_a_deep_residual_stage_is_built_one_block_at_a_time(monkeypatch):
    depths = []
    build = ConvStage.build

    def noted(stage, shape):
        depths.append(stage.depth)
        return build(stage, shape)

    monkeypatch.setattr(ConvStage, "build", noted)
    monkeypatch.setenv("ARCHSEARCH_CACHE", "")
    count_part(ConvStage(channels=28, depth=64, stride=2), FeatureShape(20, 9, 7))

    assert depths == [1, 1]


# --- any point of the shipped spaces --------------------------------------------------------------

# Tracing runs the network, which takes seconds at ImageNet's size.
LARGE = {"botnet", "imagenet"}
every_space = pytest.mark.parametrize("name", sorted(path.stem for path in SPACES.glob("*.yaml")))


@cache
def space(name):
    return load_space(SPACES / f"{name}.yaml")


@every_space
def test_any_point_of_a_shipped_space_costs_what_its_network_does(name):
    @settings(max_examples=2 if name in LARGE else 4, deadline=None, derandomize=True)
    @given(seed=st.integers(0, 2**32 - 1))
    def costs_what_its_network_does(seed):
        (point,) = space(name).draws(seed=seed, count=1)
        assume(not point.problems())
        network = point.build()
        parameters = list(network.parameters())

        assert count_macs(point).total == traced_macs(network, point.image.shape)
        assert count_params(point) == sum(p.numel() for p in parameters if p.requires_grad)
        assert count_frozen(point) == sum(p.numel() for p in parameters if not p.requires_grad)

    costs_what_its_network_does()


# --- counts as amounts ----------------------------------------------------------------------------

amounts = st.integers(0, 2**63)
some_counts = st.builds(
    PartCount,
    amounts,
    amounts,
    st.dictionaries(st.sampled_from(GROUPS), st.builds(OpCosts, amounts, amounts, amounts)),
)


@given(some_counts)
def test_a_count_comes_back_from_json_as_it_was(counted):
    assert PartCount.from_data(json.loads(json.dumps(counted.as_data()))) == counted


@given(some_counts)
def test_a_count_and_itself_is_twice_the_count(counted):
    assert counted + counted == counted * 2
    assert counted * 2 + counted * -1 == counted


@given(some_counts, some_counts)
def test_every_amount_of_a_sum_is_the_sum_of_the_amounts(one, other):
    both = one + other

    assert both.params == one.params + other.params
    assert both.frozen == one.frozen + other.frozen
    assert both.macs == one.macs + other.macs == sum(both.by_family.values())
    assert both.activations == one.activations + other.activations
