"""Stems, stages and heads in the words of a standalone file: which blocks, with which numbers."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from archsearch.export.blocks import heads, map_attention, residual, stems, tokens
from archsearch.export.codegen import Call, Several, Star, Word, call
from archsearch.shapes import FeatureShape, split_padding
from archsearch.stages import (
    ConvStage,
    ConvStem,
    Head,
    MHSAStage,
    Part,
    PatchStem,
    T2TStem,
    TokenTransformerStage,
)
from archsearch.stages.residual import ResidualStage

ACTIVATIONS = {"relu": "nn.ReLU", "silu": "nn.SiLU", "gelu": "nn.GELU"}
# A stage, the map that arrives, the stride, and the other arguments by their names.
Block = Callable[[Any, FeatureShape, int, dict[str, Any]], Call]
HEADS: Mapping[str, Callable[..., Any]] = {
    "mean": heads.MeanHead,
    "cls": heads.ClassTokenHead,
    "distilled": heads.DistilledHead,
}


def stem_call(stem: Part, image: FeatureShape) -> Call:
    """The stem's module, for images of that shape."""
    match stem:
        case ConvStem():
            return conv_stem(stem, image)
        case PatchStem():
            rest = {"right": -image.width % stem.size, "below": -image.height % stem.size}
            return call(stems.PatchEmbedding, image.channels, stem.channels, stem.size, named=rest)
        case T2TStem():
            return t2t_stem(stem, image)
    raise ValueError(f"a {stem.kind} stem has no standalone words")


def stage_call(stage: Part, shape: FeatureShape) -> Call:
    """The stage's module, behind a map of that shape."""
    match stage:
        case ConvStage():
            return chain(stage, shape, conv_block)
        case MHSAStage():
            return chain(stage, shape, attention_block)
        case TokenTransformerStage():
            return token_transformer(stage, shape)
    raise ValueError(f"a {stage.kind} stage has no standalone words")


def head_call(head: Head, channels: int, classes: int) -> Call:
    """The head's module."""
    return call(HEADS[head.pool], channels, classes)


def conv_stem(stem: ConvStem, image: FeatureShape) -> Call:
    """Convolutions, each with its norm and its activation, the first one striding; and a pooling."""
    widths = (image.channels, *stem.hidden_channels, stem.channels)
    modules: list[Call] = []
    for index, (arriving, leaving) in enumerate(pairwise(widths)):
        stride = 1 if index else stem.stride
        modules += [
            call(residual.conv, arriving, leaving, named={"kernel": stem.kernel, "stride": stride}),
            Call("nn.BatchNorm2d", [leaving], eps_of(stem.norm_eps, 1e-5)),
            Call(ACTIVATIONS[stem.activation]),
        ]
    pool = [Call("nn.MaxPool2d", [3], {"stride": 2, "padding": 1})] if stem.pool == "max" else []
    return Call("nn.Sequential", [*modules, *pool])


def eps_of(eps: float, default: float) -> dict[str, float]:
    """A norm's epsilon, where it is not torch's own."""
    return {} if eps == default else {"eps": eps}


def t2t_stem(stem: T2TStem, image: FeatureShape) -> Call:
    """Splits and token layers, in the order of the image's way."""
    windows = list(zip(stem.kernels, stem.strides, strict=True))
    arriving = [image.channels, *[stem.token_channels] * (len(windows) - 1)]
    widths = [channels * kernel**2 for channels, (kernel, _) in zip(arriving, windows, strict=True)]
    return call(
        stems.TokensToToken,
        named={
            "grids": [(grid.height, grid.width) for grid in stem.grids(image)],
            "splits": [soft_split(*window) for window in windows[:-1]],
            "layers": [token_layer(stem, width) for width in widths[:-1]],
            "split": projected(soft_split(*windows[-1]), widths[-1], stem.channels),
        },
    )


def soft_split(kernel: int, stride: int) -> Call:
    """The windows of a split."""
    return call(tokens.SoftSplit, kernel, stride, named={"padding": split_padding(kernel, stride)})


def projected(split: Call, window_width: int, width: int) -> Call:
    """A split, and the linear layer behind it."""
    return Call("nn.Sequential", [split, call(tokens.linear, window_width, width)])


def token_layer(stem: T2TStem, window_width: int) -> Call:
    """What stands between two splits."""
    width = stem.token_channels
    mixer = (
        call(stems.SoftmaxMixer, window_width, width)
        if stem.attention == "softmax"
        else call(stems.PerformerMixer, window_width, width, stem.features)
    )
    return call(stems.TokenLayer, window_width, width, mixer, named={"eps": stem.norm_eps})


