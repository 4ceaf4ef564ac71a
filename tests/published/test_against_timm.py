"""Our networks are those of timm and torchvision: the same weights give the same logits and gradients.

Agreement in float64 shows that the structure is the same, in float32 that rounding is small. The weights are
seeded, nothing is downloaded. Differences are relative to the spread of what is compared.
"""

import hashlib
import importlib
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from seeded_weights import probe, seeded_images, seeded_tensors
from torch import Tensor, nn

from archsearch.published import load_published
from archsearch.published.load import best_dialect

pytestmark = pytest.mark.usefixtures("undrawn")
SEED = 20210128
FLOAT64, FLOAT32 = 1e-10, 1e-4


def of_torchvision(model):
    return importlib.import_module("torchvision.models").get_model(model)


def of_timm(model):
    return importlib.import_module("timm").create_model(model)


def of_byobnet(stem, blocks):
    """A network of timm's construction kit, for those of which it has no ready one.

    ``blocks`` are kind, depth, width and stride of each stage; positions are scaled as in the BoTNet paper.
    """
    byobnet = importlib.import_module("timm.models.byobnet")
    stages = (
        byobnet.ByoBlockCfg(type=t, d=d, c=c, s=s, gs=0, br=1 if t == "basic" else 0.25)
        for t, d, c, s in blocks
    )
    config = byobnet.ByoModelCfg(
        blocks=tuple(stages),
        stem_chs=64,
        stem_type=stem,
        stem_pool="maxpool",
        fixed_input_size=True,
        self_attn_layer="bottleneck",
        self_attn_kwargs={"scale_pos_embed": True},
    )
    return byobnet.ByobNet(config, img_size=224)


def bot(last_stride):
    trunk = [("bottle", 3, 256, 1), ("bottle", 4, 512, 2), ("bottle", 6, 1024, 2)]
    return of_byobnet("7x7", [*trunk, ("self_attn", 3, 2048, last_stride)])


def plain(block, widths):
    strides = {width: 1 if width == widths[0] else 2 for width in widths}
    return of_byobnet("7x7", [(block, 2, width, stride) for width, stride in strides.items()])


# What is compared: our name, and how the other side is built.
NETWORKS = {
    **{
        f"{name}, torchvision": (name, partial(of_torchvision, model))
        for name, model in {
            "resnet18": "resnet18",
            "resnet50": "resnet50",
            "resnet101": "resnet101",
            "resnet152": "resnet152",
            "vit_base_patch32_224": "vit_b_32",
            "vit_base_patch16_224": "vit_b_16",
        }.items()
    },
    **{
        f"{name}, timm": (name, partial(of_timm, name))
        for name in (
            "resnet26",
            "resnet50",
            "botnet26t_256",
            "botnet50ts_256",
            "vit_tiny_patch16_224",
            "vit_small_patch16_224",
            "vit_base_patch32_224",
            "vit_base_patch16_224",
            "vit_large_patch16_224",
            "deit_small_distilled_patch16_224",
            "vit_base_resnet50d_224",
        )
    },
    "resnet18, byobnet": ("resnet18", partial(plain, "basic", (64, 128, 256, 512))),
    "resnet26, byobnet": ("resnet26", partial(plain, "bottle", (256, 512, 1024, 2048))),
    "bot50, byobnet": ("bot50", partial(bot, 2)),
    "bot_s1_50, byobnet": ("bot_s1_50", partial(bot, 1)),
}
# The largest of a family take their time: of 304 million weights float32 is enough. What float64 shows of the others,
# that the structure is the same, leaves to float32 the rounding, and the smaller ones show that.
IN_FLOAT64 = [network for network in NETWORKS if "vit_large" not in network]
IN_FLOAT32 = [n for n in NETWORKS if not n.startswith(("vit_base_patch", "resnet101", "resnet152"))]
ONE_OF_EACH_FAMILY = ["resnet18, torchvision", "botnet26t_256, timm", "vit_tiny_patch16_224, timm"]
WITH_BATCH_NORM = ["resnet18, torchvision", "resnet26, timm", "botnet26t_256, timm"]


