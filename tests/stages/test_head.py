"""A head is a mean or a token, and one linear layer for each; written out in float64."""

import pytest
import torch

from archsearch.stages import Head, MapAndTokens

CHANNELS, CLASSES = 4, 3


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def head(pool):
    return Head(pool=pool).build(CHANNELS, CLASSES).double()


def features(tokens):
    """A map of 2x5 places for two images, and ``tokens`` beside it."""
    return MapAndTokens(
        torch.randn(2, CHANNELS, 2, 5, dtype=torch.float64),
        torch.randn(2, tokens, CHANNELS, dtype=torch.float64),
    )


def affine(x, layer):
    return x @ layer.weight.T + layer.bias


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_mean_head_is_a_linear_layer_over_the_mean_of_all_places():
    module, x = head("mean"), torch.randn(2, CHANNELS, 2, 5, dtype=torch.float64)

    close(module(x), affine(x.flatten(2).sum(dim=2) / 10, module.linear))


@pytest.mark.parametrize("tokens", [1, 2])
def test_a_mean_head_leaves_out_the_tokens_beside_the_map(tokens):
    module, x = head("mean"), features(tokens)

    close(module(x), module(x.map))


@pytest.mark.parametrize("tokens", [1, 2])
def test_a_cls_head_is_a_linear_layer_over_the_first_token(tokens):
    module, x = head("cls"), features(tokens)

    close(module(x), affine(x.tokens[:, 0], module.linear))


@pytest.mark.parametrize("training", [True, False], ids=["in training", "in eval mode"])
def test_a_distilled_head_is_the_mean_of_two_linear_layers_over_two_tokens(training):
    module, x = head("distilled").train(training), features(2)

    of_the_class_token = affine(x.tokens[:, 0], module.linear)
    of_the_distillation_token = affine(x.tokens[:, 1], module.distilled)
    close(module(x), (of_the_class_token + of_the_distillation_token) / 2)


def test_both_classifiers_of_a_distilled_head_learn():
    module = head("distilled")

    module(features(2)).square().sum().backward()

    assert all(parameter.grad.abs().max() > 0 for parameter in module.parameters())


@pytest.mark.parametrize(("pool", "classifiers"), [("mean", 1), ("cls", 1), ("distilled", 2)])
def test_only_a_distilled_head_has_two_classifiers(pool, classifiers):
    params = sum(parameter.numel() for parameter in head(pool).parameters())

    assert params == classifiers * (CHANNELS * CLASSES + CLASSES)


def test_a_head_is_known_by_what_differs_from_its_default():
    assert Head(pool="mean").canonical() == {}
    assert Head(pool="distilled").canonical() == {"pool": "distilled"}
