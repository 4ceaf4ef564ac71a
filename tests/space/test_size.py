"""The size of a space is the number of its distinct architectures: compared with a walk through all of them."""

import json

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from archsearch.space import load_space
from archsearch.space.size import ANY, merge

HEADER = "name: small\nimage: {channels: 3, height: 16, width: 16}\nclasses: 10\n"
STEM = "stem: {kind: conv, channels: 8}\n"


@pytest.fixture(scope="session")
def brute_force(every_way):
    """The number of different architectures on all ways through a space."""
    return lambda space: len({architecture.id for architecture, _ in every_way(space)})


def test_the_walk_passes_every_point_once(space_of, every_way):
    # Three kernels as a convolution, two numbers of heads as attention, and each at two depths: 3 x 2 + 2 x 2 ways.
    text = (
        HEADER
        + STEM
        + (
            "stages: [{channels: 8, depth: {choice: [1, 2]}, "
            "kind: {conv: {kernel: {choice: [1, 3, 5]}}, mhsa: {heads: {choice: [1, 2]}}}}]\n"
        )
    )
    ids = [architecture.id for architecture, _ in every_way(space_of(text))]

    assert len(ids) == len(set(ids)) == 10


# A space, and its size by hand.
SPACES = {
    "one point": (STEM + "stages: [{kind: conv, channels: 8, depth: 1}]", 1),
    "fields multiply": (
        STEM + "stages: [{kind: conv, channels: {choice: [8, 16]}, depth: {range: [1, 3]}}]",
        2 * 3,
    ),
    "parts multiply": (
        (
            "stem: {kind: patch, channels: 8, size: {choice: [1, 2]}}\n"
            "stages: [{kind: conv, channels: {choice: [8, 16]}, depth: 1}, {kind: conv, channels: 8, depth: {range: [1, 3]}}]"
        ),
        2 * 2 * 3,
    ),
    "alternatives add": (
        (
            "stem: {kind: {conv: {channels: 8, kernel: {choice: [1, 3, 5]}}, patch: {channels: 8, size: {choice: [1, 2]}}}}\n"
            "stages: [{kind: conv, channels: 8, depth: 1}]"
        ),
        3 + 2,
    ),
    "shared fields multiply each alternative": (
        STEM + "stages: [{depth: {range: [1, 3]}, channels: 8, "
        "kind: {conv: {kernel: {choice: [1, 3, 5]}}, mhsa: {heads: {choice: [1, 2]}}}}]",
        3 * (3 + 2),
    ),
    "a parameter multiplies once": (
        (
            "params: {width: {choice: [8, 16]}}\n"
            "stem: {kind: conv, channels: $width}\n"
            "stages: [{kind: conv, channels: $width, depth: 1}, {kind: conv, channels: $width, depth: 1}]"
        ),
        2,
    ),
    "a parameter counts only where it is used": (
        # conv-conv 1, conv-token 3, token-conv 3, token-token 3: the ratio is one for both.
        "params: {ratio: {choice: [1, 2, 4]}}\n" + STEM + "stages:\n"
        "  - {channels: 8, depth: 1, kind: {conv: {}, token_transformer: {mlp_ratio: $ratio}}}\n"
        "  - {channels: 8, depth: 1, kind: {conv: {}, token_transformer: {mlp_ratio: $ratio}}}",
        1 + 3 + 3 + 3,
    ),
    "a basic block has no expansion": (
        STEM + "stages: [{kind: conv, channels: 8, depth: 1, block: {choice: [bottleneck, basic]}, "
        "expansion: {choice: [0.25, 0.5, 1]}}]",
        3 + 1,
    ),
    "a block that is basic leaves the expansion silent": (
        STEM
        + "stages: [{kind: conv, channels: 8, depth: 1, block: basic, expansion: {choice: [0.25, 0.5, 1]}}]",
        1,
    ),
    "a block that is not written is a bottleneck": (
        STEM + "stages: [{kind: conv, channels: 8, depth: 1, expansion: {choice: [0.25, 0.5, 1]}}]",
        3,
    ),
    "softmax has no features": (
        (
            "stem: {kind: t2t, channels: 8, kernels: [3, 3], strides: [2, 1], token_channels: 8, "
            "attention: {choice: [softmax, performer]}, features: {choice: [4, 8, 16]}}\n"
            "stages: [{kind: conv, channels: 8, depth: 1}]"
        ),
        1 + 3,
    ),
    "only relative positions have a scale": (
        STEM + "stages: [{kind: mhsa, channels: 8, depth: 1, heads: 2, "
        "position: {choice: [relative, article, none]}, rel_scale: {choice: [both, content]}}]",
        2 + 1 + 1,
    ),
    "a position that is not written is relative": (
        STEM
        + "stages: [{kind: mhsa, channels: 8, depth: 1, heads: 2, rel_scale: {choice: [both, content]}}]",
        2,
    ),
    "the positions of an article have no scale": (
        STEM + "stages: [{kind: mhsa, channels: 8, depth: 1, heads: 2, position: article, "
        "rel_scale: {choice: [both, content]}}]",
        1,
    ),
    "a parameter decides for two stages whether a scale means something": (
        # relative: 2 scales in each stage; article and none: one point each.
        "params: {p: {choice: [article, relative, none]}}\n" + STEM + "stages:\n"
        "  - {kind: mhsa, channels: 8, depth: 1, heads: 2, position: $p, rel_scale: {choice: [both, content]}}\n"
        "  - {kind: mhsa, channels: 8, depth: 1, heads: 2, position: $p, rel_scale: {choice: [both, content]}}",
        1 + 2 * 2 + 1,
    ),
    "settings of a residual stage multiply": (
        STEM + "stages: [{kind: conv, channels: 8, depth: 1, activation: {choice: [relu, silu, gelu]}, "
        "shortcut: {choice: [conv1x1, avgpool_conv1x1, conv3x3]}, shortcut_activation: {choice: [true, false]}}]",
        3 * 3 * 2,
    ),
    "chains of a stem are options": (
        (
            "stem: {kind: conv, channels: 8, hidden_channels: {choice: [[], [8], [4, 8]]}}\n"
            "stages: [{kind: conv, channels: 8, depth: 1}]"
        ),
        3,
    ),
    "a direct entry has no split": (
        STEM + "stages: [{kind: token_transformer, channels: 8, depth: 1, entry: {choice: [split, direct]}, "
        "split_kernel: {choice: [1, 3]}, heads: {choice: [1, 2]}}]",
        (2 + 1) * 2,
    ),
    "a parameter decides for two stages whether the expansion means something": (
        # bottleneck: 2 expansions in each stage; basic: none.
        "params: {block: {choice: [bottleneck, basic]}}\n" + STEM + "stages:\n"
        "  - {kind: conv, channels: 8, depth: 1, block: $block, expansion: {choice: [0.25, 0.5]}}\n"
        "  - {kind: conv, channels: 8, depth: 1, block: $block, expansion: {choice: [0.5, 1]}}",
        2 * 2 + 1,
    ),
    "a parameter that is silent where another one says so": (
        # bottleneck: 3 expansions, one for both stages; basic: none.
        "params: {block: {choice: [basic, bottleneck]}, e: {choice: [0.25, 0.5, 1]}}\n" + STEM + "stages:\n"
        "  - {kind: conv, channels: 8, depth: 1, block: $block, expansion: $e}\n"
        "  - {kind: conv, channels: 8, depth: 1, block: $block, expansion: $e}",
        3 + 1,
    ),
    "a parameter that one stage silences and another one uses": (
        # basic first: 2 for the second; bottleneck first: the same 2, shared.
        "params: {e: {choice: [0.25, 0.5]}}\n" + STEM + "stages:\n"
        "  - {kind: conv, channels: 8, depth: 1, block: {choice: [basic, bottleneck]}, expansion: $e}\n"
        "  - {kind: conv, channels: 8, depth: 1, expansion: $e}",
        2 + 2,
    ),
    "items of a list multiply": (
        (
            "stem: {kind: t2t, channels: 8, kernels: [{choice: [3, 5, 7]}, 3], strides: [{choice: [1, 2]}, {choice: [1, 2]}], "
            "token_channels: 8}\nstages: [{kind: conv, channels: 8, depth: 1}]"
        ),
        3 * 2 * 2,
    ),
    "a parameter in a list": (
        (
            "params: {k: {choice: [3, 5]}}\n"
            "stem: {kind: t2t, channels: 8, kernels: [$k, $k], strides: [{choice: [1, 2]}, 1], token_channels: 8}\n"
            "stages: [{kind: conv, channels: 8, depth: 1, kernel: $k}]"
        ),
        2 * 2,
    ),
    "lists as options": (
        (
            "stem: {kind: t2t, channels: 8, kernels: {choice: [[3, 3], [5, 3]]}, strides: {choice: [[1, 1], [2, 1], [2, 2]]}}\n"
            "stages: [{kind: conv, channels: 8, depth: 1}]"
        ),
        2 * 3,
    ),
    "a parameter with one value": (
        "params: {ratio: 2}\n"
        + STEM
        + "stages: [{kind: token_transformer, channels: 8, depth: {range: [1, 2]}, mlp_ratio: $ratio}]",
        2,
    ),
    "an open head": (
        STEM
        + "stages: [{kind: token_transformer, channels: 8, depth: 1, class_token: {choice: [true, false]}}]\n"
        "head: {pool: {choice: [mean, cls]}}",
        # What cannot be built is a point as well: a cls head without a token.
        2 * 2,
    ),
}


