"""A file that is good becomes a Space that says what the file says, or the one Architecture that it describes."""

import pytest

from archsearch.architecture import Architecture
from archsearch.errors import InfeasibleError, SpaceError
from archsearch.space import load_architecture, load_space, parse_count
from archsearch.space.grammar import Choice, Reference
from archsearch.stages import ConvStage, ConvStem, Head, TokenTransformerStage

FIXED = """\
name: fixed
image: {channels: 3, height: 16, width: 12}
classes: 10
stem: {kind: conv, channels: 16}
stages:
  - {kind: conv, channels: 32, depth: 2, stride: 2}
  - {kind: token_transformer, channels: 32, depth: 1, mlp_ratio: 2, class_token: true}
head: {pool: cls}
"""
OPEN = """\
name: open
image: {channels: 1, height: 16, width: 16}
classes: 10
params:
  width: {choice: [16, 32]}
stem: {kind: {conv: {channels: $width}, patch: {channels: 8, size: {choice: [2, 4]}}}}
stages:
  - kind: conv
    channels: $width
    depth: {range: [1, 2]}
limits: {params: 5M, macs: 300000k}
study: {data: digits, trials: 24}
"""


def test_a_space_says_what_its_file_says(space_of):
    space = space_of(OPEN)
    stage = space.stages[0]

    assert (space.name, space.image.shape.tokens, space.classes) == ("open", 256, 10)
    assert space.params == {"width": Choice((16, 32))}
    assert list(space.stem.alternatives) == ["conv", "patch"]
    assert space.stem.alternatives["patch"] == {"channels": 8, "size": Choice((2, 4))}
    assert stage.alternatives == {"conv": {"channels": Reference("width"), "depth": Choice((1, 2))}}


def test_limits_may_be_written_short(space_of):
    assert space_of(OPEN).limits == {"params": 5_000_000, "macs": 300_000_000}


def test_the_part_for_the_study_is_kept_unread(space_of):
    assert list(space_of(OPEN).study.entries) == ["data", "trials"]


@pytest.mark.parametrize(
    ("written", "count"),
    [
        (7, 7),
        ("7", 7),
        ("5k", 5_000),
        ("5M", 5_000_000),
        ("1.5M", 1_500_000),
        ("2.5 G", 2_500_000_000),
        ("1T", 1_000_000_000_000),
        ("0.3M", 300_000),
        (0, None),
        (-5, None),
        ("0", None),
        ("0.1", None),
        (1.5, None),
        (True, None),
        ("5m", None),
        ("5 MB", None),
        ("-5M", None),
        ("1e6", None),
        ("M", None),
        ("", None),
        (None, None),
        ((1,), None),
    ],
)
def test_an_amount_is_a_number_above_zero_with_or_without_its_factor(written, count):
    assert parse_count(written) == count


def test_a_space_needs_neither_head_nor_limits_nor_params_nor_study(space_of):
    space = space_of(FIXED.replace("head: {pool: cls}\n", "").replace(", class_token: true", ""))

    assert (space.params, space.head, space.limits, space.study) == ({}, {}, {}, None)


def test_an_architecture_file_is_a_space_of_one_point(file_of):
    path = file_of(FIXED)

    assert load_space(path).size() == 1
    assert load_space(path).draw(seed=7) == load_architecture(path)


def test_an_architecture_says_what_its_file_says(file_of):
    architecture = load_architecture(file_of(FIXED))

    assert architecture.name == "fixed"
    assert architecture.stem == ConvStem(channels=16)
    assert architecture.stages == (
        ConvStage(channels=32, depth=2, stride=2),
        TokenTransformerStage(channels=32, depth=1, mlp_ratio=2, class_token=True),
    )
    assert architecture.head == Head(pool="cls")
    assert [str(shape) for shape in architecture.shapes()] == ["3x16x12", "16x16x12", "32x8x6", "32x8x6"]


def test_a_kind_as_the_only_alternative_is_still_left_open(file_of):
    path = file_of(FIXED.replace("{kind: conv, channels: 16}", "{kind: {conv: {channels: 16}}}"))

    with pytest.raises(SpaceError, match=r"stem\.kind: left open"):
        load_architecture(path)


def test_every_open_field_of_a_space_is_listed_where_an_architecture_is_wanted(file_of):
    with pytest.raises(SpaceError) as caught:
        load_architecture(file_of(OPEN.replace("channels: 8, size", "channels: {choice: [8, 16]}, size")))
    problems = caught.value.problems

    assert {problem.key for problem in problems} >= {
        "stem.kind",
        "stem.patch.channels",
        "stem.patch.size",
        "stages.0.depth",
    }
    assert {(problem.what, problem.remedy) for problem in problems} == {
        ("left open, and an architecture is one point", "write one value")
    }


def test_an_open_field_is_listed_with_its_line(file_of):
    path = file_of(FIXED.replace("depth: 2", "depth: {choice: [1, 2]}"))

    with pytest.raises(SpaceError) as caught:
        load_architecture(path)
    assert str(caught.value) == (
        f"{path}:6: stages.0.depth: left open, and an architecture is one point; write one value"
    )


def test_a_parameter_with_one_value_leaves_nothing_open(file_of):
    text = FIXED.replace("mlp_ratio: 2", "mlp_ratio: $ratio").replace("stem:", "params: {ratio: 2}\nstem:")

    assert load_architecture(file_of(text)).id == load_architecture(file_of(FIXED)).id


def test_an_architecture_beyond_its_own_limits_is_refused(file_of):
    with pytest.raises((InfeasibleError, SpaceError), match=r"params > 10\b"):
        load_architecture(file_of(FIXED + "limits: {params: 10}\n"))


@pytest.mark.parametrize(
    "name", ["small", "y", "no", "123", "1e5", "08", "0x1F", "2024-01-01", "null", "a.b-c_d"]
)
def test_an_architecture_of_any_name_is_read_back(file_of, name):
    architecture = load_architecture(file_of(FIXED.replace("name: fixed", f'name: "{name}"')))
    again = load_architecture(file_of(architecture.to_yaml()))

    assert (again.name, again.id) == (name, architecture.id)


@pytest.mark.parametrize("eps", [1e-12, 1e-6, 1.5e-05, 0.01])
def test_small_numbers_are_read_back_as_they_were(file_of, eps):
    architecture = load_architecture(file_of(FIXED.replace("mlp_ratio: 2", f"norm_eps: {eps}")))

    assert load_architecture(file_of(architecture.to_yaml())) == architecture


def test_an_architecture_goes_through_json_unchanged(file_of):
    architecture = load_architecture(file_of(FIXED))

    assert Architecture.model_validate_json(architecture.model_dump_json()) == architecture
