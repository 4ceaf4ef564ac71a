"""Matched swaps: one stage of another kind at equal cost, by hand, against every width there is, and by chance."""

from functools import lru_cache
from itertools import accumulate

import examples
import pytest
from examples import one_of_each
from hypothesis import given, settings
from hypothesis import strategies as st

from archsearch.architecture import Architecture
from archsearch.counting import count_macs, count_params
from archsearch.errors import InputError
from archsearch.space import load_space
from archsearch.space.swap import crossing, matched_swaps
from archsearch.stages import STAGE_KINDS, ConvStage, MHSAStage, TokenTransformerStage

IMAGE = {"channels": 1, "height": 8, "width": 8}
STEM = {"kind": "conv", "channels": 16, "stride": 2}
STAGES = {
    **{
        kind: stage.active() | {"channels": 32, "depth": 2}
        for kind, stage in one_of_each(examples.STAGES).items()
    },
    "conv": {"kind": "conv", "channels": 32, "depth": 2, "kernel": 3, "expansion": 0.5},
    "mhsa": {"kind": "mhsa", "channels": 32, "depth": 2, "heads": 2, "expansion": 0.5},
    "token_transformer": {
        "kind": "token_transformer",
        "channels": 32,
        "depth": 2,
        "heads": 2,
        "mlp_ratio": 2.0,
    },
}
PAIRS = [(one, other) for one in STAGES for other in STAGES if one != other]
# Any kind, depth and stride: what is drawn here is swapped at every stage.
STAGE = """\
  - channels: {choice: [16, 24, 32]}
    depth: {range: [1, 2]}
    stride: {choice: [1, 2]}
    kind:
      conv: {kernel: {choice: [1, 3]}, expansion: {choice: [0.25, 0.5]}, block: {choice: [bottleneck, basic]}}
      mhsa: {heads: {choice: [2, 4]}, expansion: 0.5, position: {choice: [relative, none]}}
      token_transformer: {split_kernel: 3, heads: {choice: [2, 4]}, mlp_ratio: {choice: [2, 4]}}
"""
TWO = (
    "name: two\nimage: {channels: 1, height: 16, width: 12}\nclasses: 10\n"
    "stem: {kind: conv, channels: {choice: [8, 16]}, kernel: 3, stride: 2}\nstages:\n" + 2 * STAGE
)


def network(*stages, stem=STEM, head=None, image=IMAGE):
    """An architecture of these stages."""
    document = {"image": image, "classes": 10, "stem": stem, "stages": tuple(stages), "head": head or {}}
    return Architecture.model_validate(document)


def only(swaps, kind):
    """The one swap to a kind."""
    (swap,) = [swap for swap in swaps if swap.kind == kind]
    return swap


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    path = tmp_path_factory.mktemp("swap") / "two.yaml"
    path.write_text(TWO)
    return load_space(path)


@lru_cache
def all_swaps(before, cost):
    """A network with a stage of this kind in its middle, and the swaps of that stage."""
    original = network(STAGES["conv"], {**STAGES[before], "stride": 2}, STAGES["token_transformer"])
    return original, matched_swaps(original, cost=cost, stage=1)


@pytest.mark.parametrize("cost", ["macs", "params"])
@pytest.mark.parametrize(("before", "now"), PAIRS)
def test_every_kind_can_take_the_place_of_every_other_at_equal_cost(before, now, cost):
    original, swaps = all_swaps(before, cost)
    swap = only(swaps, now)
    counted = {"macs": lambda a: count_macs(a).total, "params": count_params}[cost]

    assert swap.variant.stages[1].kind == now
    assert (swap.cost_from, swap.cost_to) == (counted(original), counted(swap.variant))
    assert abs(swap.cost_ratio - 1) <= 0.02


@pytest.mark.parametrize(("before", "now"), PAIRS)
def test_all_but_the_stage_stays_and_so_do_depth_stride_and_map(before, now):
    original, swaps = all_swaps(before, "macs")
    variant = only(swaps, now).variant
    stage, was = variant.stages[1], original.stages[1]

    assert (variant.image, variant.stem, variant.head) == (original.image, original.stem, original.head)
    assert (variant.stages[0], variant.stages[2]) == (original.stages[0], original.stages[2])
    assert (stage.depth, stage.stride) == (was.depth, was.stride)
    assert [(s.height, s.width) for s in variant.shapes()] == [(s.height, s.width) for s in original.shapes()]


