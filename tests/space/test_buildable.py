"""Dead ends are refused at loading; what only some combinations cannot build is left to the draws."""

import json
import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from archsearch.space import load_space, read_document
from archsearch.space.buildable import dead_ends
from archsearch.space.load import Reader

HEADER = "name: small\nimage: {channels: 3, height: 16, width: 16}\nclasses: 10\n"
CONV_STEM = "stem: {kind: conv, channels: 16}\n"


def with_stages(*stages, stem=CONV_STEM):
    return HEADER + stem + "stages:\n" + "".join(f"  - {{{stage}}}\n" for stage in stages)


# Each has points that cannot be built, and no option that never can.
PARTLY_INFEASIBLE = {
    "heads of some widths": with_stages(
        "kind: token_transformer, channels: {choice: [16, 24]}, depth: 1, heads: {choice: [3, 4, 16]}"
    ),
    "kernels behind some strides": with_stages(
        "kind: conv, channels: 16, depth: 2, stride: {choice: [1, 8]}, kernel: {choice: [1, 3, 9]}",
        "kind: conv, channels: 16, depth: 1, kernel: {choice: [1, 5]}",
    ),
    "direct entries behind some widths": with_stages(
        "kind: conv, channels: {choice: [16, 32]}, depth: 1",
        "kind: token_transformer, channels: {choice: [16, 32]}, depth: 1, entry: {choice: [split, direct]}",
    ),
    "alternatives behind some stems": with_stages(
        "channels: 16, depth: 1, kind: {conv: {kernel: 9}, mhsa: {heads: 2}}",
        stem="stem: {kind: {conv: {channels: 16}, patch: {channels: 16, size: 8}}}\n",
    ),
    "heads without a token": with_stages(
        "kind: token_transformer, channels: 16, depth: 1, class_token: {choice: [true, false]}"
    )
    + "head: {pool: {choice: [mean, cls]}}\n",
    "tokens of a stage's own behind each other": with_stages(
        "kind: token_transformer, channels: 16, depth: 1, class_token: {choice: [true, false]}, "
        "distillation_token: {choice: [true, false]}"
    )
    + "head: {pool: {choice: [mean, cls, distilled]}}\n",
    "strides of some maps": with_stages(
        "kind: conv, channels: 16, depth: 1, stride: {choice: [1, 4]}",
        "kind: mhsa, channels: 16, depth: 1, stride: {choice: [2, 8]}",
    ),
    "windows of some maps": with_stages(
        "kind: conv, channels: 16, depth: 1, stride: {choice: [1, 8]}",
        "kind: token_transformer, channels: 16, depth: 1, split_kernel: 3, stride: {choice: [2, 3]}",
    ),
    "kernels and strides of different lengths": with_stages(
        "kind: conv, channels: 16, depth: 1",
        stem="stem: {kind: t2t, channels: 16, kernels: {choice: [[3, 3], [3, 3, 3]]}, "
        "strides: {choice: [[2, 1], [2, 1, 1]]}, token_channels: 8}\n",
    ),
}


@pytest.mark.parametrize("text", PARTLY_INFEASIBLE.values(), ids=PARTLY_INFEASIBLE.keys())
def test_a_partly_infeasible_space_loads_and_draws_only_what_can_be_built(space_of, text):
    space = space_of(text)
    sampled = [bool(architecture.problems()) for architecture in space.draws(seed=0, count=60)]
    drawn = [space.draw(seed) for seed in range(60)]

    assert True in sampled
    assert False in sampled
    assert not any(architecture.problems() for architecture in drawn)


