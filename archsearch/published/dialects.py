"""How other implementations name the tensors of a network that ours builds.

A dialect turns an architecture into pairs of names, ours and theirs: of a module, whose tensors bear
the same names in both (``weight``, ``bias``, ``running_mean``, ...), or of a single tensor. What a
dialect has no name for is no network of that implementation.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from archsearch.architecture import Architecture
from archsearch.stages import ConvStage, ConvStem, MHSAStage, Part, TokenTransformerStage

Names = Iterator[tuple[str, str]]


@dataclass(frozen=True)
class Block:
    """One residual block: its place with us, and its stage and number as ResNets count them."""

    ours: str
    part: ConvStage | MHSAStage
    layer: int
    number: int


@dataclass(frozen=True)
class Dialect:
    """An implementation, and its names for the tensors of an architecture."""

    implementation: str
    names: Callable[[Architecture], Names]

    def translate(self, architecture: Architecture, tensors: list[str]) -> Mapping[str, str] | None:
        """Their name for each of our ``tensors``; None if they have none for some."""
        theirs = dict(self.names(architecture))
        translated: dict[str, str] = {}
        for tensor in tensors:
            module, _, attribute = tensor.rpartition(".")
            if tensor in theirs:
                translated[tensor] = theirs[tensor]
            elif module in theirs:
                translated[tensor] = f"{theirs[module]}.{attribute}"
            else:
                return None
        return translated


def blocks(architecture: Architecture) -> Iterator[Block]:
    """The residual blocks in order. A ResNet's stage ends where the width changes."""
    layer, number, width = -1, 0, None
    for index, stage in enumerate(architecture.stages):
        if not isinstance(stage, ConvStage | MHSAStage):
            return
        for inner in range(stage.depth):
            layer, number = (layer, number + 1) if stage.channels == width else (layer + 1, 0)
            width = stage.channels
            yield Block(f"stages.{index}.{inner}", stage, layer, number)


def links(part: Part, place: str) -> Iterator[tuple[str, str]]:
    """Each convolution of a chain and its norm, by our names: an activation follows every norm."""
    count = 2 if isinstance(part, ConvStage) and part.block == "basic" else 3
    if isinstance(part, ConvStem):
        count = 1 + len(part.hidden_channels)
    yield from ((f"{place}.{3 * i}", f"{place}.{3 * i + 1}") for i in range(count))


def kept(block: Block) -> tuple[str, str]:
    """Convolution and norm of a block's shortcut; behind a pooling, if there is one."""
    pooled = block.part.shortcut == "avgpool_conv1x1" and block.number == 0 and block.part.stride > 1
    return f"{block.ours}.shortcut.{int(pooled)}", f"{block.ours}.shortcut.{int(pooled) + 1}"


def resnet_trunk(architecture: Architecture) -> Names:
    """Stem and stages of a ResNet as torchvision and timm name them."""
    if not isinstance(architecture.stem, ConvStem):
        return
    *inner, (last, last_norm) = links(architecture.stem, "stem")
    for index, (conv, norm) in enumerate(inner):
        yield conv, f"conv1.{3 * index}"
        yield norm, f"conv1.{3 * index + 1}"
    yield last, f"conv1.{3 * len(inner)}" if inner else "conv1"
    yield last_norm, "bn1"
    for block in blocks(architecture):
        if isinstance(block.part, MHSAStage):
            return
        place = f"layer{block.layer + 1}.{block.number}"
        for index, (conv, norm) in enumerate(links(block.part, f"{block.ours}.branch"), 1):
            yield conv, f"{place}.conv{index}"
            yield norm, f"{place}.bn{index}"
        # The pooling of ResNet-D has a place there even where it does nothing.
        first = int(block.part.shortcut == "avgpool_conv1x1")
        conv, norm = kept(block)
        yield conv, f"{place}.downsample.{first}"
        yield norm, f"{place}.downsample.{first + 1}"


def resnet(architecture: Architecture) -> Names:
    """ResNets as torchvision and timm name them."""
    yield from resnet_trunk(architecture)
    yield "head.linear", "fc"


def byobnet(architecture: Architecture) -> Names:
    """BoTNets and ResNets as timm's ByobNet names them."""
    if isinstance(architecture.stem, ConvStem):
        chain = list(links(architecture.stem, "stem"))
        for index, (conv, norm) in enumerate(chain, 1):
            place = f"stem.conv{index}" if len(chain) > 1 or architecture.stem.pool != "none" else "stem"
            yield conv, f"{place}.conv"
            yield norm, f"{place}.bn"
    for block in blocks(architecture):
        yield from byobnet_block(block, f"stages.{block.layer}.{block.number}")
    yield "head.linear", "head.fc"


