"""Every shipped reference network costs what closed-form arithmetic says, to the last MAC and parameter.

The arithmetic knows nothing of archsearch: it goes by the papers and the published code. One Counter holds
MACs by operator family, as fvcore prices them, and parameters: ``params`` are trained, ``frozen`` never.
"""

from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from archsearch.counting import count_frozen, count_macs, count_params
from archsearch.space import load_architecture

FOLDER = Path(__file__).parents[2] / "spaces" / "reference"
FAMILIES = ("convolution", "projection", "attention product", "MLP", "soft split", "other")
# fvcore's price of a norm, for each element of the map.
BATCH_NORM, LAYER_NORM = 2, 5
CLASSES = 1000


def total(counts):
    return sum(counts, Counter())


# --- what networks are made of --------------------------------------------------------------------


def conv_norm(side, kernel, arriving, leaving):
    """A convolution without bias that leaves a square map, and its batch norm."""
    weights = kernel**2 * arriving * leaving
    norm = BATCH_NORM * side**2 * leaving
    return Counter(convolution=side**2 * weights, other=norm, params=weights + 2 * leaving)


def linear(family, tokens, arriving, leaving, *, bias=True):
    weights = arriving * leaving
    return Counter({family: tokens * weights, "params": weights + bias * leaving})


def layer_norm(tokens, width):
    return Counter(other=LAYER_NORM * tokens * width, params=2 * width)


def mlp(tokens, width, hidden):
    return linear("MLP", tokens, width, hidden) + linear("MLP", tokens, hidden, width)


def head(width):
    return linear("projection", 1, width, CLASSES)


# --- ResNet and BoTNet ----------------------------------------------------------------------------