@pytest.mark.parametrize("text", PARTLY_INFEASIBLE.values(), ids=PARTLY_INFEASIBLE.keys())
def test_what_is_drawn_builds(space_of, text):
    architecture = space_of(text).draw(seed=1)

    assert architecture.build().architecture == architecture


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        (
            with_stages(
                "kind: token_transformer, channels: {choice: [16, 24]}, depth: 1, heads: {choice: [4, 5]}"
            ),
            "stages.0.heads",
            "the option 5 can never be built: 5 heads do not divide the stage's channels of 16",
        ),
        (
            with_stages("kind: conv, channels: 16, depth: 1, kernel: {choice: [3, 4]}"),
            "stages.0.kernel",
            "the option 4 can never be built: 4 is even and has no centre",
        ),
        (
            with_stages(
                "kind: conv, channels: 16, depth: 1, stride: {choice: [4, 8]}",
                "kind: conv, channels: 16, depth: 1, kernel: {choice: [3, 5]}",
            ),
            "stages.1.kernel",
            "the option 5 can never be built: 5 is larger than the 4x4 map that arrives here",
        ),
        (
            with_stages(
                "kind: conv, channels: 16, depth: 1",
                stem="stem: {kind: t2t, channels: 16, strides: [2, 1], "
                "kernels: {choice: [[3, 3], [3, 3, 3]]}}\n",
            ),
            "stem.kernels",
            "the option [3, 3, 3] can never be built: 3 kernels and 2 strides",
        ),
        (
            "params: {size: {choice: [4, 32]}}\n"
            + with_stages(
                "kind: conv, channels: 16, depth: 1", stem="stem: {kind: patch, channels: 16, size: $size}\n"
            ),
            "stem.size",
            "the option 32 can never be built: 32 is larger than the 16x16 map that arrives here",
        ),
        (
            with_stages(
                "kind: conv, channels: 16, depth: 1, stride: 8",
                "kind: conv, channels: 16, depth: 1, kernel: {choice: [3, 5]}",
            ),
            "stages.1.kernel",
            "the option 5 can never be built: 5 is larger than the 2x2 map that arrives here",
        ),
        (
            with_stages(
                "kind: conv, channels: 16, depth: 1, stride: 8",
                "kind: mhsa, channels: 16, depth: 1, stride: {choice: [2, 4]}",
            ),
            "stages.1.stride",
            "the option 4 can never be built: 4 is larger than the 2x2 map that arrives here",
        ),
        (
            with_stages(
                "kind: conv, channels: 16, depth: 1, stride: 8",
                "kind: token_transformer, channels: 16, depth: 1, stride: {choice: [2, 3]}",
            ),
            "stages.1.stride",
            "the option 3 can never be built: no window of 3 at stride 3 fits into the 2x2 map",
        ),
    ],
    ids=[
        "heads",
        "even kernel",
        "kernel on the map",
        "list",
        "parameter",
        "kernel on a small map",
        "stride",
        "window",
    ],
)
def test_an_option_that_nothing_can_be_built_with_is_refused(refusal_of, text, key, what):
    first = refusal_of(text).problems[0]

    assert first.key == key
    assert first.what.startswith(what)


def test_an_option_that_works_on_one_arriving_map_is_left_alone(space_of):
    text = with_stages(
        "kind: conv, channels: 16, depth: 1, stride: {choice: [2, 8]}",
        "kind: conv, channels: 16, depth: 1, kernel: {choice: [1, 7]}",
    )

    assert space_of(text).size() == 4


def test_a_distillation_token_is_refused_where_no_class_token_can_stand_beside_it(refusal_of):
    text = with_stages(
        "kind: token_transformer, channels: 16, depth: 1, distillation_token: {choice: [true, false]}"
    )
    (only,) = refusal_of(text).problems

    assert only.key == "stages.0.distillation_token"
    assert only.what.endswith("can never be built: a distillation token without a class token")


def test_a_distilled_head_needs_a_last_stage_that_may_carry_its_token(refusal_of, space_of):
    stage = "kind: token_transformer, channels: 16, depth: 1, class_token: true"
    head = "head: {pool: {choice: [cls, distilled]}}\n"
    (only,) = refusal_of(with_stages(stage) + head).problems

    assert (only.key, only.what) == ("head.pool", "no last stage of this space carries a distillation token")
    assert space_of(with_stages(stage + ", distillation_token: {choice: [true, false]}") + head).size() == 4


@pytest.mark.parametrize("token", ["class_token", "distillation_token"])
def test_a_token_before_the_last_stage_is_refused_though_it_is_one_of_two_options(refusal_of, token):
    tokens = "kind: token_transformer, channels: 16, depth: 1"
    both = f"{tokens}, class_token: false, {token}: {{choice: [true, false]}}"
    if token == "class_token":
        both = f"{tokens}, {token}: {{choice: [true, false]}}"

    found = refusal_of(with_stages(both, tokens)).problems

    assert (f"stages.0.{token}", "a stage follows that has no use for it") in [(p.key, p.what) for p in found]


def test_what_follows_a_part_that_cannot_be_built_is_not_judged(refusal_of):
    text = with_stages(
        "kind: conv, channels: 16, depth: 1, kernel: 99", "kind: conv, channels: 16, depth: 1, kernel: 99"
    )
    (only,) = refusal_of(text).problems

    assert only.key == "stages.0.kernel"


def test_an_alternative_that_can_never_be_built_is_refused_though_others_can(refusal_of):
    text = with_stages("channels: 16, depth: 1, kind: {conv: {}, mhsa: {heads: 3}}")
    (only,) = refusal_of(text).problems

    assert only.key == "stages.0.mhsa.heads"


def test_an_option_that_all_alternatives_share_is_good_if_one_of_them_can_be_built_with_it(space_of):
    # 16 heads divide 16 channels and not 24, but a convolution takes either width.
    text = with_stages(
        "channels: {choice: [16, 24]}, depth: 1, kind: {conv: {}, token_transformer: {heads: 16}}"
    )

    assert {space_of(text).draw(seed).stages[0].channels for seed in range(20)} == {16, 24}