def byobnet_block(block: Block, place: str) -> Names:
    """One block of either kind, and its shortcut."""
    branch = f"{block.ours}.branch"
    conv, norm = kept(block)
    yield from ((conv, f"{place}.shortcut.conv"), (norm, f"{place}.shortcut.bn"))
    if isinstance(block.part, ConvStage):
        basic = block.part.block == "basic"
        for (conv, norm), name in zip(links(block.part, branch), BASIC if basic else BOTTLENECK, strict=True):
            yield conv, f"{place}.{name}.conv"
            yield norm, f"{place}.{name}.bn"
        return
    # Convolution, norm, activation, attention, pooling if it strides, norm, activation, convolution, norm.
    behind = 5 if block.ours.endswith(".0") and block.part.stride > 1 else 4
    yield f"{branch}.0", f"{place}.conv1_1x1.conv"
    yield f"{branch}.1", f"{place}.conv1_1x1.bn"
    yield f"{branch}.3.qkv", f"{place}.self_attn.qkv"
    yield f"{branch}.3.position.rows", f"{place}.self_attn.pos_embed.height_rel"
    yield f"{branch}.3.position.columns", f"{place}.self_attn.pos_embed.width_rel"
    yield f"{branch}.{behind}", f"{place}.post_attn"
    yield f"{branch}.{behind + 2}", f"{place}.conv3_1x1.conv"
    yield f"{branch}.{behind + 3}", f"{place}.conv3_1x1.bn"


BASIC = ("conv1_kxk", "conv2_kxk")
BOTTLENECK = ("conv1_1x1", "conv2_kxk", "conv3_1x1")


def transformer(
    architecture: Architecture, names: Mapping[str, str], block: Mapping[str, str], blocks_at: str
) -> Names:
    """The transformer at the end of a network: ``names`` in it, ``block`` in each of its blocks; none if it has none."""
    last = architecture.stages[-1]
    if not isinstance(last, TokenTransformerStage):
        return
    place = f"stages.{len(architecture.stages) - 1}"
    for ours, theirs in names.items():
        yield ours if ours.startswith("head.") else f"{place}.{ours}", theirs
    for index in range(last.depth):
        for ours, theirs in block.items():
            yield f"{place}.blocks.{index}.{ours}", f"{blocks_at}{index}.{theirs}"


# As timm, DeiT and the official T2T-ViT name them.
TRANSFORMER = {
    "class_token": "cls_token",
    "distillation_token": "dist_token",
    "position.table": "pos_embed",
    "norm": "norm",
    "head.linear": "head",
    "head.distilled": "head_dist",
}
TRANSFORMER_BLOCK = {
    "attention_norm": "norm1",
    "attention.qkv": "attn.qkv",
    "attention.project": "attn.proj",
    "mlp_norm": "norm2",
    "mlp.0": "mlp.fc1",
    "mlp.2": "mlp.fc2",
}


def vit(architecture: Architecture) -> Names:
    """Vision transformers as timm and DeiT name them, on patches or on a ResNet."""
    split = {"split.1": "patch_embed.proj"}
    yield from transformer(architecture, TRANSFORMER | split, TRANSFORMER_BLOCK, "blocks.")
    yield "stem.project", "patch_embed.proj"
    for ours, theirs in resnet_trunk(architecture):
        yield ours, f"patch_embed.backbone.{theirs}"


def torchvision_vit(architecture: Architecture) -> Names:
    """Vision transformers as torchvision names them."""
    yield from transformer(architecture, TORCHVISION, TORCHVISION_BLOCK, "encoder.layers.encoder_layer_")
    yield "stem.project", "conv_proj"


TORCHVISION = {
    "class_token": "class_token",
    "position.table": "encoder.pos_embedding",
    "norm": "encoder.ln",
    "head.linear": "heads.head",
}
TORCHVISION_BLOCK = {
    "attention_norm": "ln_1",
    "attention.qkv.weight": "self_attention.in_proj_weight",
    "attention.qkv.bias": "self_attention.in_proj_bias",
    "attention.project": "self_attention.out_proj",
    "mlp_norm": "ln_2",
    "mlp.0": "mlp.0",
    "mlp.2": "mlp.3",
}


def t2t_vit(architecture: Architecture) -> Names:
    """T2T-ViTs as the official implementation names them."""
    yield from transformer(architecture, TRANSFORMER, TRANSFORMER_BLOCK, "blocks.")
    layers = len(getattr(architecture.stem, "kernels", ())) - 1
    for index in range(layers):
        ours, theirs = f"stem.layers.{index}", f"tokens_to_token.attention{index + 1}"
        yield f"{ours}.norm", f"{theirs}.norm1"
        yield f"{ours}.mlp_norm", f"{theirs}.norm2"
        performer = getattr(architecture.stem, "attention", None) == "performer"
        for module, name in (T2T_PERFORMER if performer else T2T_TRANSFORMER).items():
            yield f"{ours}.{module}", f"{theirs}.{name}"
    yield "stem.split.1", "tokens_to_token.project"


T2T_PERFORMER = {
    "mixer.kqv": "kqv",
    "mixer.directions": "w",
    "project": "proj",
    "mlp.0": "mlp.0",
    "mlp.2": "mlp.2",
}
T2T_TRANSFORMER = {
    "mixer.qkv": "attn.qkv",
    "project": "attn.proj",
    "mlp.0": "mlp.fc1",
    "mlp.2": "mlp.fc2",
}

DIALECTS = (
    Dialect("the ResNets of torchvision and timm", resnet),
    Dialect("timm's ByobNet", byobnet),
    Dialect("the vision transformers of timm and DeiT", vit),
    Dialect("the vision transformers of torchvision", torchvision_vit),
    Dialect("the official T2T-ViT", t2t_vit),
)
