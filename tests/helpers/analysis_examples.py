"""What the tests of this room measure: an example of every kind, and networks of one mixer."""

import torch
from examples import STAGES, STEMS
from torch import nn

from archsearch.architecture import Architecture, Image, seeded_network
from archsearch.stages import Head, MHSAStage, TokenTransformerStage

POINT = STEMS["point"]
NOTHING = STAGES["1x1"]
ATTENTION = MHSAStage(channels=8, depth=1, heads=2, expansion=0.5)
TOKENS = TokenTransformerStage(channels=8, depth=1, entry="direct", heads=2)


def architecture(stem=POINT, *stages, height=17, width=9, channels=3, pool="mean"):
    image = Image(channels=channels, height=height, width=width)
    return Architecture(image=image, classes=10, stem=stem, stages=stages or (NOTHING,), head=Head(pool=pool))


def trained(described, seed=0):
    """The network as training makes it: norms scale, branches that start at zero are awake, queries ask."""
    network = seeded_network(described, seed)
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
    return network.eval()


def awake(*parts, **image):
    return trained(architecture(*parts, **image))


def images(network, count=4, seed=0):
    image = network.architecture.image
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, image.channels, image.height, image.width, generator=generator)


def blind(network):
    """Queries and keys are zero: every attention is the mean over its places."""
    for module in network.modules():
        for name, child in module.named_children():
            if name in {"qkv", "kqv"}:
                count = len(child.weight) // 3
                nn.init.zeros_(child.weight[: 2 * count])
                if child.bias is not None:
                    nn.init.zeros_(child.bias[: 2 * count])
    return network


def every_part():
    """Every stem before a stage that mixes nothing, every stage behind a stem that mixes nothing."""
    return {**{f"stem {name}": (stem, NOTHING) for name, stem in STEMS.items()}} | {
        f"stage {name}": (POINT, stage) for name, stage in STAGES.items()
    }
