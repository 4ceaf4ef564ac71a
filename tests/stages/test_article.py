"""The two listings that circulate with articles on BoTNet and T2T-ViT, as plain formulas beside our modules.

Both are written out here from their description, with weights that this file draws and copies, in float64.
"""

import pytest
import torch
import torch.nn.functional as F

from archsearch.shapes import FeatureShape
from archsearch.stages import MHSAStage, T2TStem
from archsearch.stages.mhsa import MapAttention

CHANNELS, HEIGHT, WIDTH = 6, 3, 4
PLACES = [(y, x) for y in range(HEIGHT) for x in range(WIDTH)]
N = len(PLACES)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


# --- the listing MHSA -----------------------------------------------------------------------------


def listed_weights(channels, height, width):
    """Three 1x1 convolutions with a bias; the tables as the listing shapes them, rows on the first axis."""
    weights = {name: normal(channels, channels, 1, 1) for name in ("query", "key", "value")}
    biases = {f"{name}_bias": normal(channels) for name in ("query", "key", "value")}
    tables = {"rel_w": normal(1, channels, 1, width), "rel_h": normal(1, channels, height, 1)}
    return weights | biases | tables


def mhsa_listing(listed, x):
    """``energy[i, j] = q_i . k_j + r_i . q_j``, softmax over j, the sum of values: loops over all places."""
    q, k, v = (F.conv2d(x, listed[n], listed[f"{n}_bias"]) for n in ("query", "key", "value"))
    r = (listed["rel_h"] + listed["rel_w"])[0]
    out = torch.zeros_like(x)
    for image in range(len(x)):
        for y, x_ in PLACES:
            energy = [
                q[image, :, y, x_] @ k[image, :, y2, x2] + r[:, y, x_] @ q[image, :, y2, x2]
                for y2, x2 in PLACES
            ]
            attention = torch.softmax(torch.stack(energy), dim=0)
            for weight, (y2, x2) in zip(attention, PLACES, strict=True):
                out[image, :, y, x_] += weight * v[image, :, y2, x2]
    return out


def article(**fields):
    """Our module in the settings of the listing."""
    fields = {"position": "article", "heads": 1, "qkv_bias": True, **fields}
    return MapAttention(
        MHSAStage(channels=CHANNELS, depth=1, expansion=1, **fields).branch(), HEIGHT, WIDTH
    ).double()


def with_projections(module, listed):
    """The listing's three convolutions, which stand in ours as one."""
    names = ("query", "key", "value")
    module.qkv.weight.data = torch.cat([listed[name] for name in names])
    module.qkv.bias.data = torch.cat([listed[f"{name}_bias"] for name in names])
    return module


def copied(listed):
    module = with_projections(article(), listed)
    module.position.rows.data = listed["rel_h"][0, :, :, 0].T
    module.position.columns.data = listed["rel_w"][0, :, 0, :].T
    return module


def test_the_article_s_attention_is_its_listing():
    listed, x = listed_weights(CHANNELS, HEIGHT, WIDTH), normal(2, CHANNELS, HEIGHT, WIDTH)

    close(copied(listed)(x), mhsa_listing(listed, x))


def test_the_article_s_attention_has_the_weights_of_its_listing():
    listed = listed_weights(CHANNELS, HEIGHT, WIDTH)

    params = sum(parameter.numel() for parameter in article().parameters())

    convolutions, tables = 3 * (CHANNELS**2 + CHANNELS), CHANNELS * (HEIGHT + WIDTH)
    assert params == convolutions + tables == sum(tensor.numel() for tensor in listed.values())


def test_the_tables_at_14x14_hold_14336_numbers_where_the_paper_s_hold_6912():
    def tables(**fields):
        stage = MHSAStage(channels=2048, depth=1, **fields)
        return sum(p.numel() for p in MapAttention(stage.branch(), 14, 14).position.parameters())

    assert tables(position="article", heads=1) == 512 * (14 + 14) == 14_336
    assert tables() == 2 * (2 * 14 - 1) * 128 == 6_912


