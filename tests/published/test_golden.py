"""Our networks compute what implementations that are no packages were once seen to compute.

golden/ holds what record_golden.py wrote down: the official T2T-ViT, the BoTNet authors' layer and block, and
a BoTNet stack of another hand. Their tensors are seeded, so the same ones are drawn again here.
"""

import json
from pathlib import Path

import pytest
import torch
from seeded_weights import names_sha256, probe, seeded_images, seeded_tensors
from tensor_names import on_no_device, published_shapes

from archsearch.published import load_published
from archsearch.published.load import best_dialect
from archsearch.shapes import FeatureShape
from archsearch.stages import MHSAStage
from archsearch.stages.mhsa import MapAttention

pytestmark = pytest.mark.usefixtures("undrawn")
GOLDEN = {
    path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "golden").glob("*.json")
}
T2T_VITS = sorted(name for name in GOLDEN if name.startswith("t2t_vit"))
WITH_GRADIENTS = ["t2t_vit_7", "t2t_vit_t_14"]

every_t2t_vit = pytest.mark.parametrize("name", T2T_VITS)


def t2t_tensors(name):
    return seeded_tensors(published_shapes(name, "the official T2T-ViT"), GOLDEN[name]["seed"])


def t2t_images(name):
    return seeded_images(GOLDEN[name]["image"], GOLDEN[name]["seed"])


def difference(found, expected):
    """The largest, relative to the spread of what is expected."""
    return ((found - expected).abs().max() / expected.std()).item()


# --- T2T-ViT: whole networks ----------------------------------------------------------------------


def test_eleven_networks_of_t2t_vit_were_recorded():
    assert len(T2T_VITS) == 11


@every_t2t_vit
def test_the_tensors_bear_the_official_names_and_shapes(name):
    shapes = published_shapes(name, "the official T2T-ViT")

    assert len(shapes) == GOLDEN[name]["tensors"]
    assert names_sha256(shapes) == GOLDEN[name]["names_sha256"]


@every_t2t_vit
def test_there_are_as_many_parameters_and_as_many_trained(name):
    parameters = list(on_no_device(name).parameters())

    assert sum(p.numel() for p in parameters) == GOLDEN[name]["parameters"]
    assert sum(p.numel() for p in parameters if p.requires_grad) == GOLDEN[name]["trainable"]


@every_t2t_vit
@torch.no_grad()
def test_the_logits_are_those_of_the_official_code_in_float64(name, in_float64):
    network = load_published(name, t2t_tensors(name)).eval()

    logits = network(t2t_images(name))

    assert difference(logits[:, :32], torch.tensor(GOLDEN[name]["logits"])) < 1e-10


@pytest.mark.parametrize("name", WITH_GRADIENTS)
@torch.no_grad()
def test_in_float32_only_rounding_is_between_them(name):
    network = load_published(name, t2t_tensors(name)).eval()

    logits = network(t2t_images(name).float())

    assert difference(logits[:, :32], torch.tensor(GOLDEN[name]["logits"])) < 1e-4


@pytest.mark.parametrize("name", WITH_GRADIENTS)
def test_every_gradient_is_that_of_the_official_code(name, in_float64):
    """Of each recorded: its length, and its product with a seeded probe."""
    seed, tensors = GOLDEN[name]["seed"], t2t_tensors(name)
    network = load_published(name, tensors).eval()
    logits = network(t2t_images(name))
    (logits * probe("logits", tuple(logits.shape), seed)).sum().backward()

    _, theirs = best_dialect(network, tensors)
    found = {theirs[ours]: p.grad for ours, p in network.named_parameters() if p.requires_grad}

    recorded = GOLDEN[name]["gradients"]
    assert found.keys() == recorded.keys()
    for entry, (length, product) in recorded.items():
        along = probe(entry, tuple(tensors[entry].shape), seed).reshape(found[entry].shape)
        assert found[entry].norm().item() == pytest.approx(length, rel=1e-10, abs=0), entry
        assert (found[entry] * along).sum().item() == pytest.approx(product, abs=1e-10 * length), entry


# --- BoTNet: a layer, a block, a stack ------------------------------------------------------------


def recorded_tensors(name):
    return seeded_tensors(GOLDEN[name]["state"], GOLDEN[name]["seed"])


def recorded_images(name):
    return seeded_images(GOLDEN[name]["input"], GOLDEN[name]["seed"])


def arriving(name):
    _, channels, height, width = GOLDEN[name]["input"]
    return FeatureShape(channels, height, width)


