"""References: architectures that a space names, which must be points of it."""

import random

import pytest

from archsearch.errors import ArchitectureError, SpaceError
from archsearch.space import choices_for, load_architecture, load_space
from archsearch.trial import RandomTrial

SPACE = """\
name: small
image: {channels: 3, height: 32, width: 32}
classes: 10
params:
  ratio: {choice: [2, 4]}
  width: {choice: [16, 24]}
stem:
  kind:
    conv: {channels: {choice: [8, 16]}}
    t2t: {channels: 16, kernels: [{choice: [3, 5]}, 3], strides: [2, 1], attention: {choice: [softmax, performer]},
          features: {choice: [8, 16]}}
stages:
  - channels: $width
    depth: {range: [1, 3]}
    kind:
      conv: {kernel: {choice: [3, 5]}, block: {choice: [basic, bottleneck]}, expansion: {choice: [0.25, 0.5]}}
      token_transformer: {heads: 2, mlp_ratio: $ratio}
  - {kind: token_transformer, channels: $width, depth: 1, heads: {choice: [2, 4]}, mlp_ratio: $ratio, class_token: true}
head: {pool: {choice: [mean, cls]}}
limits: {params: 1M}
"""
POINT = """\
name: known
image: {channels: 3, height: 64, width: 48}
classes: 1000
stem: {kind: conv, channels: 16}
stages:
  - {kind: conv, channels: 24, depth: 2, kernel: 5}
  - {kind: token_transformer, channels: 24, depth: 1, mlp_ratio: 2, class_token: true}
head: {pool: cls}
"""


class Fixed:
    def __init__(self, choices):
        self.choices = choices

    def suggest_categorical(self, name, choices, /):
        assert self.choices[name] in choices
        return self.choices[name]


@pytest.fixture
def named(tmp_path):
    """A space file that names one reference, beside the reference."""

    def written(point=POINT, space=SPACE, references="[known.yaml]"):
        (tmp_path / "known.yaml").write_text(point)
        path = tmp_path / "space.yaml"
        path.write_text(f"{space}references: {references}\n")
        return path

    return written


@pytest.mark.parametrize("seed", range(60))
def test_every_point_is_found_again_by_its_choices(space_of, seed):
    space = space_of(SPACE)
    point = space.sample(RandomTrial(random.Random(seed)))

    again = space.sample(Fixed(choices_for(space, point)))

    assert again.id == point.id


def test_a_reference_takes_the_image_and_the_classes_of_the_space(named):
    (reference,) = load_space(named()).references

    assert (reference.name, reference.image.height, reference.classes) == ("known", 32, 10)


def test_references_change_nothing_about_what_may_be_built(named, tmp_path):
    plain = tmp_path / "plain.yaml"
    plain.write_text(SPACE)

    assert load_space(named()).fingerprint == load_space(plain).fingerprint


NO_POINT = {
    "another kind": ("kind: conv, channels: 24, depth: 2, kernel: 5", "kind: mhsa, channels: 24, depth: 2, heads: 2", "stages.0.kind is mhsa"),
    "an option that is not offered": ("kernel: 5", "kernel: 7", "stages.0.kernel is 7, and small has 3, 5"),
    "a default that differs": ("depth: 2, kernel: 5", "depth: 2, kernel: 5, groups: 2", "stages.0.groups is 2"),
    "a parameter with two values": ("channels: 24, depth: 1", "channels: 16, depth: 1", "stages.1.channels is 16, and small has 24 ($width)"),
    "a stage less": ("  - {kind: conv, channels: 24, depth: 2, kernel: 5}\n", "", "stages are 1, and small has 2 stages"),
    "another head": ("pool: cls", "pool: distilled", "cannot be"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "words"), NO_POINT.values(), ids=NO_POINT.keys())
def test_a_reference_that_is_no_point_names_the_first_field_that_differs(named, before, after, words):
    assert before in POINT

    with pytest.raises(SpaceError) as caught:
        load_space(named(POINT.replace(before, after)))

    (line,) = caught.value.lines()
    assert f"{len(SPACE.splitlines()) + 1}: references.0: known.yaml" in line
    assert words in line


BAD_LISTS = {
    "no list": ("known.yaml", "references: is a list"),
    "no file": ("[gone.yaml]", "references.0: gone.yaml cannot be read"),
    "a number": ("[7]", "references.0: 7 is no file name"),
    "the same network twice": ("[known.yaml, ./known.yaml]", "references.1: ./known.yaml is the same network"),
    "itself": ("[space.yaml]", "references.0: space.yaml cannot be read: "),
}  # fmt: skip


@pytest.mark.parametrize(("references", "words"), BAD_LISTS.values(), ids=BAD_LISTS.keys())
def test_a_bad_list_of_references_is_told(named, references, words):
    with pytest.raises(SpaceError) as caught:
        load_space(named(references=references))

    assert words in str(caught.value)


def test_a_reference_beyond_the_limits_is_told(named):
    with pytest.raises(SpaceError) as caught:
        load_space(named(space=SPACE.replace("params: 1M", "params: 1k")))

    assert "references.0: known.yaml is beyond the limits: params > 1,000" in str(caught.value)


def test_a_meaningless_field_does_not_keep_a_network_out(space_of, tmp_path):
    path = tmp_path / "basic.yaml"
    path.write_text(POINT.replace("kernel: 5", "kernel: 5, block: basic, expansion: 0.125"))
    space, point = space_of(SPACE), load_architecture(path)

    choices = choices_for(space, point)

    assert choices["stages.0.conv.block"] == "basic"
    assert choices["stages.0.conv.expansion"] == 0.25


def test_choices_for_says_what_to_do(space_of, tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text(POINT.replace("kernel: 5", "kernel: 1"))

    with pytest.raises(ArchitectureError) as caught:
        choices_for(space_of(SPACE), load_architecture(path))

    assert str(caught.value) == (
        "known: stages.0.kernel: is 1, and small has 3, 5; open the space to it, or leave it out"
    )


def test_published_figures_are_read_as_amounts(tmp_path):
    path = tmp_path / "known.yaml"
    path.write_text(POINT + 'published: {params: 25.6M, macs: 4.1G, top1: 0.761, source: "a paper"}\n')

    published = load_space(path).published

    assert (published.params, published.macs, published.top1) == (25_600_000, 4_100_000_000, 0.761)


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ("{params: many, source: x}", "published.params: many is text"),
        ("{params: 5M}", "published.source: missing"),
        ("{top1: 76.1, source: x}", "published.top1: 76.1 is too large"),
        ("{flops: 5M, source: x}", "published.flops"),
    ],
)
def test_bad_published_figures_are_told(tmp_path, figures, words):
    path = tmp_path / "known.yaml"
    path.write_text(f"{POINT}published: {figures}\n")

    with pytest.raises(SpaceError) as caught:
        load_space(path)

    assert words in str(caught.value)


def test_a_space_of_many_networks_has_no_published_figures(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(SPACE + "published: {params: 5M, source: x}\n")

    with pytest.raises(SpaceError) as caught:
        load_space(path)

    assert "published: belongs to one network, and values are left open here; remove it" in str(caught.value)