def test_the_tables_are_drawn_with_deviation_one_and_the_paper_s_with_that_of_the_head_width():
    def deviation(**fields):
        stage = MHSAStage(channels=1024, depth=1, heads=4, **fields)
        position = MapAttention(stage.branch(), 24, 24).position
        return torch.cat([position.rows.flatten(), position.columns.flatten()]).std().item()

    # 2 x 24 x 256 and 2 x 47 x 64 draws: known to about 1 %.
    assert deviation(position="article") == pytest.approx(1, rel=0.05)
    assert deviation() == pytest.approx(64**-0.5, rel=0.05)


def test_several_heads_have_each_its_share_of_the_article_s_vectors():
    heads, head_width = 2, CHANNELS // 2
    module, query = article(heads=heads), normal(1, heads, N, head_width)

    bias = module.position(query)

    r = (module.position.rows[:, None] + module.position.columns[None]).reshape(N, heads, head_width)
    close(bias, torch.einsum("ihd,bhjd->bhij", r, query))


def test_nothing_is_scaled():
    """With tables of zero what is left is content, of the queries times the scale that is missing."""
    listed = listed_weights(CHANNELS, HEIGHT, WIDTH)
    listed["rel_h"], listed["rel_w"] = 0 * listed["rel_h"], 0 * listed["rel_w"]
    x = normal(2, CHANNELS, HEIGHT, WIDTH)

    found = copied(listed)(x)

    sharper = {name: CHANNELS**0.5 * listed[name] for name in ("query", "query_bias")}
    close(found, with_projections(article(position="none"), {**listed, **sharper})(x))


# --- what that energy knows of places -------------------------------------------------------------


def constant_queries(listed):
    """Projections whose queries are one vector, the bias, at every place."""
    return {**listed, "query": 0 * listed["query"]}


def test_the_article_s_term_cancels_where_queries_are_constant():
    """``r_i . q`` is the same for every j: the softmax takes it out, and content is left, unscaled."""
    listed = constant_queries(listed_weights(CHANNELS, HEIGHT, WIDTH))
    x = normal(2, CHANNELS, HEIGHT, WIDTH)

    found = copied(listed)(x)

    unscaled = {**listed, "query_bias": CHANNELS**0.5 * listed["query_bias"]}
    close(found, with_projections(article(position="none"), unscaled)(x))


@pytest.mark.parametrize("rel_scale", ["both", "content"])
def test_the_paper_s_term_does_not_cancel_there(rel_scale):
    listed = constant_queries(listed_weights(CHANNELS, HEIGHT, WIDTH))
    x = normal(2, CHANNELS, HEIGHT, WIDTH)

    relative = with_projections(article(position="relative", rel_scale=rel_scale), listed)(x)

    without = with_projections(article(position="none"), listed)(x)
    assert (relative - without).abs().max() > 1e-3


def test_for_one_query_everywhere_the_article_s_weights_are_equal_and_the_paper_s_are_not():
    query = normal(CHANNELS).expand(1, 1, N, CHANNELS)
    equal = torch.full((1, 1, N, N), 1 / N, dtype=torch.float64)

    of_the_article = torch.softmax(article().position(query), dim=-1)
    of_the_paper = torch.softmax(article(position="relative").position(query), dim=-1)

    close(of_the_article, equal)
    assert (of_the_paper - equal).abs().max() > 1e-3


def test_the_paper_s_term_is_the_same_for_one_offset_and_the_article_s_is_not():
    query = normal(CHANNELS).expand(1, 1, N, CHANNELS)
    here, one_to_the_right = PLACES.index((0, 0)), PLACES.index((0, 1))
    below, to_its_right = PLACES.index((1, 1)), PLACES.index((1, 2))

    def logits(module):
        bias = module.position(query)[0, 0]
        return bias[here, one_to_the_right], bias[below, to_its_right]

    close(*logits(article(position="relative")))
    first, second = logits(article())
    assert (first - second).abs() > 1e-3


def test_the_default_is_the_paper_s():
    stage = MHSAStage(channels=32, depth=1)

    assert stage.position == "relative"
    assert stage.qkv_bias is False
    assert stage.heads == 4
    assert "article" not in str(stage.canonical())


# --- the listing T2T_module -----------------------------------------------------------------------