@dataclass(frozen=True)
class Published:
    """The other side: a module without numbers, and seeded numbers by its names."""

    name: str
    module: nn.Module
    tensors: dict[str, Tensor]

    def theirs(self, dtype, *, training=False):
        """The published implementation with a copy of these weights."""
        weights = {
            name: tensor.to(dtype if tensor.is_floating_point() else tensor.dtype, copy=True)
            for name, tensor in self.tensors.items()
        }
        self.module.load_state_dict(weights, assign=True)
        return self.module.train(training)

    def ours(self, *, training=False):
        """Our network of this name with the same weights."""
        return load_published(self.name, self.tensors).train(training)

    def images(self, batch):
        pixels = 256 if self.name.endswith("256") else 224
        return seeded_images((batch, 3, pixels, pixels), SEED)


def drawn_by_torch(key, shape):
    """Both sides are computed here, so numbers that last are not needed, and these come three times as fast."""
    generator = torch.Generator().manual_seed(
        int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")
    )
    return torch.randn(shape, generator=generator, dtype=torch.float32).double()


@pytest.fixture(scope="module")
def published(request, timm):
    name, build = NETWORKS[request.param]
    with torch.device("meta"):
        module = build()
    shapes = {entry: tuple(tensor.shape) for entry, tensor in module.state_dict().items()}
    return Published(name, module, seeded_tensors(shapes, SEED, drawn_by_torch))


def of(networks):
    return pytest.mark.parametrize("published", networks, indirect=True)


def difference(found, expected):
    """The largest, relative to the spread of what is expected; to its size, where it has none."""
    scale = expected.std() if expected.numel() > 1 else expected.abs()
    return ((found - expected).abs().max() / scale).item()


def by_their_names(network, published, values):
    """Values by our tensors' names, put under the names and into the shapes of the other side."""
    _, theirs = best_dialect(network, published.tensors)
    return {theirs[ours]: v.reshape(published.tensors[theirs[ours]].shape) for ours, v in values.items()}


@of(IN_FLOAT32)
@torch.no_grad()
def test_the_logits_agree_in_float32(published):
    images = published.images(1).float()

    logits = published.ours()(images)

    assert difference(logits, published.theirs(torch.float32)(images)) < FLOAT32


@of(IN_FLOAT64)
@torch.no_grad()
def test_the_logits_agree_in_float64(published, in_float64):
    images = published.images(1)

    logits = published.ours()(images)

    assert difference(logits, published.theirs(torch.float64)(images)) < FLOAT64


@of(ONE_OF_EACH_FAMILY)
def test_every_gradient_agrees(published, in_float64):
    images = published.images(1)
    ours, theirs = published.ours(), published.theirs(torch.float64)
    for network in (ours, theirs):
        logits = network(images)
        (logits * probe("logits", tuple(logits.shape), SEED)).sum().backward()

    found = by_their_names(ours, published, {name: p.grad for name, p in ours.named_parameters()})
    expected = {name: p.grad for name, p in theirs.named_parameters()}

    assert found.keys() == expected.keys()
    assert not [name for name in expected if not difference(found[name], expected[name]) < FLOAT64]


@of(WITH_BATCH_NORM)
@torch.no_grad()
def test_a_batch_in_training_gives_the_same_logits_and_statistics(published, in_float64):
    images = published.images(2)
    ours, theirs = published.ours(training=True), published.theirs(torch.float64, training=True)

    logits = ours(images)

    assert difference(logits, theirs(images)) < FLOAT64
    expected = dict(theirs.named_buffers())
    found = by_their_names(ours, published, ours.state_dict())
    assert expected.keys() <= found.keys()
    counters = [name for name in expected if name.endswith("num_batches_tracked")]
    assert counters
    assert all(found[name] == expected[name] == 1 for name in counters)
    statistics = expected.keys() - set(counters)
    assert not [name for name in statistics if not difference(found[name], expected[name]) < FLOAT64]
