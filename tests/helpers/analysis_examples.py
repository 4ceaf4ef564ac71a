"""What the tests of this room measure: an example of every kind, and networks of one mixer."""

import torch
from torch import nn

from archsearch.architecture import Architecture, Image, seeded_network
from archsearch.stages import ConvStage, ConvStem, Head, MHSAStage, PatchStem, T2TStem, TokenTransformerStage

POINT = ConvStem(channels=8, kernel=1)
NOTHING = ConvStage(channels=8, depth=1, kernel=1, expansion=0.5)
ATTENTION = MHSAStage(channels=8, depth=1, heads=2, expansion=0.5)
TOKENS = TokenTransformerStage(channels=8, depth=1, entry="direct", heads=2)

STEMS = {
    "point": POINT,
    "conv": ConvStem(channels=8, kernel=3, stride=2),
    "conv with pool": ConvStem(channels=8, kernel=5, stride=2, pool="max"),
    "deep conv": ConvStem(channels=8, stride=2, hidden_channels=(4, 6), activation="silu"),
    "patch": PatchStem(channels=8, size=4),
    "patch of one": PatchStem(channels=8, size=1),
    "t2t performer": T2TStem(channels=8, kernels=(3, 3), strides=(2, 2), token_channels=4, features=6),
    "t2t softmax": T2TStem(
        channels=8, kernels=(5, 1, 3), strides=(2, 1, 2), token_channels=4, attention="softmax"
    ),
}
STAGES = {
    "bottleneck": ConvStage(channels=16, depth=2, stride=2),
    "basic": ConvStage(channels=8, depth=2, block="basic", kernel=5),
    "basic, mixing shortcut": ConvStage(channels=16, depth=1, stride=2, block="basic", shortcut="conv3x3"),
    "1x1": NOTHING,
    "1x1, mixing shortcut": ConvStage(channels=16, depth=2, kernel=1, stride=2, shortcut="conv3x3"),
    "mhsa": MHSAStage(channels=16, depth=2, heads=2, stride=2, expansion=0.5),
    "mhsa, mixing shortcut": MHSAStage(
        channels=16, depth=2, heads=2, stride=3, expansion=0.5, shortcut="conv3x3", position="none"
    ),
    "mhsa, article": MHSAStage(
        channels=8, depth=1, heads=1, position="article", expansion=0.5, qkv_bias=True
    ),
    "mhsa, content": MHSAStage(channels=8, depth=1, heads=2, rel_scale="content", shortcut="avgpool_conv1x1"),
    "tokens": TokenTransformerStage(channels=8, depth=2, stride=2),
    "tokens, even split": TokenTransformerStage(channels=8, depth=1, stride=2, split_kernel=4),
    "tokens, direct": TOKENS,
    "tokens, own": TokenTransformerStage(channels=8, depth=2, class_token=True, distillation_token=True),
}


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
