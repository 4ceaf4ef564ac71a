"""The spaces that come with the package: they load, are large, and what they hold builds and runs."""

from pathlib import Path

import pytest
import torch

from archsearch.space import load_space
from archsearch.stages import STAGE_KINDS, STEM_KINDS

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "spaces").rglob("*.yaml"))
SEARCHED = [path for path in FILES if "reference" not in path.parts]
SMALL_IMAGE = 64 * 64

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
every_space = pytest.mark.parametrize("path", SEARCHED, ids=lambda path: path.stem)


@pytest.fixture
def space(path):
    return load_space(path)


@pytest.fixture(scope="module")
def hybrid():
    return load_space(ROOT / "spaces" / "hybrid.yaml")


def own_fields(stem_or_stage, kind):
    return dict(stem_or_stage.shared) | dict(stem_or_stage.alternatives[kind])


def test_spaces_are_shipped():
    assert "hybrid" in [path.stem for path in SEARCHED]


@every_file
def test_a_shipped_file_is_named_after_its_space(path, space):
    assert space.name == path.stem


@every_space
def test_a_shipped_space_has_more_points_than_a_search_can_train(space):
    assert type(space.size()) is int
    assert space.size() > 10**4


@every_space
def test_a_shipped_space_bounds_its_costs(space):
    assert space.limits.keys() == {"params", "macs"}


@every_space
def test_ten_points_of_a_shipped_space_can_be_built(space):
    buildable = [
        architecture for architecture in space.draws(seed=0, count=60) if not architecture.problems()
    ]

    assert len({architecture.id for architecture in buildable}) >= 10


@every_space
def test_ten_feasible_draws_of_a_shipped_space_build_and_run(space):
    if space.image.shape.tokens > SMALL_IMAGE:
        pytest.skip("images over 64 pixels are left to the studies")
    torch.manual_seed(0)
    images = torch.randn(2, space.image.channels, space.image.height, space.image.width)
    for architecture in (space.draw(seed) for seed in range(10)):
        network = architecture.build().eval()
        with torch.inference_mode():
            logits = network(images)

        assert not space.violations(architecture)
        assert logits.shape == (2, space.classes)
        assert logits.isfinite().all()


def test_hybrid_leaves_every_kind_of_stem_open(hybrid):
    assert hybrid.stem.alternatives.keys() == STEM_KINDS.keys()


def test_hybrid_leaves_every_kind_open_in_at_least_three_stages(hybrid):
    assert len(hybrid.stages) >= 3
    assert all(stage.alternatives.keys() == STAGE_KINDS.keys() for stage in hybrid.stages)


def test_hybrid_leaves_the_kernels_and_strides_of_the_soft_splits_open(hybrid):
    assert {"stem.t2t.kernels", "stem.t2t.strides"} <= set(hybrid.open_fields())


def test_hybrid_has_the_size_that_its_choices_multiply_to(hybrid):
    stem = 3 * 2 + 3 * 2 + 2 * 3 * 3 * 2 * 2  # conv, patch, t2t
    # In each stage: convolutions, attentions and token transformers; the last share one of two ratios.
    local_and_mhsa = [3 * 2 + 2 * 2, 2 * 2 + 2 * 2, 2 + 2 * 2]
    tokens = [2 * 2, 2 * 2, 2]
    shared = (3 * 2) * (3 * 3 * 2) * (3 * 3 * 2)  # channels, depth and stride
    without = local_and_mhsa[0] * local_and_mhsa[1] * local_and_mhsa[2]
    every = (
        (local_and_mhsa[0] + tokens[0]) * (local_and_mhsa[1] + tokens[1]) * (local_and_mhsa[2] + tokens[2])
    )

    assert hybrid.size() == stem * shared * (without + 2 * (every - without))
