"""Zero-cost scores: by hand on networks of two units, and defined for everything that a space can hold."""

import dataclasses
import math
from pathlib import Path

import examples
import pytest
import torch
from examples import one_of_each
from torch import nn

from archsearch import load_space
from archsearch.architecture import Architecture, Image, seeded_network
from archsearch.errors import DataError, FailedTrialError
from archsearch.proxy.zero_cost import (
    ZeroCostScores,
    agreement_kernel,
    block_stretches,
    by_place,
    linear_flow,
    nwot,
    nwot_per_image,
    residual_blocks,
    stretch,
    synflow,
    trainability,
    zero_cost_scores,
)
from archsearch.shapes import FeatureShape
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
from archsearch.stages.mixer_paths import find_mixer_paths, paths_in_sum
from archsearch.stages.residual import Residual

CPU = torch.device("cpu")
SPACES = sorted((Path(__file__).parents[2] / "spaces").glob("*.yaml"))
DOT = FeatureShape(2, 1, 1)
STEMS = {
    **one_of_each(examples.STEMS),
    "conv": ConvStem(channels=16, stride=2, pool="max"),
    "patch": PatchStem(channels=16, size=4),
    "t2t": T2TStem(channels=16, kernels=(3, 3), strides=(2, 2), token_channels=8),
    "t2t, softmax": T2TStem(
        channels=16, kernels=(3, 3), strides=(2, 2), token_channels=8, attention="softmax"
    ),
}
STAGES = {
    **one_of_each(examples.STAGES),
    "conv": ConvStage(channels=32, depth=2, stride=2),
    "conv, basic": ConvStage(channels=16, depth=2, block="basic", shortcut="avgpool_conv1x1"),
    "conv, silu": ConvStage(
        channels=32, depth=1, stride=3, shortcut="conv3x3", shortcut_activation=True, activation="silu"
    ),
    "mhsa": MHSAStage(channels=32, depth=2, stride=2),
    "mhsa, article": MHSAStage(channels=16, depth=2, heads=1, position="article", qkv_bias=True),
    "mhsa, no position": MHSAStage(channels=16, depth=1, position="none", activation="gelu"),
    "token_transformer": TokenTransformerStage(channels=32, depth=2, stride=2),
    "token_transformer, direct": TokenTransformerStage(
        channels=16, depth=1, entry="direct", position="sinusoid"
    ),
    "token_transformer, own tokens": TokenTransformerStage(
        channels=16, depth=2, class_token=True, distillation_token=True
    ),
}
every_space = pytest.mark.parametrize("file", SPACES, ids=lambda file: file.stem)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def architecture(stem="conv", *stages, head="mean", size=32) -> Architecture:
    parts = tuple(STAGES[stage] for stage in stages or ("conv",))
    return Architecture(
        image=Image(channels=3, height=size, width=size),
        classes=10,
        stem=STEMS[stem],
        stages=parts,
        head=Head(pool=head),
    )


def noise(count=16, channels=3, size=32, seed=0) -> torch.Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def scores(of=None, images=None, seed=0) -> ZeroCostScores:
    images = noise() if images is None else images
    return zero_cost_scores(of or architecture(), images, seed=seed, device=CPU)


def assert_defined(found):
    assert all(math.isfinite(value) for value in dataclasses.astuple(found))
    assert found.units > 0
    assert found.blocks > 0
    assert found.nwot >= 0
    assert found.nwot_per_image <= 0
    assert found.trainability <= 1e-5


def linear(*rows) -> nn.Linear:
    """A linear layer without bias, with these weights."""
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight.data = torch.tensor(rows, dtype=torch.float32)
    return layer


def points(*coordinates) -> torch.Tensor:
    """Each pair as an image of two channels and one pixel."""
    return torch.tensor(coordinates, dtype=torch.float32).reshape(-1, 2, 1, 1)


def on(activation) -> nn.Module:
    """Two units of ``activation``, whose inputs are the two channels."""
    return nn.Sequential(nn.Flatten(), linear([1, 0], [0, 1]), activation)