@pytest.mark.parametrize(("text", "size"), SPACES.values(), ids=SPACES.keys())
def test_the_size_is_the_number_of_points_by_hand_and_by_walking(space_of, brute_force, text, size):
    space = space_of(HEADER + text + "\n")

    assert space.size() == size
    assert brute_force(space) == size


CONDITIONAL = (
    HEADER
    + """\
params:
  width: {choice: [8, 16]}
  block: {choice: [bottleneck, basic]}
  ratio: {choice: [1, 2, 4]}
stem:
  kind:
    conv: {channels: $width, kernel: {choice: [1, 3]}}
    t2t:
      channels: 8
      kernels: [{choice: [3, 5]}, 3]
      strides: [1, 1]
      token_channels: 8
      attention: {choice: [softmax, performer]}
      features: {choice: [4, 8]}
stages:
  - channels: 8
    depth: {choice: [1, 2]}
    kind:
      conv: {block: $block, expansion: {choice: [0.5, 1]}}
      token_transformer: {entry: {choice: [split, direct]}, split_kernel: {choice: [1, 3]}, mlp_ratio: $ratio}
  - channels: 8
    depth: 1
    kind:
      conv: {block: $block, expansion: {choice: [0.25, 0.5, 1]}}
      token_transformer: {mlp_ratio: $ratio}
"""
)


