"""Attention distance: the weights are those the network attends by, and distances are pixels of the image."""

import pytest
import torch
import torch.nn.functional as F
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
from torch import nn

from archsearch.analysis import attention_distance as module
from archsearch.analysis import mean_attention_distance
from archsearch.analysis.attention_distance import head_distances, pixel_distances
from archsearch.analysis.mixer_sites import arrivals, mixer_sites
from archsearch.stages import PatchStem, SpatialMixer

every = pytest.mark.parametrize("parts", every_part().values(), ids=every_part().keys())


def attentions(network):
    return [site for site in mixer_sites(network) if site.attention is not None]


@every
def test_the_weights_are_those_that_the_network_mixes_its_values_by(parts, monkeypatch):
    """Seen from outside: the values are put through our weights, and the operator's own result is compared."""
    network = awake(*parts)
    pixels, mixed = images(network, 2), []
    own = F.scaled_dot_product_attention

    def overheard(query, key, value, **settings):
        mixed.append((value, own(query, key, value, **settings)))
        return mixed[-1][1]

    monkeypatch.setattr(F, "scaled_dot_product_attention", overheard)
    found = [site.attention for site in attentions(network)]
    arriving = arrivals(network, pixels, found)

    softmax = [attention for attention in found if type(attention).__name__ != "PerformerMixer"]
    assert len(softmax) == len(mixed)
    for attention, (value, result) in zip(softmax, mixed, strict=True):
        with torch.no_grad():
            torch.testing.assert_close(attention.attention_weights(arriving[attention]) @ value, result)


def test_a_performers_weights_are_those_of_its_kernel():
    network = awake(STEMS["t2t performer"])
    (site,) = attentions(network)
    performer = site.attention
    tokens = arrivals(network, images(network), [performer])[performer]

    value, mixed = performer(tokens)
    weights = performer.attention_weights(tokens)[:, 0]
    torch.testing.assert_close(weights @ value, mixed, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:2]))


@pytest.mark.parametrize(
    "parts",
    [
        (POINT, ATTENTION),
        (POINT, STAGES["tokens, own"]),
        (STEMS["t2t performer"], NOTHING),
        (STEMS["t2t softmax"], NOTHING),
    ],
    ids=["mhsa", "tokens, own", "performer", "softmax"],
)
def test_uniform_attention_looks_as_far_as_the_grid_is_wide(parts):
    network = blind(awake(*parts))
    found = mean_attention_distance(network, images(network))

    assert found.share == pytest.approx(1, abs=1e-5)
    assert all(layer.share == pytest.approx(1, abs=1e-5) for layer in found.layers)


def test_distances_are_pixels_of_the_image_by_hand():
    """Uniform over a row of two patches of four pixels: half the weight is four pixels away."""
    network = blind(awake(PatchStem(channels=8, size=4), ATTENTION, height=4, width=8))
    (layer,) = mean_attention_distance(network, images(network)).layers

    assert (layer.height, layer.width) == (1, 2)
    assert layer.pixels == pytest.approx(2)
    assert layer.heads == pytest.approx([2, 2])


def test_rows_and_columns_of_a_grid_have_their_own_size_in_pixels():
    network = awake(PatchStem(channels=8, size=4), ATTENTION, height=8, width=10)
    distances = pixel_distances(attentions(network)[0], network.architecture.image.shape)

    assert float(distances[0, 1]) == pytest.approx(10 / 3)
    assert float(distances[0, 3]) == pytest.approx(4)


def test_tokens_of_a_stages_own_are_left_out_and_the_rest_adds_up_again():
    """Queries that see nothing but the class token differ in nothing else: what is left is uniform."""
    network = blind(awake(POINT, STAGES["tokens, own"], height=5, width=5))
    blocks = network.stages[0].blocks
    with torch.no_grad():
        for block in blocks:
            nn.init.constant_(block.attention.qkv.bias[:8], 1.0)
        network.stages[0].class_token.fill_(3.0)

    assert mean_attention_distance(network, images(network)).share == pytest.approx(1, abs=1e-5)


def test_an_attention_that_looks_at_itself_looks_nowhere():
    network = awake(POINT, TOKENS.model_copy(update={"heads": 1}), height=8, width=6)
    for rows in (slice(0, 8), slice(8, 16)):
        network.stages[0].blocks[0].attention.qkv.weight.data[rows] = 30 * torch.eye(8)

    assert mean_attention_distance(network, images(network)).share < 0.05


@every
def test_every_kind_has_a_distance_exactly_if_it_attends(parts):
    network = awake(*parts)
    found = mean_attention_distance(network, images(network, 2))

    layers = [place for place, mixer in network.architecture.mixers() if mixer.attention]
    assert [layer.place for layer in found.layers] == layers if layers else found is None
    if found is not None:
        assert 0 < found.share < 2
        assert found.pixels == pytest.approx(sum(layer.pixels for layer in found.layers) / len(layers))


def test_on_a_single_place_attention_looks_nowhere():
    network = awake(PatchStem(channels=8, size=4), ATTENTION, height=4, width=4)
    found = mean_attention_distance(network, images(network))

    assert (found.pixels, found.share) == (0, 0)


def test_images_that_are_weighed_one_by_one_come_to_the_same(monkeypatch):
    network = awake(POINT, TOKENS)
    together = mean_attention_distance(network, images(network))
    monkeypatch.setattr(module, "WEIGHTS", 1)

    assert mean_attention_distance(network, images(network)).pixels == pytest.approx(together.pixels)


def test_an_attention_that_nobody_described_is_refused():
    with pytest.raises(TypeError, match="a SpatialMixer gives no weights; its attention_weights must return"):
        head_distances(SpatialMixer(), torch.zeros(1, 1, 1), torch.zeros(1, 1))