# nwot


@pytest.mark.parametrize(
    "activation", [nn.ReLU(inplace=True), nn.SiLU(), nn.GELU(), nn.GELU("tanh")], ids=str
)
def test_the_kernel_counts_the_bits_in_which_two_codes_agree(activation):
    kernel = agreement_kernel(on(activation), points([1, 1], [1, -1], [-1, -1]))

    # Codes 11, 10, 00: the first and the second differ in one bit of two, the first and the third in both.
    assert kernel.tolist() == [[2, 1, 0], [1, 2, 1], [0, 1, 2]]


def test_nwot_is_the_logarithm_of_the_kernel_s_determinant_with_one_bit_more_for_each_image():
    kernel = agreement_kernel(on(nn.ReLU()), points([1, 1], [1, -1], [-1, -1]))

    # |3 1 0|
    # |1 3 1| = 3 (9 - 1) - 1 (3 - 0) = 21
    # |0 1 3|
    assert nwot(kernel) == pytest.approx(math.log(21))
    # Shares of 3 bits: 21 / 3^3 for three images.
    assert nwot_per_image(kernel) == pytest.approx(math.log(21 / 27) / 3)


def test_images_that_no_unit_tells_apart_leave_only_their_own_bits():
    kernel = agreement_kernel(on(nn.ReLU()), points([1, 1], [2, 3]))

    # |3 2|
    # |2 3| = 5, where the paper's kernel has the determinant 0
    assert nwot(kernel) == pytest.approx(math.log(5))


def test_an_input_of_zero_is_not_above_zero():
    kernel = agreement_kernel(on(nn.ReLU()), points([0, 0], [-1, -1]))

    assert kernel.tolist() == [[2, 2], [2, 2]]


def test_codes_that_are_fair_coins_come_to_the_value_in_the_manual():
    coins = torch.randn(64, 20_000, 1, 1)
    kernel = agreement_kernel(nn.Sequential(nn.ReLU()), coins)

    # Half the bits agree, K / N = (1 + J) / 2: eigenvalues (64 + 1) / 2 once and 1 / 2 63 times.
    expected = (math.log(65 / 2) - 63 * math.log(2)) / 64
    assert nwot_per_image(kernel) == pytest.approx(expected, abs=0.005)


def test_nwot_knows_no_positive_scale_of_the_images_where_nothing_has_a_bias():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 8, 3, bias=False), nn.ReLU()
    )

    assert torch.equal(agreement_kernel(network, noise(size=8)), agreement_kernel(network, 4 * noise(size=8)))


@pytest.mark.parametrize("stem", STEMS)
def test_images_that_are_in_a_batch_twice_make_nwot_drop(stem):
    of, images = architecture(stem, "token_transformer"), noise(16)
    once, twice = scores(of, images), scores(of, torch.cat([images[:8], images[:8]]))

    assert twice.nwot < once.nwot - 8  # eight eigenvalues fall to 1
    assert twice.nwot_per_image < once.nwot_per_image


def test_a_network_of_gelu_alone_has_codes_that_tell_images_apart():
    kernel = agreement_kernel(seeded_network(architecture("patch", "token_transformer"), 0), noise())
    shares = kernel / kernel[0, 0]
    others = shares[~torch.eye(16, dtype=torch.bool)]

    assert others.max() < 0.95
    assert others.min() > 0.2


def test_nwot_per_image_does_not_rise_where_the_units_are_merely_repeated():
    few = agreement_kernel(nn.Sequential(nn.ReLU()), noise(8, 3, 4))
    many = agreement_kernel(nn.Sequential(nn.Upsample(scale_factor=4), nn.ReLU()), noise(8, 3, 4))

    assert torch.equal(many, 16 * few)
    assert nwot(many) > nwot(few) + 8 * math.log(14)
    assert nwot_per_image(many) == pytest.approx(nwot_per_image(few), abs=0.05)


