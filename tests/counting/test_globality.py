"""Globality is the docstring's formula; its extremes and its published figures are reached."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archsearch.architecture import Architecture, Image
from archsearch.counting import family, global_depth, global_tokens, globality, mean_reach, reach
from archsearch.stages import ConvStage, ConvStem, MHSAStage, Mixer, PatchStem, T2TStem, TokenTransformerStage

CONV = ConvStage(channels=8, depth=1)
CONV_1X1 = ConvStage(channels=8, depth=1, kernel=1)
MHSA = MHSAStage(channels=8, depth=1, heads=2)
TOKENS = TokenTransformerStage(channels=8, depth=1, entry="direct", heads=2)
NO_STEM_MIXING = ConvStem(channels=8, kernel=1)
CONV_STEM = ConvStem(channels=8, kernel=3, stride=2)


def network(stem, *stages):
    image = Image(channels=3, height=16, width=12)
    return Architecture(image=image, classes=10, stem=stem, stages=stages)


def brute_force(height, width, kernel):
    """The formula, by a loop over all pairs of places; a window leans down and right if it is even."""
    before, after = (kernel - 1) // 2, kernel // 2
    places = [(y, x) for y in range(height) for x in range(width)]
    ratios = []
    for y, x in places:
        everywhere = [math.dist((y, x), place) for place in places]
        window = [
            math.dist((y, x), (y2, x2))
            for y2, x2 in places
            if -before <= y2 - y <= after and -before <= x2 - x <= after
        ]
        ratios.append((sum(window) / len(window)) / (sum(everywhere) / len(everywhere)))
    return min(1.0, sum(ratios) / len(ratios))


def test_a_window_of_one_place_reaches_nothing():
    assert reach(Mixer(56, 56, 1)) == 0


def test_attention_reaches_everything():
    assert reach(Mixer(56, 56, None)) == 1


@pytest.mark.parametrize(("size", "published"), [(56, 0.038), (7, 0.290)])
def test_a_3x3_convolution_reaches_what_the_docstring_says(size, published):
    assert reach(Mixer(size, size, 3)) == pytest.approx(published, abs=5e-4)


def test_a_3x3_window_in_a_row_of_three_by_hand():
    end_sees_itself_and_one, middle_sees_all = (0 + 1) / 2, (1 + 0 + 1) / 3
    from_an_end, from_the_middle = (0 + 1 + 2) / 3, (1 + 0 + 1) / 3

    ratios = [
        end_sees_itself_and_one / from_an_end,
        middle_sees_all / from_the_middle,
        end_sees_itself_and_one / from_an_end,
    ]

    assert reach(Mixer(1, 3, 3)) == pytest.approx(sum(ratios) / 3)


def test_a_2x2_window_in_a_row_of_three_by_hand():
    sees_itself_and_the_next, last_sees_itself = (0 + 1) / 2, 0
    from_an_end, from_the_middle = (0 + 1 + 2) / 3, (1 + 0 + 1) / 3

    ratios = [
        sees_itself_and_the_next / from_an_end,
        sees_itself_and_the_next / from_the_middle,
        last_sees_itself / from_an_end,
    ]

    assert reach(Mixer(1, 3, 2)) == pytest.approx(sum(ratios) / 3)


@pytest.mark.parametrize(("height", "width"), [(7, 7), (3, 5), (1, 6)])
def test_a_window_that_covers_the_map_from_everywhere_is_attention(height, width):
    covering = 2 * max(height, width) - 1

    assert reach(Mixer(height, width, covering)) == pytest.approx(1)


def test_on_a_single_place_there_is_nowhere_to_go():
    assert reach(Mixer(1, 1, 3)) == 0


@settings(max_examples=150, deadline=None, derandomize=True)
@given(height=st.integers(1, 6), width=st.integers(1, 6), kernel=st.integers(1, 13))
def test_a_window_reaches_what_the_formula_says(height, width, kernel):
    assume(height * width > 1)

    assert reach(Mixer(height, width, kernel)) == pytest.approx(brute_force(height, width, kernel), abs=1e-9)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(height=st.integers(1, 40), width=st.integers(1, 40), kernel=st.integers(1, 80))
def test_a_larger_window_of_the_same_parity_reaches_further(height, width, kernel):
    smaller, larger = reach(Mixer(height, width, kernel)), reach(Mixer(height, width, kernel + 2))

    assert 0 <= smaller <= larger + 1e-9 <= 1 + 1e-9


def test_globality_is_the_mean_reach_of_the_mixers():
    architecture = network(CONV_STEM, CONV, MHSA)

    stem, convolution, attention = brute_force(16, 12, 3), brute_force(8, 6, 3), 1

    assert globality(architecture) == pytest.approx((stem + convolution + attention) / 3)


def test_a_deep_stem_and_a_3x3_shortcut_are_mixers_that_count():
    """The chain's two later convolutions stand behind the stride; the shortcut at the map that arrives."""
    stem = ConvStem(channels=8, stride=2, hidden_channels=(4, 6))
    architecture = network(stem, MHSAStage(channels=16, depth=1, stride=2, shortcut="conv3x3"))

    chain = brute_force(16, 12, 3) + 2 * brute_force(8, 6, 3)
    shortcut, attention = brute_force(8, 6, 3), 1

    assert globality(architecture) == pytest.approx((chain + shortcut + attention) / 5)