def seven_by_seven(side):
    return conv_norm(side // 2, 7, 3, 64)


def three_by_three(side, first, second):
    """The chains of ResNet-D and of timm's BoTNets; all three convolutions run behind the stride."""
    widths = [3, first, second, 64]
    return total(conv_norm(side // 2, 3, a, b) for a, b in pairwise(widths))


def spatial(letter, side, out, width):
    """The middle of a bottleneck: ``c``, a 3x3 convolution that strides; ``m``, attention before a pooling."""
    if letter == "c":
        return conv_norm(out, 3, width, width)
    places = side**2
    qkv = 3 * width**2
    content_and_values = 2 * places**2 * width
    positions = places * width * (side + side)
    # The heads share the tables of offsets: 2 side - 1 rows and as many columns, as wide as one of four heads.
    tables = 2 * (2 * side - 1) * (width // 4)
    return Counter(
        {
            "convolution": places * qkv,
            "attention product": content_and_values + positions,
            "other": BATCH_NORM * out**2 * width,
            "params": qkv + tables + 2 * width,
        }
    )


def bottleneck(letter, side, arriving, width, stride):
    """1x1, the middle, 1x1 to four times its width; a 1x1 beside them if the stride or the width asks for it."""
    out, leaving = side // stride, 4 * width
    block = conv_norm(side, 1, arriving, width) + spatial(letter, side, out, width)
    block += conv_norm(out, 1, width, leaving)
    if stride > 1 or arriving != leaving:
        block += conv_norm(out, 1, arriving, leaving)
    return block


def bottlenecks(side, stages, last_stride=2):
    """Four stages of one letter a block, behind a stem and its pooling."""
    counts, arriving, side = [], 64, side // 4
    for index, letters in enumerate(stages):
        width = 64 * 2**index
        for block, letter in enumerate(letters):
            stride = 1 if block or not index else last_stride if index == 3 else 2
            counts.append(bottleneck(letter, side, arriving, width, stride))
            arriving, side = 4 * width, side // stride
    return total(counts)


def resnet(*depths):
    return seven_by_seven(224) + bottlenecks(224, ["c" * depth for depth in depths]) + head(2048)


def basic_resnet(*depths):
    counts, arriving, side = [], 64, 224 // 4
    for index, depth in enumerate(depths):
        width = 64 * 2**index
        for block in range(depth):
            stride = 2 if index and not block else 1
            side //= stride
            counts.append(conv_norm(side, 3, arriving, width) + conv_norm(side, 3, width, width))
            if arriving != width:
                counts.append(conv_norm(side, 1, arriving, width))
            arriving = width
    return seven_by_seven(224) + total(counts) + head(512)


def botnet(last_stride):
    return seven_by_seven(224) + bottlenecks(224, BOT50, last_stride) + head(2048)


def tiered_botnet(stages):
    return three_by_three(256, 24, 32) + bottlenecks(256, stages) + head(2048)


BOT50 = ("ccc", "cccc", "cccccc", "mmm")
BOTNET26T = ("cc", "cc", "cm", "mm")
BOTNET50TS = ("ccc", "cccm", "cmcmcm", "cmc")


# --- ViT, DeiT, the hybrid ------------------------------------------------------------------------


def transformer_block(tokens, width, hidden, *, qkv_bias):
    norms = layer_norm(tokens, width) + layer_norm(tokens, width)
    qkv = linear("projection", tokens, width, 3 * width, bias=qkv_bias)
    products = Counter({"attention product": 2 * tokens**2 * width})
    out = linear("projection", tokens, width, width)
    return norms + qkv + products + out + mlp(tokens, width, hidden)


def transformer(places, width, depth, *, hidden, own=1, qkv_bias=True, learned=True):
    """Blocks over ``places`` and the ``own`` tokens before them, a closing norm, tokens and positions."""
    tokens = places + own
    blocks = [transformer_block(tokens, width, hidden, qkv_bias=qkv_bias)] * depth
    positions = Counter({"params" if learned else "frozen": tokens * width})
    tables = Counter(params=own * width) + positions
    return total(blocks) + layer_norm(tokens, width) + tables


def patches(side, size, width):
    weights = 3 * size**2 * width
    return Counter(convolution=(side // size) ** 2 * weights, params=weights + width)


def vit(width, depth, size=16):
    places = (224 // size) ** 2
    return patches(224, size, width) + transformer(places, width, depth, hidden=4 * width) + head(width)


def distilled_vit(width, depth):
    body = transformer(14**2, width, depth, hidden=4 * width, own=2)
    return patches(224, 16, width) + body + head(width) + head(width)


def vit_behind_resnet50d(width, depth):
    """The pooled shortcuts cost what plain ones do; a 1x1 takes the last map to the width of the tokens."""
    trunk = three_by_three(224, 32, 32) + bottlenecks(224, ["c" * n for n in (3, 4, 6, 3)])
    entry = linear("soft split", 7**2, 2048, width)
    return trunk + entry + transformer(7**2, width, depth, hidden=4 * width) + head(width)


# --- T2T-ViT --------------------------------------------------------------------------------------


def softmax_mixing(tokens, arriving):
    products = Counter({"attention product": tokens**2 * 2 * 64})
    return linear("projection", tokens, arriving, 3 * 64, bias=False) + products


def performer_mixing(tokens, arriving, features=32):
    keys_and_queries = 2 * tokens * 64 * features
    keys_by_values = features * tokens * 64
    queries_by_that = tokens * features * 64
    queries_by_sum_of_keys = tokens * features
    products = keys_and_queries + keys_by_values + queries_by_that + queries_by_sum_of_keys
    mixing = Counter({"attention product": products, "frozen": features * 64})
    return linear("projection", tokens, arriving, 3 * 64) + mixing


def token_layer(mixing, tokens, arriving):
    norms = layer_norm(tokens, arriving) + layer_norm(tokens, 64)
    project = linear("projection", tokens, 64, 64)
    return norms + mixing(tokens, arriving) + project + mlp(tokens, 64, 64)


def t2t_vit(width, depth, ratio, mixing=performer_mixing):
    """224 pixels are split into 56x56 windows of 7x7x3, those into 28x28 of 3x3x64, those into 14x14."""
    layers = token_layer(mixing, 56**2, 7 * 7 * 3) + token_layer(mixing, 28**2, 3 * 3 * 64)
    project = linear("soft split", 14**2, 3 * 3 * 64, width)
    body = transformer(14**2, width, depth, hidden=ratio * width, qkv_bias=False, learned=False)
    return layers + project + body + head(width)


# --- the files ------------------------------------------------------------------------------------

BY_HAND = {
    "resnet18": basic_resnet(2, 2, 2, 2),
    "resnet26": resnet(2, 2, 2, 2),
    "resnet50": resnet(3, 4, 6, 3),
    "resnet101": resnet(3, 4, 23, 3),
    "resnet152": resnet(3, 8, 36, 3),
    "bot50": botnet(last_stride=2),
    "bot_s1_50": botnet(last_stride=1),
    "botnet26t_256": tiered_botnet(BOTNET26T),
    "botnet50ts_256": tiered_botnet(BOTNET50TS),
    "vit_tiny_patch16_224": vit(192, 12),
    "vit_small_patch16_224": vit(384, 12),
    "vit_base_patch16_224": vit(768, 12),
    "vit_base_patch32_224": vit(768, 12, size=32),
    "vit_large_patch16_224": vit(1024, 24),
    "deit_small_distilled_patch16_224": distilled_vit(384, 12),
    "t2t_vit_7": t2t_vit(256, 7, ratio=2),
    "t2t_vit_10": t2t_vit(256, 10, ratio=2),
    "t2t_vit_12": t2t_vit(256, 12, ratio=2),
    "t2t_vit_14": t2t_vit(384, 14, ratio=3),
    "t2t_vit_19": t2t_vit(448, 19, ratio=3),
    "t2t_vit_24": t2t_vit(512, 24, ratio=3),
    "t2t_vit_t_14": t2t_vit(384, 14, ratio=3, mixing=softmax_mixing),
    "t2t_vit_t_19": t2t_vit(448, 19, ratio=3, mixing=softmax_mixing),
    "t2t_vit_t_24": t2t_vit(512, 24, ratio=3, mixing=softmax_mixing),
    "t2t_vit_14_resnext": t2t_vit(384, 14, ratio=3),
    "t2t_vit_14_wide": t2t_vit(768, 4, ratio=3),
    "vit_base_resnet50d_224": vit_behind_resnet50d(768, 12),
}
every_reference = pytest.mark.parametrize("name", BY_HAND)


@cache
def reference(name):
    return load_architecture(FOLDER / f"{name}.yaml")


def test_every_file_is_counted_by_hand():
    assert {path.stem for path in FOLDER.glob("*.yaml")} == BY_HAND.keys()


@every_reference
def test_the_macs_of_a_reference_by_hand(name):
    expected = {family: BY_HAND[name][family] for family in FAMILIES}

    counted = count_macs(reference(name))

    assert counted.by_family == expected
    assert counted.total == sum(expected.values())


@every_reference
def test_the_parameters_of_a_reference_by_hand(name):
    assert count_params(reference(name)) == BY_HAND[name]["params"]
    assert count_frozen(reference(name)) == BY_HAND[name]["frozen"]


# --- the outside implementations ------------------------------------------------------------------

# Of timm, torchvision, the BoTNet authors' code and the official T2T-ViT, counted by running them: all
# parameters, those that are trained, and GMACs without norms.
MEASURED = {
    "resnet18": (11_689_512, 11_689_512, 1.814),
    "resnet26": (15_995_176, 15_995_176, 2.342),
    "resnet50": (25_557_032, 25_557_032, 4.089),
    "resnet101": (44_549_160, 44_549_160, 7.801),
    "resnet152": (60_192_808, 60_192_808, 11.514),
    "bot50": (20_852_008, 20_852_008, 4.025),
    "bot_s1_50": (20_859_176, 20_859_176, 5.418),
    "botnet26t_256": (12_488_672, 12_488_672, 3.297),
    "botnet50ts_256": (22_742_688, 22_742_688, 5.512),
    "vit_tiny_patch16_224": (5_717_416, 5_717_416, 1.254),
    "vit_small_patch16_224": (22_050_664, 22_050_664, 4.599),
    "vit_base_patch16_224": (86_567_656, 86_567_656, 17.564),
    "vit_base_patch32_224": (88_224_232, 88_224_232, 4.409),
    "vit_large_patch16_224": (304_326_632, 304_326_632, 61.555),
    "deit_small_distilled_patch16_224": (22_436_432, 22_436_432, 4.624),
    "t2t_vit_7": (4_310_222, 4_255_694, 1.147),
    "t2t_vit_10": (5_889_230, 5_834_702, 1.516),
    "t2t_vit_12": (6_941_902, 6_887_374, 1.763),
    "t2t_vit_14": (21_545_550, 21_465_806, 4.783),
    "t2t_vit_19": (39_177_422, 39_085_070, 8.480),
    "t2t_vit_24": (64_105_934, 64_000_974, 13.662),
    "t2t_vit_t_14": (21_541_070, 21_465_422, 6.089),
    "t2t_vit_t_19": (39_172_942, 39_084_686, 9.785),
    "t2t_vit_t_24": (64_101_454, 64_000_590, 14.967),
    "t2t_vit_14_resnext": (21_545_550, 21_465_806, 4.783),
    "t2t_vit_14_wide": (25_156_302, 25_000_910, 5.229),
    "vit_base_resnet50d_224": (110_965_064, 110_965_064, 8.697),
}
# Sides of the maps over which each BoTNet attends, with the width of that attention.
ATTENDED = {
    "bot50": [(14, 512), (7, 512), (7, 512)],
    "bot_s1_50": [(14, 512), (14, 512), (14, 512)],
    "botnet26t_256": [(16, 256), (16, 512), (8, 512)],
    "botnet50ts_256": [(32, 128), (16, 256), (16, 256), (16, 256), (8, 512)],
}


def products_with_other_rows(name):
    """What the others spend on offsets that no key has.

    They multiply each query with all ``2 H - 1`` and ``2 W - 1`` vectors and then pick; we multiply it with the
    ``H`` and ``W`` of its own row and column, ``2 (side - 1)`` vectors less.
    """
    return sum(side**2 * width * 2 * (side - 1) for side, width in ATTENDED.get(name, []))


@every_reference
def test_without_norms_a_reference_costs_what_the_outside_implementation_does(name):
    counted = count_macs(reference(name))

    without_norms = counted.total - counted.by_family["other"]

    assert round((without_norms + products_with_other_rows(name)) / 1e9, 3) == MEASURED[name][2]


def without_positions(network):
    """The same network, of which no attention knows a place."""
    stages = [s.model_copy(update={"position": "none"}) if s.kind == "mhsa" else s for s in network.stages]
    return network.model_copy(update={"stages": tuple(stages)})


@pytest.mark.parametrize(
    ("name", "all_vectors", "own_vectors"),
    [
        (
            "bot50",
            14**2 * 512 * (27 + 27) + 2 * 7**2 * 512 * (13 + 13),
            14**2 * 512 * (14 + 14) + 2 * 7**2 * 512 * (7 + 7),
        ),
        ("bot_s1_50", 3 * 14**2 * 512 * (27 + 27), 3 * 14**2 * 512 * (14 + 14)),
        (
            "botnet26t_256",
            16**2 * (256 + 512) * (31 + 31) + 8**2 * 512 * (15 + 15),
            16**2 * (256 + 512) * (16 + 16) + 8**2 * 512 * (8 + 8),
        ),
        (
            "botnet50ts_256",
            32**2 * 128 * (63 + 63) + 3 * 16**2 * 256 * (31 + 31) + 8**2 * 512 * (15 + 15),
            32**2 * 128 * (32 + 32) + 3 * 16**2 * 256 * (16 + 16) + 8**2 * 512 * (8 + 8),
        ),
    ],
)
def test_a_botnet_multiplies_its_queries_with_the_offsets_of_their_own_row_and_column(
    name, all_vectors, own_vectors
):
    """Less than one MAC in three hundred is spared by it."""
    network = reference(name)

    spent_on_positions = count_macs(network).total - count_macs(without_positions(network)).total

    assert spent_on_positions == own_vectors
    assert all_vectors - own_vectors == products_with_other_rows(name)
    assert all_vectors - own_vectors < count_macs(network).total / 300


@every_reference
def test_a_reference_trains_the_parameters_that_the_outside_implementation_trains(name):
    assert count_params(reference(name)) == MEASURED[name][1]


@every_reference
def test_a_reference_has_all_parameters_of_the_outside_implementation(name):
    """The fixed ones too: tables of sinusoids, and the directions of performers."""
    with torch.device("meta"):
        network = reference(name).build()

    assert sum(parameter.numel() for parameter in network.parameters()) == MEASURED[name][0]
    assert count_params(reference(name)) + count_frozen(reference(name)) == MEASURED[name][0]