def assert_same_output(output, name):
    """Sixty-four values spread over the output, and the sum of the squares of all."""
    recorded = GOLDEN[name]["output"]
    flat = output.flatten()
    values = torch.stack([flat[i * len(flat) // 64] for i in range(64)])
    assert list(output.shape) == recorded["shape"]
    assert difference(values, torch.tensor(recorded["values"])) < 1e-10
    assert flat.square().sum().item() == pytest.approx(recorded["sum_of_squares"], rel=1e-10, abs=0)


def as_qkv(tensors, place, in_channels):
    """The authors' three projections ``[in, heads, d]`` as one 1x1 convolution ``[3 * heads * d, in, 1, 1]``."""
    projections = [tensors[f"{place}{letter}_proj.w"] for letter in "qkv"]
    return torch.cat([w.reshape(in_channels, -1).T for w in projections])[:, :, None, None]


def load(module, tensors):
    """Every tensor of the module is given, but the counters of batch norms."""
    counters = {n: t for n, t in module.state_dict().items() if n.endswith("num_batches_tracked")}
    module.load_state_dict({**counters, **tensors})
    return module.eval()


@torch.no_grad()
def test_the_attention_is_the_layer_of_botnets_authors(in_float64):
    """Theirs widens 16 channels to 32, ours keeps 32: sixteen channels that are silent make them alike."""
    tensors, images = recorded_tensors("botnet_mhsa"), recorded_images("botnet_mhsa")
    stage = MHSAStage(channels=32, depth=1, heads=4, expansion=1, rel_scale="both")
    qkv = as_qkv(tensors, "", in_channels=16)
    attention = load(
        MapAttention(stage.branch(), height=6, width=4),
        {
            "qkv.weight": torch.cat([qkv, torch.ones_like(qkv)], dim=1),
            "position.rows": tensors["relative.r_height"],
            "position.columns": tensors["relative.r_width"],
        },
    )

    output = attention(torch.cat([images, torch.zeros_like(images)], dim=1))

    assert_same_output(output, "botnet_mhsa")


def numbered(tensors, kind, places):
    """The authors' layers of a kind, which TensorFlow numbers as they are made: ``places`` of ours, in that order."""
    renamed = {}
    for number, place in enumerate(places):
        theirs = f"all2all.{kind}_{number}." if number else f"all2all.{kind}."
        renamed |= {
            f"{place}.{n.removeprefix(theirs)}": t for n, t in tensors.items() if n.startswith(theirs)
        }
    return renamed


@pytest.mark.parametrize(
    ("name", "stride", "projects"),
    [
        ("botnet_block_stride_2", 2, True),
        ("botnet_block_stride_1_projection", 1, True),
        ("botnet_block_stride_1", 1, False),
    ],
)
@torch.no_grad()
def test_a_block_with_an_active_shortcut_is_that_of_botnets_authors(name, stride, projects, in_float64):
    tensors, shape = recorded_tensors(name), arriving(name)
    stage = MHSAStage(channels=128, depth=1, stride=stride, norm_eps=1e-5, shortcut_activation=True)
    # Convolution, norm, activation, attention, pooling if it strides, norm, activation, convolution, norm.
    middle = 5 if stride > 1 else 4
    first, attention, second, last, closing = (
        f"0.branch.{i}" for i in (0, 3, middle, middle + 2, middle + 3)
    )
    shortcut = ["0.shortcut"] if projects else []
    block = load(
        stage.build(shape),
        {
            **numbered(tensors, "conv2d", [*(f"{s}.0" for s in shortcut), first, last]),
            **numbered(
                tensors, "batch_normalization", [*(f"{s}.1" for s in shortcut), "0.branch.1", second, closing]
            ),
            f"{attention}.qkv.weight": as_qkv(tensors, "all2all.", in_channels=32),
            f"{attention}.position.rows": tensors["all2all.relative.r_height"],
            f"{attention}.position.columns": tensors["all2all.relative.r_width"],
        },
    )

    output = block(recorded_images(name))

    assert_same_output(output, name)


LUCIDRAINS = "lucidrains_bottle_stack"
LUCIDRAINS_NAMES = {
    "net.3.to_qkv": "branch.3.qkv",
    "net.3.pos_emb.rel_height": "branch.3.position.rows",
    "net.3.pos_emb.rel_width": "branch.3.position.columns",
}


def from_lucidrains(name):
    """Their name as ours. They keep a place for the pooling in every block, we where there is one."""
    _, block, inside = name.split(".", 2)
    for theirs, ours in LUCIDRAINS_NAMES.items():
        if inside.startswith(theirs):
            return f"{block}.{inside.replace(theirs, ours)}"
    if inside.startswith("shortcut"):
        return f"{block}.{inside}"
    _, place, attribute = inside.split(".")
    moved = int(place) - (block == "1" and int(place) > 4)
    return f"{block}.branch.{moved}.{attribute}"


@torch.no_grad()
def test_a_stack_with_a_3x3_shortcut_is_that_of_lucidrains(in_float64):
    stage = MHSAStage(
        channels=32, depth=2, stride=2, expansion=0.5, shortcut="conv3x3", shortcut_activation=True
    )
    tensors = {from_lucidrains(name): tensor for name, tensor in recorded_tensors(LUCIDRAINS).items()}
    stack = load(stage.build(arriving(LUCIDRAINS)), tensors)

    output = stack(recorded_images(LUCIDRAINS))

    assert_same_output(output, LUCIDRAINS)
    assert sum(p.numel() for p in stack.parameters()) == GOLDEN[LUCIDRAINS]["parameters"]