def test_a_network_without_activations_is_refused():
    with pytest.raises(FailedTrialError, match="score: the network has no ReLU, SiLU or GELU"):
        agreement_kernel(nn.Sequential(nn.Flatten(), linear([1, 0])), points([1, 1], [1, 2]))


# synflow


def chain(between=None) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), linear([1, -2], [3, 4]), between or nn.Identity(), linear([5, -6]))


def test_synflow_of_a_chain_is_the_sum_of_its_paths_once_for_each_layer():
    # Paths, by absolute values: 1 * 5 + 2 * 5 + 3 * 6 + 4 * 6 = 57, and two layers.
    assert synflow(chain(), DOT) == pytest.approx(math.log(2 * 57))


@pytest.mark.parametrize("between", [nn.ReLU(inplace=True), nn.SiLU(), nn.GELU(), nn.LayerNorm(2)], ids=str)
def test_activations_and_norms_let_the_flow_pass_as_it_is(between):
    assert synflow(chain(between), DOT) == pytest.approx(math.log(2 * 57))


def test_biases_are_no_source_of_flow():
    network = chain()
    network[1].bias = nn.Parameter(torch.tensor([7.0, -8.0]))

    assert synflow(network, DOT) == pytest.approx(math.log(114))


def test_a_shortcut_adds_its_paths():
    branch, head = nn.Conv2d(2, 2, 1, bias=False), linear([1, 1])
    branch.weight.data = torch.tensor([[1.0, 2.0], [3.0, -4.0]]).reshape(2, 2, 1, 1)
    network = nn.Sequential(Residual(branch, nn.Identity(), nn.ReLU()), nn.Flatten(), head)

    # Out of the block: 1 + 2 + 1 = 4 and 3 + 4 + 1 = 8, so R = 12, which the head sees whole. The branch
    # sees all but the shortcut's 2.
    assert synflow(network, DOT) == pytest.approx(math.log(12 + 10))


def test_a_network_that_lets_nothing_through_scores_minus_infinity():
    network = nn.Sequential(nn.Flatten(), linear([0, 0], [0, 0]), linear([5, -6]))

    assert synflow(network, DOT) == -math.inf


@pytest.mark.parametrize("stage", STAGES)
def test_synflow_does_not_know_the_signs_of_weights(stage):
    of = architecture("t2t" if stage == "conv" else "patch", stage)
    network = seeded_network(of, 0)
    before = synflow(network, of.image.shape)
    for parameter in network.parameters():
        parameter.data *= torch.where(torch.rand_like(parameter) < 0.5, 1.0, -1.0)

    assert synflow(network, of.image.shape) == before


def test_synflow_knows_no_images():
    assert scores(images=noise(seed=1)).synflow == scores(images=-noise(8)).synflow


@pytest.mark.parametrize("stem", ["t2t", "t2t, softmax"])
@pytest.mark.parametrize("stage", ["mhsa", "mhsa, article", "token_transformer, own tokens"])
def test_the_flow_is_linear_in_the_image_through_every_attention(stem, stage):
    flow = linear_flow(seeded_network(architecture(stem, stage), 0))
    first, second = noise(1).double(), noise(1, seed=1).double()

    torch.testing.assert_close(flow(first + 2 * second), flow(first) + 2 * flow(second))


def test_no_depth_overflows():
    deep = ConvStage(channels=8, depth=256, kernel=5, expansion=4)
    found = synflow(
        seeded_network(architecture().model_copy(update={"stages": (deep,)}), 0), FeatureShape(3, 8, 8)
    )

    assert 709 < found < math.inf  # e^709 is the largest number of float64


# trainability


def test_a_block_is_best_where_it_keeps_the_length_of_gradients():
    # 2 - 1 - 1, 2 - 2 - 1/2 and 2 - 1/2 - 2
    assert trainability([1.0]) == pytest.approx(0, abs=1e-5)
    assert trainability([1.0, 2.0, 0.5]) == pytest.approx((0 - 0.5 - 0.5) / 3, abs=1e-5)