def chain(stage: ResidualStage, shape: FeatureShape, block: Block) -> Call:
    """Residual blocks in a row: the first one strides and has the shortcut."""
    common = {"activation": Word(ACTIVATIONS[stage.activation]), "eps": stage.norm_eps}
    first = {"shortcut": shortcut(stage, shape), **common}
    blocks: list[Any] = [block(stage, shape, stage.stride, first)]
    if stage.depth > 1:
        more = block(stage, stage.out_shape(shape), 1, common)
        blocks.append(more if stage.depth == 2 else Several(more, stage.depth - 1, spread=True))
    return Call("nn.Sequential", blocks)


def shortcut(stage: ResidualStage, shape: FeatureShape) -> Call | None:
    """How the first block keeps its input; None if as it is."""
    if stage.stride == 1 and shape.channels == stage.channels:
        return None
    named: dict[str, Any] = {"stride": stage.stride, "eps": stage.norm_eps}
    if stage.shortcut == "avgpool_conv1x1":
        kept = call(residual.pooled_shortcut, shape.channels, stage.channels, named=named)
    else:
        kernel = {"kernel": 3 if stage.shortcut == "conv3x3" else 1}
        kept = call(residual.conv_shortcut, shape.channels, stage.channels, named=kernel | named)
    if not stage.shortcut_activation:
        return kept
    return Call("nn.Sequential", [Star(kept), Call(ACTIVATIONS[stage.activation])])


def conv_block(stage: ConvStage, arriving: FeatureShape, stride: int, named: dict[str, Any]) -> Call:
    """One block of convolutions."""
    plain = {"kernel": stage.kernel, "groups": stage.groups}
    strided = {"kernel": stage.kernel, "stride": stride, "groups": stage.groups}
    if stage.block == "basic":
        first = call(residual.conv, arriving.channels, stage.channels, named=strided)
        second = call(residual.conv, stage.channels, stage.channels, named=plain)
        return call(residual.BasicBlock, first, second, named=named)
    spatial = [call(residual.conv, stage.width, stage.width, named=strided)]
    return call(residual.Bottleneck, arriving.channels, stage.width, stage.channels, spatial, named=named)


def attention_block(stage: MHSAStage, arriving: FeatureShape, stride: int, named: dict[str, Any]) -> Call:
    """One block with attention at the map that arrives, and a pooling where it strides."""
    options = {
        "heads": stage.heads,
        "position": map_position(stage, arriving),
        "qkv_bias": stage.qkv_bias,
        "scale": 1.0 if stage.position == "article" else None,
    }
    spatial = [call(map_attention.MapAttention, stage.width, named=options)]
    spatial += [call(residual.average_pool, stride)] if stride > 1 else []
    return call(residual.Bottleneck, arriving.channels, stage.width, stage.channels, spatial, named=named)


def map_position(stage: MHSAStage, arriving: FeatureShape) -> Call | None:
    """What an attention's logits know of places."""
    size = (arriving.height, arriving.width)
    if stage.position == "relative":
        head_width = stage.width // stage.heads
        scale = Word(f"{head_width}**-0.5") if stage.rel_scale == "both" else 1.0
        return call(map_attention.RelativePosition, *size, head_width, named={"scale": scale})
    if stage.position == "article":
        return call(map_attention.AbsolutePosition, *size, stage.width, named={"heads": stage.heads})
    return None


def token_transformer(stage: TokenTransformerStage, shape: FeatureShape) -> Call:
    """The entry, the positions, the blocks and the norm; own tokens where the stage has them."""
    grid, width, eps = stage.out_shape(shape), stage.channels, stage.norm_eps
    options = {
        "heads": stage.heads,
        "hidden": stage.hidden,
        "qkv_bias": stage.qkv_bias,
        "gelu": "tanh" if stage.gelu == "tanh" else "none",
        "eps": eps,
    }
    block = call(tokens.TransformerBlock, width, named=options)
    named = {
        "split": entry(stage, shape.channels),
        "grid": (grid.height, grid.width),
        "position": token_position(stage, grid.tokens + stage.own_tokens),
        "blocks": [block] if stage.depth == 1 else Several(block, stage.depth),
        "norm": Call("nn.LayerNorm", [width], eps_of(eps, 1e-5)),
    }
    if not stage.class_token:
        return call(tokens.TokenTransformer, named=named)
    named["distillation"] = stage.distillation_token
    return call(tokens.TokenTransformerWithTokens, named=named)


def entry(stage: TokenTransformerStage, in_channels: int) -> Call:
    """How the map becomes tokens."""
    if stage.entry == "direct":
        return call(tokens.Flatten)
    split = soft_split(stage.split_kernel, stage.stride)
    return projected(split, in_channels * stage.split_kernel**2, stage.channels)


def token_position(stage: TokenTransformerStage, count: int) -> Call:
    """What is added to the tokens."""
    if stage.position == "none":
        return Call("nn.Identity")
    block = tokens.LearnedPosition if stage.position == "learned" else tokens.SinusoidPosition
    return call(block, count, stage.channels)