def test_all_of_it_together_is_counted_exactly(space_of, brute_force):
    # Stem: 2 x 2 convolutions and 2 x (1 + 2) tokens-to-token, 10. Stages, at two depths of the first:
    # conv-conv 2 x 3 + 1, conv-token (2 + 1) x 3, token-conv (2 + 1) x 3 x (3 + 1), token-token (2 + 1) x 3.
    space = space_of(CONDITIONAL)

    assert space.size() == 10 * 2 * (7 + 9 + 36 + 9) == brute_force(space)


def test_a_large_space_is_counted_without_walking(space_of):
    stage = "  - {kind: conv, channels: {range: [1, 1000]}, depth: {range: [1, 100]}}\n"

    assert space_of(HEADER + STEM + "stages:\n" + stage * 20).size() == 10**100


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({("p", 0)}, {("q", 1)}, {("p", 0), ("q", 1)}),
        ({("p", 0)}, {("p", 0)}, {("p", 0)}),
        ({("p", 0)}, {("p", 1)}, None),
        ({("p", ANY)}, {("p", ANY)}, {("p", ANY)}),
        ({("p", ANY)}, {("p", 0)}, {("p", 0)}),
        ({("p", 0)}, {("p", ANY)}, {("p", 0)}),
    ],
)
def test_two_demands_on_a_parameter_agree_or_leave_nothing(one, other, both):
    assert merge(frozenset(one), frozenset(other)) == (both and frozenset(both))