def test_a_dead_block_scores_badly_and_not_infinitely():
    assert trainability([0.0]) == pytest.approx(2 - 1e6)


def scaled(*weights) -> nn.Module:
    """A residual block that adds ``weight`` times each channel to what arrives."""
    branch = nn.Conv2d(len(weights), len(weights), 1, bias=False)
    branch.weight.data = torch.diag(torch.tensor(weights))[:, :, None, None]
    return Residual(branch, nn.Identity(), nn.Identity())


def test_one_channel_that_a_block_stretches_by_w_has_s_of_1_plus_w():
    network = nn.Sequential(scaled(0.5), scaled(-3.0))

    # Signs multiply to 1 everywhere, so the mean is exact: |1 + 0.5| and |1 - 3|.
    assert block_stretches(network, noise(2, 1, 4), 0) == pytest.approx([1.5, 2.0])


def test_s_is_the_top_singular_value_of_a_known_block_but_for_the_noise_of_the_signs():
    (found,) = block_stretches(scaled(0.5, 1.0, -0.5), noise(64, 3, 16), 0)

    assert found == pytest.approx(2.0, abs=0.05)  # of 1.5, 2 and 0.5; samples: 64 * 16 * 16


def test_the_places_behind_one_strided_place_are_stacked():
    leaving = torch.tensor([[1.0, -1.0]]).reshape(1, 1, 1, 2)
    arriving = torch.tensor([[1.0, 2.0, -1.0, -2.0], [3.0, 0.0, -3.0, 0.0]]).reshape(1, 1, 2, 4)

    # Both squares are the vector (1, 2, 3, 0) times the sign behind them: its length is sqrt(1 + 4 + 9).
    assert by_place(arriving, leaving.shape[2:]).tolist() == [[1, 2, 3, 0], [-1, -2, -3, 0]]
    assert stretch(arriving, leaving) == pytest.approx(math.sqrt(14))


def test_a_map_that_the_stride_does_not_divide_is_filled_up_with_zeros():
    places = by_place(torch.ones(2, 3, 5, 9), torch.Size([3, 3]))

    assert places.shape == (2 * 3 * 3, 3 * 2 * 3)
    assert places.sum() == 2 * 3 * 5 * 9


def test_tokens_are_places():
    tokens = torch.randn(2, 5, 3)

    assert torch.equal(by_place(tokens, torch.Size([3])), tokens.reshape(10, 3))


def test_a_block_that_would_start_as_its_shortcut_is_scored_with_its_branch_open():
    plain = ConvStage(channels=16, depth=2)
    of = architecture("patch").model_copy(update={"stages": (plain,)})
    shut = seeded_network(of, 0)
    opened = seeded_network(of, 0)
    for module in opened.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)

    assert any(not module.weight.any() for module in shut.modules() if isinstance(module, nn.BatchNorm2d))
    assert torch.equal(agreement_kernel(shut, noise()), agreement_kernel(opened, noise()))
    assert block_stretches(shut, noise(), 0) == block_stretches(opened, noise(), 0)


# everything that a space can hold


@pytest.mark.parametrize("kind", STAGE_KINDS)
def test_every_kind_of_stage_is_made_of_residual_blocks(kind):
    stage = STAGES[kind]
    built = stage.build(FeatureShape(16, 8, 8))

    assert len(residual_blocks(built)) == stage.depth


class Twice(nn.Module):
    """A kind's own block, which says that it is a sum, and holds a second one."""

    def __init__(self):
        super().__init__()
        self.mixed = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), scaled(0.5, 0.5, 0.5))

    def forward(self, x):
        return x + self.mixed(x)


@find_mixer_paths.register
def paths_in_twice(block: Twice):
    yield from paths_in_sum(block, mixed=block.mixed, kept=nn.Identity())


def test_a_block_of_a_users_kind_is_found_by_its_registered_sum():
    network = nn.Sequential(scaled(1.0, 1.0, 1.0), nn.Conv2d(3, 3, 1), Twice())

    assert residual_blocks(network) == [network[0], network[2]]
    assert len(block_stretches(network, noise(), 0)) == 2


