"""An example of every kind of stem and of stage, and of the options that change how it mixes.

Every contract test runs over these; a new kind adds one. Stems take any image and leave 8 channels; stages take
maps of 8 channels.
"""

from archsearch.stages import ConvStage, ConvStem, MHSAStage, PatchStem, T2TStem, TokenTransformerStage

STEMS = {
    "conv": ConvStem(channels=8, kernel=3, stride=2),
    "conv with pool": ConvStem(channels=8, kernel=5, stride=2, pool="max"),
    "deep conv": ConvStem(channels=8, stride=2, hidden_channels=(4, 6), activation="silu"),
    "deep conv with pool": ConvStem(
        channels=8, stride=2, hidden_channels=(8, 12), pool="max", activation="silu", norm_eps=1e-3
    ),
    "point": ConvStem(channels=8, kernel=1),
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
    "conv, groups": ConvStage(channels=32, depth=1, groups=4, expansion=0.5),
    "conv, identity shortcut": ConvStage(channels=8, depth=1, expansion=2),
    "conv, pooled shortcut": ConvStage(channels=32, depth=2, stride=2, shortcut="avgpool_conv1x1"),
    "conv, active 3x3 shortcut": ConvStage(
        channels=32, depth=2, stride=2, shortcut="conv3x3", shortcut_activation=True, activation="gelu"
    ),
    "1x1": ConvStage(channels=8, depth=1, kernel=1, expansion=0.5),
    "1x1, mixing shortcut": ConvStage(channels=16, depth=2, kernel=1, stride=2, shortcut="conv3x3"),
    "mhsa": MHSAStage(channels=16, depth=2, heads=2, stride=2, expansion=0.5),
    "mhsa, mixing shortcut": MHSAStage(
        channels=16, depth=2, heads=2, stride=3, expansion=0.5, shortcut="conv3x3", position="none"
    ),
    "mhsa, no stride": MHSAStage(channels=32, depth=2, heads=2, expansion=0.5),
    "mhsa, article": MHSAStage(
        channels=8, depth=2, heads=1, position="article", expansion=0.5, qkv_bias=True
    ),
    "mhsa, content": MHSAStage(
        channels=8, depth=1, heads=2, rel_scale="content", shortcut="avgpool_conv1x1", activation="silu"
    ),
    "mhsa, pooled shortcut": MHSAStage(channels=32, depth=1, stride=2, shortcut="avgpool_conv1x1"),
    "tokens": TokenTransformerStage(channels=8, depth=2, stride=2),
    "tokens, even split": TokenTransformerStage(channels=8, depth=1, stride=2, split_kernel=4),
    "tokens, direct": TokenTransformerStage(
        channels=8, depth=1, entry="direct", heads=2, position="none", qkv_bias=False
    ),
    "tokens, split of one": TokenTransformerStage(
        channels=16, depth=1, split_kernel=1, class_token=True, mlp_ratio=2.5
    ),
    "tokens, own": TokenTransformerStage(channels=8, depth=2, class_token=True, distillation_token=True),
    "tokens, tanh": TokenTransformerStage(channels=16, depth=1, stride=2, gelu="tanh"),
    "tokens, sinusoid": TokenTransformerStage(
        channels=16, depth=1, stride=2, position="sinusoid", class_token=True
    ),
}


def one_of_each(parts):
    """The first example of each kind, by the kind's name."""
    found = {}
    for part in parts.values():
        found.setdefault(part.kind, part)
    return found