# ---- small random spaces -----------------------------------------------------------------------------------------

PARAMS = {
    "p_kernel": [1, 3],
    "p_depth": [1, 2],
    "p_block": ["bottleneck", "basic"],
    "p_expansion": [0.5, 1, 2],
    "p_heads": [1, 2, 4],
    "p_ratio": [1, 2],
    "p_entry": ["split", "direct"],
    "p_attention": ["softmax", "performer"],
    "p_features": [4, 8],
    "p_pool": ["none", "max"],
    "p_position": ["none", "relative", "article"],
    "p_scale": ["both", "content"],
    "p_shortcut": ["conv1x1", "avgpool_conv1x1", "conv3x3"],
}
CONV = {
    "kernel": ([1, 3, 5], "p_kernel"),
    "block": (["bottleneck", "basic"], "p_block"),
    "expansion": ([0.5, 1, 2], "p_expansion"),
    "groups": ([1, 2, 4], "p_heads"),
    "shortcut": (["conv1x1", "avgpool_conv1x1", "conv3x3"], "p_shortcut"),
}
MHSA = {
    "heads": ([1, 2, 4], "p_heads"),
    "expansion": ([0.5, 1, 2], "p_expansion"),
    "position": (["none", "relative", "article"], "p_position"),
    "rel_scale": (["both", "content"], "p_scale"),
}
TOKENS = {
    "entry": (["split", "direct"], "p_entry"),
    "split_kernel": ([1, 3], "p_kernel"),
    "heads": ([1, 2, 4], "p_heads"),
    "mlp_ratio": ([1, 2], "p_ratio"),
}
STAGES = {"conv": CONV, "mhsa": MHSA, "token_transformer": TOKENS}
T2T = {
    "attention": (["softmax", "performer"], "p_attention"),
    "features": ([4, 8], "p_features"),
    "kernels": ([[3, 3], [5, 3]], None),
}
STEMS = {"conv": {"kernel": ([1, 3, 5], "p_kernel"), "pool": (["none", "max"], "p_pool")}, "t2t": T2T}


def contents(options, param):
    """A value, a choice or a parameter."""
    ways = [st.sampled_from(options), st.permutations(options).map(lambda some: {"choice": some[:2]})]
    return st.one_of(*ways, *([st.just(f"${param}")] if param else []))


def some_fields(fields):
    return st.fixed_dictionaries({}, optional={name: contents(*field) for name, field in fields.items()})


@st.composite
def parts(draw, kinds, shared):
    """A stem or stage of one kind, or with a mapping of alternatives."""
    names = draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=len(kinds), unique=True))
    own = {name: draw(some_fields(kinds[name])) for name in names}
    if "t2t" in own:
        own["t2t"] = {
            "kernels": [3, 3],
            "strides": [{"choice": [1, 2]}, 1],
            "token_channels": 8,
            **own["t2t"],
        }
    if len(names) == 1 and draw(st.booleans()):
        return {**shared, "kind": names[0], **own[names[0]]}
    return {**shared, "kind": own}


@st.composite
def spaces(draw):
    """Spaces in which everything can be built: 16 channels and stride 1 throughout."""
    depth = draw(contents([1, 2], "p_depth"))
    stages = draw(st.lists(parts(STAGES, {"channels": 16, "depth": depth}), min_size=1, max_size=2))
    document = {
        "name": "random",
        "image": {"channels": 3, "height": 16, "width": 16},
        "classes": 2,
        "stem": draw(parts(STEMS, {"channels": 16})),
        "stages": stages,
    }
    used = [name for name in PARAMS if f'"${name}"' in json.dumps(document)]
    return {**document, "params": {name: {"choice": PARAMS[name]} for name in used}}


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(document=spaces())
def test_the_size_of_any_small_space_is_found_by_walking(tmp_path_factory, brute_force, document):
    path = tmp_path_factory.mktemp("random") / "space.yaml"
    path.write_text(json.dumps(document))
    space = load_space(path)
    assume(space.size() <= 500)

    assert space.size() == brute_force(space)