def test_layers_of_a_stem_are_no_blocks():
    for stem in STEMS.values():
        network = seeded_network(architecture("patch").model_copy(update={"stem": stem}), 0)

        assert len(residual_blocks(network)) == sum(stage.depth for stage in network.architecture.stages)


def test_a_network_without_blocks_has_no_trainability():
    assert residual_blocks(nn.Sequential(nn.Conv2d(3, 3, 1))) == []
    assert math.isnan(trainability([]))


def test_every_kind_of_stem_and_of_stage_is_among_the_examples():
    assert {stem.kind for stem in STEMS.values()} == set(STEM_KINDS)
    assert {stage.kind for stage in STAGES.values()} == set(STAGE_KINDS)


@pytest.mark.parametrize("size", [32, 19])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("stem", STEMS)
def test_every_stage_behind_every_stem_has_finite_scores(stem, stage, size):
    assert_defined(scores(architecture(stem, stage, size=size), noise(8, size=size)))


@pytest.mark.parametrize("head", ["mean", "cls", "distilled"])
def test_every_head_has_finite_scores(head):
    assert_defined(scores(architecture("patch", "token_transformer, own tokens", head=head)))


@every_space
def test_random_points_of_every_space_have_finite_scores_at_32_pixels(file):
    space = load_space(file)
    drawn = [space.draw(seed) for seed in range(4)]
    pixels = Image(channels=3, height=32, width=32)
    small = [point.model_copy(update={"image": pixels}) for point in drawn]
    buildable = [point for point in small if not point.problems()]

    assert buildable
    for point in buildable[: 3 if drawn[0].image == pixels else 1]:
        assert_defined(scores(point, noise(4)))


# what a score may not touch


def test_the_same_seed_gives_the_same_bits():
    of = architecture("t2t", "mhsa", "token_transformer")

    assert scores(of, seed=3) == scores(of, seed=3)


def test_another_seed_is_another_network():
    first, second = scores(seed=0), scores(seed=1)

    assert first.units == second.units
    assert first.nwot != second.nwot
    assert first.synflow != second.synflow
    assert first.trainability != second.trainability


def test_the_signs_of_gradients_depend_on_the_seed_alone():
    network = seeded_network(architecture(), 0)

    assert block_stretches(network, noise(), 5) == block_stretches(network, noise(), 5)
    assert block_stretches(network, noise(), 5) != block_stretches(network, noise(), 6)


def test_the_caller_s_random_state_and_images_stay_as_they_are():
    images = noise()
    state, before = torch.get_rng_state(), images.clone()
    scores(images=images)

    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, before)
    assert not images.requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_the_caller_s_network_stays_as_it_is_and_no_gradient_is_left_behind(training):
    of = architecture("t2t", "mhsa", "conv")
    network = seeded_network(of, 0).train(training)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    agreement_kernel(network, noise())
    block_stretches(network, noise(), 0)
    synflow(network, of.image.shape)
    after = network.state_dict()

    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(module.training == training for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert {p.requires_grad for p in network.parameters()} == {True, False}  # a performer's directions rest


def test_scores_are_the_same_inside_no_grad():
    with torch.no_grad():
        inside = scores()

    assert inside == scores()


# what is refused


@pytest.mark.parametrize(
    ("images", "what"),
    [
        (noise(1), r"images: shape: a tensor \(1, 3, 32, 32\) is not a batch of 3x32x32 images"),
        (noise(4, 1), r"shape: a tensor \(4, 1, 32, 32\)"),
        (noise(4)[0], r"shape: a tensor \(3, 32, 32\)"),
        (noise(4).byte(), r"dtype: torch.uint8 pixels are not normalised; give normalisation.apply"),
        (noise(4) / 0, "values: some are not finite"),
    ],
)
def test_images_that_the_network_cannot_be_scored_on_are_refused(images, what):
    with pytest.raises(DataError, match=what):
        scores(images=images)