TOKEN_WIDTH, EMBEDDING = 5, 8


def listed_layer(arriving):
    """A token transformer of one head from ``arriving`` to TOKEN_WIDTH, with an MLP of ratio 1."""
    wide = TOKEN_WIDTH
    return {
        "norm1": (1 + normal(arriving) / 4, normal(arriving)),
        "query": normal(wide, arriving) / 4,
        "key": normal(wide, arriving) / 4,
        "value": normal(wide, arriving) / 4,
        "project": (normal(wide, wide), normal(wide)),
        "norm2": (1 + normal(wide) / 4, normal(wide)),
        "fc1": (normal(wide, wide), normal(wide)),
        "fc2": (normal(wide, wide), normal(wide)),
    }


def unfolded(image, kernel, stride, padding):
    """Windows as tokens, row by row; each by channel, then row, then column. Outside are zeros."""
    channels, side, _ = image.shape
    wide = torch.zeros(channels, side + 2 * padding, side + 2 * padding, dtype=image.dtype)
    wide[:, padding : padding + side, padding : padding + side] = image
    starts = range(0, side + 2 * padding - kernel + 1, stride)
    return torch.stack([wide[:, y : y + kernel, x : x + kernel].flatten() for y in starts for x in starts])


def listed_norm(x, weight, bias):
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt() * weight + bias


def affine(x, weight, bias):
    return torch.einsum("oi,ni->no", weight, x) + bias


def token_transformer_listing(listed, tokens):
    """The value is the residual of the attention; the scale comes from the width that arrives."""
    x = listed_norm(tokens, *listed["norm1"])
    q, k, v = (torch.einsum("oi,ni->no", listed[name], x) for name in ("query", "key", "value"))
    weights = torch.softmax(torch.einsum("id,jd->ij", q, k) / tokens.shape[1] ** 0.5, dim=1)
    x = v + affine(torch.einsum("ij,jd->id", weights, v), *listed["project"])
    hidden = affine(listed_norm(x, *listed["norm2"]), *listed["fc1"])
    hidden = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
    return x + affine(hidden, *listed["fc2"])


def square(tokens):
    side = round(len(tokens) ** 0.5)
    return tokens.T.reshape(-1, side, side)


def t2t_listing(layer1, layer2, project, image):
    """Three unfoldings; behind the first two a token transformer and a reshape, behind the last a layer."""
    x = square(token_transformer_listing(layer1, unfolded(image, kernel=7, stride=4, padding=2)))
    x = square(token_transformer_listing(layer2, unfolded(x, kernel=3, stride=2, padding=1)))
    return affine(unfolded(x, kernel=3, stride=2, padding=1), *project)


def fill(module, weight, bias):
    module.weight.data, module.bias.data = weight, bias


def fill_layer(layer, listed):
    layer.mixer.qkv.weight.data = torch.cat([listed["query"], listed["key"], listed["value"]])
    fill(layer.norm, *listed["norm1"])
    fill(layer.project, *listed["project"])
    fill(layer.mlp_norm, *listed["norm2"])
    fill(layer.mlp[0], *listed["fc1"])
    fill(layer.mlp[2], *listed["fc2"])


@pytest.mark.parametrize(("side", "tokens"), [(32, 2 * 2), (48, 3 * 3)])
def test_the_softmax_stem_is_the_listing_of_t2t(side, tokens):
    layer1, layer2 = listed_layer(3 * 7 * 7), listed_layer(TOKEN_WIDTH * 3 * 3)
    project = normal(EMBEDDING, TOKEN_WIDTH * 3 * 3), normal(EMBEDDING)
    stem = T2TStem(channels=EMBEDDING, token_channels=TOKEN_WIDTH, attention="softmax")
    module = stem.build(FeatureShape(3, side, side)).double()
    for layer, listed in zip(module.layers, (layer1, layer2), strict=True):
        fill_layer(layer, listed)
    fill(module.split[1], *project)
    images = normal(2, 3, side, side)

    found = module(images).flatten(2).transpose(1, 2)

    assert found.shape == (2, tokens, EMBEDDING)
    for features, image in zip(found, images, strict=True):
        close(features, t2t_listing(layer1, layer2, project, image))