def test_the_width_is_that_of_equal_cost_by_hand():
    original = network({"kind": "conv", "channels": 32, "depth": 1, "expansion": 0.25}, stem=STEM)
    swap = only(matched_swaps(original, cost="params"), "mhsa")
    stage = swap.variant.stages[0]

    def rest(c):  # stem with its norm; shortcut with its norm; the branch's last norm; the head
        return 9 * 16 + 2 * 16 + (16 * c + 2 * c if c != 16 else 0) + 2 * c + (10 * c + 10)

    def conv(c, w):  # 1x1, 3x3 and 1x1, each but the last with its norm
        return 16 * w + 9 * w * w + w * c + 4 * w + rest(c)

    def mhsa(
        c, w, heads
    ):  # 1x1; query, key and value; 1x1; and two tables of 2 * 4 - 1 offsets, as wide as a head
        return 16 * w + 3 * w * w + w * c + 4 * w + 2 * 7 * w // heads + rest(c)

    assert swap.cost_from == conv(32, 8)
    assert swap.cost_to == mhsa(stage.channels, stage.width, stage.heads)
    assert abs(swap.cost_to / swap.cost_from - 1) <= 0.02


@pytest.mark.parametrize("now", ["conv", "mhsa"])
def test_no_other_width_alone_is_nearer_than_the_one_that_was_found(now):
    original = network(STAGES["token_transformer"], {**STAGES["conv"], "channels": 256})
    swap = only(matched_swaps(original, stage=0, tolerance=0.1), now)
    gaps = []
    for channels in range(1, 8 * 32):
        stage = swap.variant.stages[0].model_copy(update={"channels": channels})
        other = original.model_copy(update={"stages": (stage, original.stages[1])})
        if channels % 16 == 0 and not other.problems():
            gaps.append(abs(count_macs(other).total - swap.cost_from))

    assert swap.note == ""
    assert abs(swap.cost_to - swap.cost_from) <= min(gaps)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), cost=st.sampled_from(["macs", "params"]))
def test_whatever_is_swapped_is_matched_or_refused_with_the_nearest_named(two, seed, cost):
    original = two.draw(seed)
    swaps = matched_swaps(original, cost=cost)

    assert [(s.index, s.kind) for s in swaps] == [
        (index, kind) for index in range(2) for kind in STAGE_KINDS if kind != original.stages[index].kind
    ]
    for swap in swaps:
        if swap.variant is None:
            assert swap.note
            assert swap.cost_ratio is None or abs(swap.cost_ratio - 1) > 0.02
            continue
        kept = [i for i in range(2) if i != swap.index]
        assert abs(swap.cost_ratio - 1) <= 0.02
        assert [swap.variant.stages[i] for i in kept] == [original.stages[i] for i in kept]
        assert swap.variant.stages[swap.index].kind == swap.kind
        assert Architecture.model_validate_json(swap.variant.model_dump_json()).id == swap.variant.id


def test_the_same_network_has_the_same_swaps(two):
    original = two.draw(3)

    assert matched_swaps(original) == matched_swaps(original)


def test_a_few_counts_find_the_place_among_a_thousand_widths():
    costs = [5000 + 30 * width + 7 * width * width for width in range(1000)]
    known = {index: costs[index] for index in (0, 499, 999)}
    low, high = 0, 999
    while high - low > 1:
        guess = crossing(known, costs[613], low, high)
        known[guess] = costs[guess]
        low, high = (guess, high) if costs[guess] < costs[613] else (low, guess)

    assert high == 613
    assert len(known) <= 6


@given(steps=st.lists(st.integers(0, 50), min_size=2, max_size=60), amount=st.integers(0, 2_000))
def test_the_place_is_found_whatever_the_costs_do_as_they_rise(steps, amount):
    costs = list(accumulate(steps))
    known, low, high = {0: costs[0], len(costs) - 1: costs[-1]}, 0, len(costs) - 1
    while high - low > 1:
        guess = crossing(known, amount, low, high)
        known[guess] = costs[guess]
        assert low < guess < high
        low, high = (guess, high) if costs[guess] < amount else (low, guess)

    assert costs[0] >= amount or costs[-1] < amount or costs[low] < amount <= costs[high]


def test_a_stage_is_written_as_the_example_writes_it():
    original = network(STAGES["conv"], STAGES["conv"])
    example = MHSAStage(channels=8, depth=4, stride=2, heads=2, expansion=0.5, position="none", qkv_bias=True)
    stage = only(matched_swaps(original, stage=0, examples={(0, "mhsa"): example}), "mhsa").variant.stages[0]

    assert (stage.heads, stage.position, stage.qkv_bias) == (2, "none", True)
    assert (stage.depth, stage.stride) == (2, 1)