# ``strides`` (4, 1) and (1, 4) leave pixels out behind kernels of 3; (1, 1) and nothing else works.
OPEN_ITEMS = "stem: {kind: t2t, channels: 16, kernels: [3, 3], token_channels: 8, strides: [%s, %s]}\n"


def test_items_of_a_list_are_tried_in_every_combination(space_of):
    text = with_stages(
        "kind: conv, channels: 16, depth: 1",
        stem=OPEN_ITEMS % ("{choice: [1, 4]}", "{choice: [4, 1]}"),
    )

    assert space_of(text).draw(seed=0).stem.strides == (1, 1)


def test_a_later_stage_is_judged_on_the_maps_of_every_combination_of_items(space_of):
    # Behind strides (1, 4) the map is 4 wide, behind (1, 1) it is 16, and (4, ...) cannot be built: 7 fits behind (1, 1).
    text = with_stages(
        "kind: conv, channels: 16, depth: 1, kernel: {choice: [3, 7]}",
        stem=OPEN_ITEMS.replace("16, kernels: [3, 3]", "16, kernels: [5, 5]")
        % ("{choice: [1, 4]}", "{choice: [4, 1]}"),
    )

    assert {space_of(text).draw(seed).stages[0].kernel for seed in range(20)} == {3, 7}


def test_attention_over_too_many_tokens_is_refused_before_torch_is_asked(refusal_of):
    text = with_stages("kind: token_transformer, channels: 16, depth: 1").replace(
        "height: 16, width: 16", "height: 1024, width: 1024"
    )
    (only,) = refusal_of(text).problems

    assert only.what == "attention over the 1024x1024 map would compare 1048576 tokens"


def test_a_space_with_too_many_combinations_to_try_is_loaded_unjudged(file_of):
    # 100 channels x 50 depths x 16 expansions are more than the 50,000 that are tried; the kernel is not looked at.
    text = with_stages(
        "kind: conv, channels: {range: [101, 200]}, depth: {range: [1, 50]}, "
        "expansion: {range: [1, 16]}, kernel: {choice: [3, 4]}"
    )

    assert load_space(file_of(text)).size() == 100 * 50 * 16 * 2


# ---- small random spaces, of which much cannot be built ----------------------------------------------------------


def either(*options):
    return st.lists(st.sampled_from(options), min_size=1, max_size=2, unique=True).map(
        lambda some: {"choice": some}
    )


SHARED = st.fixed_dictionaries(
    {"channels": either(8, 12), "depth": either(1, 2)}, optional={"stride": either(1, 2, 4)}
)
KINDS = {
    "conv": st.fixed_dictionaries({}, optional={"kernel": either(1, 3, 5, 9), "groups": either(1, 2, 3)}),
    "mhsa": st.fixed_dictionaries(
        {}, optional={"heads": either(1, 2, 3), "expansion": either(0.25, 0.3, 0.5)}
    ),
    "token_transformer": st.fixed_dictionaries(
        {},
        optional={"heads": either(2, 3), "entry": either("split", "direct"), "split_kernel": either(1, 3, 5)},
    ),
}
STAGE = st.builds(
    lambda shared, kinds: {**shared, "kind": kinds},
    SHARED,
    st.lists(st.sampled_from(sorted(KINDS)), min_size=1, unique=True).flatmap(
        lambda kinds: st.fixed_dictionaries({kind: KINDS[kind] for kind in kinds})
    ),
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    patch=either(1, 2, 4, 9),
    stages=st.lists(STAGE, min_size=1, max_size=2),
)
def test_what_is_called_a_dead_end_is_in_no_buildable_architecture(
    tmp_path_factory, every_way, patch, stages
):
    path = tmp_path_factory.mktemp("random") / "space.yaml"
    image = {"channels": 3, "height": 8, "width": 8}
    stem = {"kind": "patch", "channels": 8, "size": patch}
    path.write_text(
        json.dumps({"name": "random", "image": image, "classes": 2, "stem": stem, "stages": stages})
    )
    reader = Reader(read_document(path))
    space = reader.space()
    assume(not reader.problems)
    assume(space.size() <= 1_500)
    buildable = [taken for architecture, taken in every_way(space) if not architecture.problems()]
    options = {(place, str(option)) for taken in buildable for place, option in taken.items()}

    for problem in dead_ends(space):
        place, option = problem.key, re.match(r"the option (\S+) can never", problem.what)
        if option:
            assert (place, option[1]) not in options
        else:
            part, kind = re.fullmatch(
                r"(stem|stages\.\d)\.?(conv|mhsa|token_transformer)?\..*", place
            ).groups()
            assert not buildable if part == "stem" else (f"{part}.kind", kind) not in options
