"""The tokens-to-token stem is its published formula (references: T2T-ViT and its code), in float64."""

import pytest
import torch

from archsearch.shapes import FeatureShape, split_padding
from archsearch.stages import T2TStem
from archsearch.stages.t2t_stem import PerformerMixer, SoftmaxMixer, TokenLayer

TOKENS, WINDOW_WIDTH, WIDTH, FEATURES = 7, 10, 6, 4


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def randomised(module):
    """Every parameter drawn anew, so that no bias is zero and no norm is the identity."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module.double()


def some_tokens():
    return torch.randn(2, TOKENS, WINDOW_WIDTH, dtype=torch.float64)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def layer_norm(x, norm):
    deviation = (x.var(dim=-1, correction=0, keepdim=True) + 1e-5).sqrt()
    return (x - x.mean(dim=-1, keepdim=True)) / deviation * norm.weight + norm.bias


def gelu(x):
    return x * (1 + torch.erf(x / 2**0.5)) / 2


def affine(x, layer):
    return x @ layer.weight.T + layer.bias


def close_the_layer(layer, value, mixed):
    """Both token layers end alike: the value is the residual, and an MLP of the same width follows."""
    y = affine(mixed, layer.project) + value
    first, _, second = layer.mlp
    return y + affine(gelu(affine(layer_norm(y, layer.mlp_norm), first)), second)


def softmax_formula(mixer, x):
    wq, wk, wv = mixer.qkv.weight.split(WIDTH)
    q, k, v = x @ wq.T, x @ wk.T, x @ wv.T
    scale_by_the_width_that_arrives = WINDOW_WIDTH**-0.5
    weights = torch.softmax(scale_by_the_width_that_arrives * q @ k.transpose(1, 2), dim=-1)
    return v, weights @ v


def phi(vector, directions):
    features = torch.exp(directions @ vector - vector @ vector / 2)
    return features / len(directions) ** 0.5


def performer_formula(mixer, x):
    """Token by token, with the N x N kernel that the module avoids."""
    k, q, v = (affine(x, mixer.kqv)[..., part * WIDTH : (part + 1) * WIDTH] for part in range(3))
    mixed = torch.zeros_like(v)
    for b in range(len(x)):
        for i in range(TOKENS):
            asked = phi(q[b, i], mixer.directions)
            kernel = [asked @ phi(k[b, j], mixer.directions) for j in range(TOKENS)]
            mixed[b, i] = sum(kernel[j] * v[b, j] for j in range(TOKENS)) / (sum(kernel) + 1e-8)
    return v, mixed


def test_softmax_attention_scales_by_the_width_that_arrives():
    mixer, x = randomised(SoftmaxMixer(WINDOW_WIDTH, WIDTH)), some_tokens()

    value, mixed = mixer(x)

    expected_value, expected_mixed = softmax_formula(mixer, x)
    close(value, expected_value)
    close(mixed, expected_mixed)


def test_softmax_attention_has_no_bias_and_a_performer_has_one():
    assert SoftmaxMixer(WINDOW_WIDTH, WIDTH).qkv.bias is None
    assert PerformerMixer(WINDOW_WIDTH, WIDTH, FEATURES).kqv.bias.shape == (3 * WIDTH,)


def test_a_performer_is_its_kernel_token_by_token():
    mixer, x = randomised(PerformerMixer(WINDOW_WIDTH, WIDTH, FEATURES)), some_tokens()

    value, mixed = mixer(x)

    expected_value, expected_mixed = performer_formula(mixer, x)
    close(value, expected_value)
    close(mixed, expected_mixed)


@pytest.mark.parametrize(
    ("attention", "formula"), [("softmax", softmax_formula), ("performer", performer_formula)]
)
def test_a_token_layer_keeps_its_value_and_not_its_input(attention, formula):
    stem = T2TStem(channels=8, token_channels=WIDTH, attention=attention, features=FEATURES)
    layer, x = (
        randomised(TokenLayer(WINDOW_WIDTH, WIDTH, stem.attention, stem.features, stem.norm_eps)),
        some_tokens(),
    )

    found = layer(x)

    close(found, close_the_layer(layer, *formula(layer.mixer, layer_norm(x, layer.norm))))


def test_performer_directions_are_orthogonal_of_squared_length_m():
    directions = PerformerMixer(WINDOW_WIDTH, WIDTH, FEATURES).directions

    torch.testing.assert_close(directions @ directions.T, FEATURES * torch.eye(FEATURES))


def test_performer_directions_are_saved_but_never_trained():
    mixer = PerformerMixer(WINDOW_WIDTH, WIDTH, FEATURES)

    assert "directions" in mixer.state_dict()
    assert [name for name, p in mixer.named_parameters() if not p.requires_grad] == ["directions"]


def performer_error(features, seed):
    """Mean distance between a performer and the softmax attention over the same keys, queries, values."""
    torch.manual_seed(seed)
    x, weight = some_tokens(), 0.2 * torch.randn(3 * WIDTH, WINDOW_WIDTH, dtype=torch.float64)
    mixer = PerformerMixer(WINDOW_WIDTH, WIDTH, features).double()
    mixer.kqv.weight.data = weight
    value, mixed = mixer(x)
    k, q, _ = mixer.kqv(x).chunk(3, dim=-1)
    exact = torch.softmax(q @ k.transpose(1, 2), dim=-1) @ value
    return (mixed - exact).abs().mean().item()


def test_more_features_come_closer_to_softmax_attention():
    few, many = (sum(performer_error(m, seed) for seed in range(10)) for m in (WIDTH, 100 * WIDTH))

    assert many < few / 2


@pytest.mark.parametrize("attention", ["softmax", "performer"])
def test_the_stem_splits_mixes_folds_splits_and_projects(attention):
    stem = T2TStem(
        channels=5, kernels=(3, 3), strides=(2, 1), token_channels=WIDTH, attention=attention, features=4
    )
    module = randomised(stem.build(FeatureShape(2, 6, 10)))
    images = torch.randn(2, 2, 6, 10, dtype=torch.float64)

    found = module(images)

    # Padding is 1 both times: 6x10 at stride 2 leaves 3x5, and stride 1 keeps that.
    windows = torch.nn.functional.unfold(images, 3, padding=1, stride=2).transpose(1, 2)
    mixed = module.layers[0](windows).transpose(1, 2).reshape(2, WIDTH, 3, 5)
    tokens = affine(torch.nn.functional.unfold(mixed, 3, padding=1).transpose(1, 2), module.split[1])
    close(found, tokens.transpose(1, 2).reshape(2, 5, 3, 5))


@pytest.mark.parametrize("attention", ["softmax", "performer"])
def test_both_norms_of_every_token_layer_take_the_eps_that_is_written(attention):
    stem = T2TStem(channels=8, token_channels=WIDTH, attention=attention, norm_eps=1e-3)

    norms = [m for m in stem.build(FeatureShape(3, 32, 32)).modules() if isinstance(m, torch.nn.LayerNorm)]

    # Three splits have two token layers between them.
    assert [norm.eps for norm in norms] == [1e-3] * (2 * 2)


def test_the_published_splits_are_padded_by_two_one_one():
    stem = T2TStem(channels=384)

    paddings = [split_padding(k, s) for k, s in zip(stem.kernels, stem.strides, strict=True)]

    assert paddings == [2, 1, 1]


def test_the_published_stem_turns_224_pixels_into_14x14_tokens():
    grids = T2TStem(channels=384).grids(FeatureShape(3, 224, 224))

    assert [str(grid) for grid in grids] == ["64x56x56", "64x28x28", "384x14x14"]