def test_a_3x3_shortcut_is_no_global_mixer_and_changes_no_family():
    plain, wide = (MHSAStage(channels=16, depth=1, shortcut=name) for name in ("conv1x1", "conv3x3"))

    assert (
        family(network(CONV_STEM, CONV, wide)) == family(network(CONV_STEM, CONV, plain)) == "global-from-1"
    )


def test_the_mean_reach_of_some_mixers():
    near, far = Mixer(16, 12, 3), Mixer(8, 6, None)

    assert mean_reach([near, far, far]) == pytest.approx((brute_force(16, 12, 3) + 2) / 3)
    assert mean_reach([]) == 0


def test_a_network_that_mixes_nothing_has_no_globality():
    assert globality(network(NO_STEM_MIXING, CONV_1X1)) == 0


def test_a_network_that_only_attends_is_all_global():
    assert globality(network(NO_STEM_MIXING, MHSA, TOKENS)) == 1


@pytest.mark.parametrize("swapped", range(4))
def test_attention_in_place_of_a_convolution_raises_globality(swapped):
    stages = [CONV] * 4
    with_attention = [*stages[:swapped], MHSA, *stages[swapped + 1 :]]

    before, behind = (globality(network(CONV_STEM, *kinds)) for kinds in (stages, with_attention))

    assert behind > before


some_stages = st.lists(
    st.one_of(
        st.builds(
            ConvStage,
            channels=st.just(8),
            depth=st.integers(1, 3),
            kernel=st.sampled_from([1, 3, 5]),
            block=st.sampled_from(["basic", "bottleneck"]),
        ),
        st.just(MHSA),
        st.just(TOKENS),
    ),
    min_size=1,
    max_size=5,
)
some_stems = st.sampled_from([CONV_STEM, NO_STEM_MIXING, PatchStem(channels=8, size=2)])


@settings(max_examples=50, deadline=None, derandomize=True)
@given(stem=some_stems, stages=some_stages)
def test_every_figure_keeps_its_range(stem, stages):
    architecture = network(stem, *stages)

    depth, tokens = global_depth(architecture), global_tokens(architecture)

    assert 0 <= globality(architecture) <= 1
    assert (depth is None) == (tokens is None) == (family(architecture) == "all-local")
    assert depth is None or 0 <= depth <= 1


# --- where the global mixers sit ------------------------------------------------------------------


def test_global_depth_is_zero_if_the_first_mixer_alone_is_global():
    assert global_depth(network(NO_STEM_MIXING, MHSA, CONV, CONV)) == 0


def test_global_depth_is_one_if_the_last_mixer_alone_is_global():
    assert global_depth(network(CONV_STEM, CONV, CONV, MHSA)) == 1


def test_global_depth_is_the_mean_place_of_the_global_mixers():
    architecture = network(CONV_STEM, CONV, MHSA, CONV, MHSA)

    places, last = [2, 4], 4

    assert global_depth(architecture) == sum(places) / len(places) / last


def test_a_network_without_global_mixers_has_no_global_depth():
    assert global_depth(network(CONV_STEM, CONV)) is None


def test_global_tokens_are_those_of_the_first_global_grid():
    strided = MHSAStage(channels=8, depth=2, heads=2, stride=2)

    assert global_tokens(network(CONV_STEM, CONV, strided, TOKENS)) == 8 * 6


def test_the_token_layers_of_a_stem_are_global_too():
    stem = T2TStem(channels=8, kernels=(3, 3), strides=(2, 2))

    assert global_tokens(network(stem, CONV)) == 8 * 6


def test_a_network_without_global_mixers_has_no_global_tokens():
    assert global_tokens(network(CONV_STEM, CONV)) is None


# --- families -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stages", "name"),
    [
        ([CONV, CONV], "all-local"),
        ([TOKENS, TOKENS], "all-global"),
        ([MHSA, MHSA], "all-global"),
        ([MHSA, TOKENS], "all-global"),
        ([CONV, MHSA], "global-from-1"),
        ([CONV, CONV, MHSA, TOKENS], "global-from-2"),
        ([MHSA, CONV], "mixed"),
        ([CONV, MHSA, CONV, TOKENS], "mixed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(stage.kind for stage in value),
)
def test_a_family_is_named_by_where_the_global_stages_stand(stages, name):
    assert family(network(CONV_STEM, *stages)) == name


@pytest.mark.parametrize(
    "stem", [CONV_STEM, PatchStem(channels=8, size=2), T2TStem(channels=8, kernels=(3, 3), strides=(2, 2))]
)
def test_a_stem_changes_no_family(stem):
    assert family(network(stem, CONV)) == "all-local"
