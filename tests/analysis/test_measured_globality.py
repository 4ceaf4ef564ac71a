"""Measured reach: the structure's own where weights are uniform, the exact Jacobian's where they are not."""

import pytest
import torch
from analysis_examples import (
    ATTENTION,
    NOTHING,
    POINT,
    STAGES,
    STEMS,
    TOKENS,
    awake,
    blind,
    every_part,
    images,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd.functional import jacobian

from archsearch.analysis import measured_globality
from archsearch.analysis.measured_globality import (
    Sampling,
    everywhere,
    influence,
    reaches,
    relative_distance,
    strata,
)
from archsearch.analysis.mixer_sites import MixerSite, arrivals, mixer_sites
from archsearch.counting import reach
from archsearch.stages import ConvStage, ConvStem, Mixer, PatchStem, TokenTransformerStage
from archsearch.stages.mixer_paths import MixerPath
from archsearch.stages.residual import conv
from archsearch.stages.tokens import ProjectedSplit

ALL = 10_000
every = pytest.mark.parametrize("parts", every_part().values(), ids=every_part().keys())


def sampling(positions=ALL, probes=1, seed=0):
    return Sampling(positions, probes, torch.Generator().manual_seed(seed))


def ones(module):
    for parameter in module.parameters():
        nn.init.ones_(parameter)
    return module


def reach_of(module, height, width, kernel, count=1, positions=ALL):
    """Of a module on a map of one channel, at all places."""
    x = torch.randn(count, 1, height, width)
    site = MixerSite("stem", Mixer(height, width, kernel), MixerPath(module, module, module, (module,)))
    return float(reaches(site, x, sampling(positions)).mean())


# --- exactly what the structure says ---------------------------------------------------------------


def test_a_uniform_3x3_on_a_56x56_map_reaches_0_038():
    """Asked at sixteen places of each of 64 squares of seven."""
    found = reach_of(ones(conv(1, 1, 3)), 56, 56, 3, count=16, positions=64)

    assert found == pytest.approx(0.038, abs=5e-4)
    assert found == pytest.approx(reach(Mixer(56, 56, 3)), rel=0.01)


@pytest.mark.parametrize(("height", "width", "kernel"), [(7, 7, 3), (9, 5, 5), (1, 6, 3), (4, 4, 7)])
def test_a_uniform_window_at_every_place_reaches_what_the_structure_says(height, width, kernel):
    assert reach_of(ones(conv(1, 1, kernel)), height, width, kernel) == pytest.approx(
        reach(Mixer(height, width, kernel)), rel=1e-6
    )


def test_a_window_that_covers_the_map_reaches_all_of_it():
    assert reach_of(ones(conv(1, 1, 13)), 7, 7, 13) == pytest.approx(1)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_1x1_reaches_nothing(stride):
    assert reach_of(conv(1, 1, 1, stride), 7, 5, 1) == 0


def test_a_patch_looks_from_the_middle_of_its_square():
    """On a 4x4 map four squares of 2x2 each look from their upper left pixel, one step to two of four and root 2."""
    from_a_corner = (2 + 2**0.5) / 4 / float(everywhere(4, 4)[0, 0])
    from_an_edge = (2 + 2**0.5) / 4 / float(everywhere(4, 4)[0, 2])
    from_inside = (2 + 2**0.5) / 4 / float(everywhere(4, 4)[2, 2])
    expected = (from_a_corner + 2 * from_an_edge + from_inside) / 4

    assert reach_of(ones(nn.Conv2d(1, 1, 2, 2)), 4, 4, 2) == pytest.approx(expected)


def test_a_mean_over_the_map_reaches_all_of_it_from_every_place():
    mean = nn.AdaptiveAvgPool2d(1)

    class Everywhere(nn.Module):
        def forward(self, x):
            return mean(x).expand_as(x)

    assert reach_of(Everywhere(), 5, 9, None) == pytest.approx(1)


@pytest.mark.parametrize("stage", [ATTENTION, STAGES["mhsa"], TOKENS, STAGES["tokens"]], ids=lambda s: s.kind)
def test_attention_without_queries_and_keys_reaches_everything(stage):
    """Only norms and activations make one place count more than another."""
    network = blind(awake(POINT, stage, height=8, width=6))
    found = measured_globality(network, images(network, 16))

    attentions = [mixer for mixer in found.mixers if mixer.kernel is None]
    assert attentions
    assert all(mixer.measured > 0.96 for mixer in attentions)


def test_an_attention_that_looks_at_itself_alone_reaches_little():
    """Sharp content logits: each token is most like itself."""
    network = awake(POINT, TOKENS.model_copy(update={"heads": 1}), height=8, width=6)
    attention, width = network.stages[0].blocks[0].attention, 8
    for rows in (slice(0, width), slice(width, 2 * width)):
        attention.qkv.weight.data[rows] = 30 * torch.eye(width)
    reached = measured_globality(network, images(network)).mixers[0]

    assert reached.structural == 1
    assert reached.measured < 0.1


# --- weights ---------------------------------------------------------------------------------------


def test_a_mixer_without_a_shortcut_counts_whole():
    network = awake(STEMS["deep conv"])

    assert [mixer.weight for mixer in measured_globality(network, images(network)).mixers] == [1, 1, 1]


def test_a_branch_that_is_zero_counts_nothing_and_reaches_nothing():
    network = awake(POINT, ConvStage(channels=8, depth=1))
    nn.init.zeros_(network.stages[0][0].branch[-1].weight)
    found = measured_globality(network, images(network))

    assert [(mixer.weight, mixer.measured) for mixer in found.mixers] == [(0, 0)]
    assert found.mean == 0


def test_a_branch_counts_by_its_share_of_the_sum():
    """Branch and shortcut of a block of one channel: ``|3 x| / (|3 x| + |x|)``."""
    network = awake(ConvStem(channels=1, kernel=1), ConvStage(channels=1, depth=1, block="basic"), channels=1)
    block = network.stages[0][0]
    block.branch = nn.Sequential(conv(1, 1, 3), conv(1, 1, 3))
    for link, scale in zip(block.branch, (1, 3), strict=True):
        nn.init.zeros_(link.weight)
        link.weight.data[0, 0, 1, 1] = scale
    weights = [mixer.weight for mixer in measured_globality(network, images(network)).mixers]

    assert weights == pytest.approx([0.75, 0.75])


def test_a_shortcut_that_mixes_and_its_branch_share_the_sum():
    network = awake(POINT, STAGES["1x1, mixing shortcut"])
    (shortcut,) = measured_globality(network, images(network)).mixers
    total = mixer_sites(network)[0].path.total

    x = arrivals(network, images(network), [total.entered])[total.entered]
    norms = [part(x).detach().flatten(1).norm(dim=1) for part in (total.mixed, total.kept)]
    assert shortcut.weight == pytest.approx(float((norms[0] / sum(norms)).mean()), rel=1e-5)


def test_the_mean_is_that_of_the_mixers_by_their_weights():
    network = awake(STEMS["conv"], STAGES["bottleneck"], STAGES["mhsa"])
    found = measured_globality(network, images(network))

    total = sum(mixer.weight for mixer in found.mixers)
    assert found.mean == pytest.approx(sum(m.weight * m.measured for m in found.mixers) / total)
    assert 0 < found.mixers[1].weight < 1


def test_a_network_that_mixes_nothing_reaches_nothing():
    network = awake()
    found = measured_globality(network, images(network))

    assert (found.mean, found.mixers) == (0, ())


def test_on_a_single_place_there_is_nowhere_to_go():
    network = awake(PatchStem(channels=8, size=4), ATTENTION, height=4, width=4)

    assert measured_globality(network, images(network)).mixers[1].measured == 0


# --- against the exact Jacobian --------------------------------------------------------------------


def exact(site, x):
    """Mean reach over the images, from the whole Jacobian at every place."""
    found = []
    for image in x:
        whole = jacobian(lambda one: site.run(one[None])[0], image)
        norms = whole.square().sum(dim=(0, 3 if x.ndim == 4 else 4)).sqrt().flatten(2)
        height, width = norms.shape[:2]
        rows, columns = (
            grid.flatten()
            for grid in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        )
        ratios = relative_distance(norms.flatten(0, 1).double(), site.mixer, rows, columns)
        found.append(float(ratios.mean()))
    return sum(found) / len(found)


@pytest.mark.parametrize(
    "stage", [ConvStage(channels=8, depth=1, expansion=1), ATTENTION, TOKENS], ids=lambda stage: stage.kind
)
def test_one_random_sign_a_place_estimates_the_exact_jacobian(stage):
    network = awake(POINT, stage, height=5, width=4)
    (site,) = mixer_sites(network)
    x = arrivals(network, images(network, 4), [site.path.entered])[site.path.entered]

    rough = float(reaches(site, x, sampling(probes=1)).mean())
    fine = float(reaches(site, x, sampling(probes=16)).mean())

    assert rough == pytest.approx(exact(site, x), abs=0.02)
    assert fine == pytest.approx(exact(site, x), abs=0.006)


def test_many_signs_give_the_norm_itself():
    """Of a split's projection: ``|W_v|`` of each pixel of the window."""
    split = ProjectedSplit(2, 3, 1, 5)
    x = torch.randn(1, 2, 3, 3, requires_grad=True)
    out = split(x).transpose(1, 2).reshape(1, 5, 3, 3)
    middle = torch.tensor([1])

    norms = influence(out, x, middle, middle, sampling(probes=1_000))

    expected = split[1].weight.reshape(5, 2, 9).square().sum(dim=(0, 1)).sqrt()
    torch.testing.assert_close(norms[0], expected, rtol=0.1, atol=0)


# --- whatever is built -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(17, 9), (16, 16)], ids=str)
@every
def test_every_kind_has_a_reach_and_a_weight_for_each_of_its_mixers(parts, size):
    network = awake(*parts, height=size[0], width=size[1])
    found = measured_globality(network, images(network, 2), positions=4)

    structure = [(place, mixer.window, reach(mixer)) for place, mixer in network.architecture.mixers()]
    assert [(mixer.place, mixer.kernel, mixer.structural) for mixer in found.mixers] == structure
    assert all(0 < mixer.measured <= 1 and 0 < mixer.weight <= 1 for mixer in found.mixers)
    assert 0 <= found.mean <= 1


def test_a_fresh_convolution_reaches_about_as_far_as_its_structure_says():
    network = awake(STEMS["deep conv"], STAGES["basic"], TokenTransformerStage(channels=8, depth=1))

    for mixer in measured_globality(network, images(network, 16)).mixers:
        if mixer.kernel is not None:
            assert mixer.measured == pytest.approx(mixer.structural, rel=0.15)


def test_the_same_seed_asks_the_same_places():
    network = awake(STEMS["conv"], STAGES["mhsa"])
    pixels = images(network)

    same = [measured_globality(network, pixels, positions=3, seed=seed) for seed in (0, 0, 1)]
    assert same[0] == same[1] != same[2]


def test_a_network_in_training_is_judged_by_its_running_statistics_and_left_as_it_was():
    network = awake(STEMS["conv"], STAGES["bottleneck"])
    pixels, before = images(network), measured_globality(network, images(network))
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    assert measured_globality(network.train(), pixels) == before
    assert network.training
    assert all(torch.equal(weights[name], tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_it_may_be_asked_where_gradients_are_switched_off():
    network = awake(STEMS["conv"], NOTHING)
    pixels = images(network)
    with torch.no_grad():
        quietly = measured_globality(network, pixels)

    assert quietly == measured_globality(network, pixels)


# --- places ----------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None, derandomize=True)
@given(height=st.integers(1, 40), width=st.integers(1, 40), positions=st.integers(1, 50))
def test_strata_tile_the_map_and_are_no_more_than_asked_for(height, width, positions):
    covered = torch.zeros(height, width, dtype=torch.int64)
    found = list(strata(height, width, positions))
    for part in found:
        covered[part.row : part.row + part.height, part.column : part.column + part.width] += 1

    assert bool((covered == 1).all())
    assert len(found) <= positions
    if positions >= height * width:
        assert len(found) == height * width


def test_sixteen_places_of_a_square_map_are_four_by_four():
    assert {(part.height, part.width) for part in strata(56, 56, 16)} == {(14, 14)}


def test_each_image_is_asked_at_a_place_of_its_own_inside_the_stratum():
    (_, part, *_) = strata(8, 8, 4)
    rows, columns = part.draw(64, torch.Generator().manual_seed(0))

    assert set(rows.tolist()) == {0, 1, 2, 3}
    assert set(columns.tolist()) == {4, 5, 6, 7}