def test_an_example_that_does_not_fit_gives_way_to_the_defaults_of_its_kind():
    original = network(STAGES["mhsa"], STAGES["conv"])
    example = ConvStage(channels=8, depth=1, kernel=31)
    stage = only(matched_swaps(original, stage=0, examples={(0, "conv"): example}), "conv").variant.stages[0]

    assert stage.kernel == ConvStage.model_fields["kernel"].default


def test_what_means_the_same_in_both_kinds_stays():
    original = network(
        {**STAGES["mhsa"], "activation": "silu", "shortcut": "avgpool_conv1x1"}, STAGES["conv"]
    )
    swaps = matched_swaps(original, stage=0)
    conv, tokens = (only(swaps, kind).variant.stages[0] for kind in ("conv", "token_transformer"))

    assert (conv.activation, conv.shortcut) == ("silu", "avgpool_conv1x1")
    assert tokens.heads == 2


@pytest.mark.parametrize(("stride", "kernel"), [(1, 3), (2, 3), (4, 7)])
def test_tokens_come_by_windows_that_fit_the_stride(stride, kernel):
    original = network({**STAGES["conv"], "stride": stride}, stem={"kind": "conv", "channels": 16})

    assert only(matched_swaps(original), "token_transformer").variant.stages[0].split_kernel == kernel


def test_where_the_next_stage_takes_one_width_only_the_inner_width_is_rescaled():
    direct = {"kind": "token_transformer", "channels": 32, "depth": 1, "heads": 2, "entry": "direct"}
    swap = only(matched_swaps(network(STAGES["conv"], direct), stage=0), "mhsa")

    assert swap.variant.stages[0].channels == 32
    assert "expansion" in swap.note
    assert abs(swap.cost_ratio - 1) <= 0.02


def test_where_no_width_costs_enough_there_are_more_blocks():
    # Behind a direct entry's one width, two convolution blocks cost less than two of tokens at any inner width.
    tokens = {"kind": "token_transformer", "channels": 16, "depth": 2, "heads": 2, "mlp_ratio": 4.0}
    swap = only(
        matched_swaps(network(tokens, {**tokens, "entry": "direct"}), stage=0, tolerance=0.05), "conv"
    )

    assert swap.variant.stages[0].depth > 2
    assert "depth" in swap.note
    assert abs(swap.cost_ratio - 1) <= 0.05


def test_what_cannot_be_matched_is_refused_with_the_nearest():
    thin = {"kind": "conv", "channels": 4, "depth": 1, "kernel": 1, "expansion": 0.25}
    swap = only(matched_swaps(network(thin, stem={"kind": "conv", "channels": 4})), "mhsa")

    assert swap.variant is None
    assert swap.cost_ratio > 1.02
    assert swap.note == f"no mhsa is within 2 % of {swap.cost_from:,} MACs: the nearest has {swap.cost_to:,}"


def test_a_class_token_that_the_head_reads_cannot_be_swapped_away():
    last = {**STAGES["token_transformer"], "class_token": True}
    swaps = matched_swaps(network(STAGES["conv"], last, head={"pool": "cls"}), stage=1)

    assert [(swap.variant, swap.cost_ratio) for swap in swaps] == [(None, None)] * (len(STAGE_KINDS) - 1)
    assert swaps[0].note == "no conv can be built here: the last stage carries no class token"


def test_a_map_that_would_change_its_size_is_refused():
    odd = {
        "kind": "token_transformer",
        "channels": 16,
        "depth": 1,
        "heads": 2,
        "stride": 2,
        "split_kernel": 2,
    }
    original = network(
        odd, STAGES["conv"], stem={"kind": "conv", "channels": 8}, image={**IMAGE, "height": 7}
    )
    swap = only(matched_swaps(original, stage=0), "conv")

    # Windows of 2 at stride 2 make 3 of 7; a convolution makes 4.
    assert swap.variant is None
    assert swap.note == "no conv can be built here, which would change the map behind it"


WRONG = {
    "--cost: latency_ms cannot be matched": {"cost": "latency_ms"},
    "--tolerance: 2 is no share": {"tolerance": 2.0},
    "--stage: there is no stage 1; use one of 0 to 0": {"stage": 1},
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_be_asked_for_is_said(message):
    with pytest.raises(InputError) as caught:
        matched_swaps(network(STAGES["conv"]), **WRONG[message])

    assert message in str(caught.value)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(InputError) as caught:
        matched_swaps(network(STAGES["conv"]), cost="time", tolerance=0.0, stage=-1)

    assert len(caught.value.problems) == 3


def test_the_kinds_are_those_of_this_table():
    assert set(STAGES) == set(STAGE_KINDS)
    assert STAGE_KINDS["token_transformer"] is TokenTransformerStage
