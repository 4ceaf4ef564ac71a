"""Where the spatial mixers of a built network sit, and how to run each of them by itself.

There is one site for each mixer of ``Architecture.mixers()``, in the same order. A residual branch with several
mixers (a basic block's two convolutions) is cut before each mixer but its first, so that each keeps the pointwise
layers beside it and reaches as far as it does alone, not as far as the whole branch.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, reduce
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from archsearch.architecture import Network
from archsearch.errors import DataError, Problem
from archsearch.shapes import FeatureShape
from archsearch.stages import Mixer, SpatialMixer
from archsearch.stages.mixers import is_attention
from archsearch.stages.mixers import window_of as mixer_window
from archsearch.stages.patch_stem import PatchEmbedding
from archsearch.stages.residual import Residual
from archsearch.stages.t2t_stem import TokenLayer, TokensToToken
from archsearch.stages.token_transformer import TokenTransformer
from archsearch.stages.tokens import SoftSplit, TransformerBlock

# Pixels of the images that go through a network at once: 8 images of 32 x 32. What lies between passes then fits
# into a processor's cache: up to twice as fast as 32 at once.
PIXELS = 2**13


class Window(NamedTuple):
    """Place ``u`` of what leaves a mixer looks at place ``stride * u + offset`` of what arrives, along an axis.

    That is the middle of its window; an even window leans down and right, as in ``counting.globality``.
    """

    stride: int
    offset: int

    def behind(self, first: "Window") -> "Window":
        """Both, ``first`` before this one."""
        return Window(first.stride * self.stride, first.offset + first.stride * self.offset)


IN_PLACE = Window(1, 0)


@dataclass(frozen=True)
class Sum:
    """A residual sum ``mixed(x) + kept(x)`` of what arrives at ``entered``."""

    entered: nn.Module
    mixed: Callable[[Tensor], Tensor]
    kept: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Operator:
    """A mixer that can be run.

    Attributes:
        entered: the module whose input is the mixer's: ``(B, C, H, W)``, or ``(B, own + H * W, C)`` where tokens
            of a stage's own stand before those of the map.
        run: that input to a map ``(B, C', H', W')``.
        window: where on ``H x W`` a place of ``H' x W'`` stands.
        total: the sum that it is a part of; None where there is no shortcut.
        attention: the module with its queries and keys; None if it has none.
    """

    entered: nn.Module
    run: Callable[[Tensor], Tensor]
    window: Window = IN_PLACE
    total: Sum | None = None
    attention: SpatialMixer | None = None


@dataclass(frozen=True)
class MixerSite:
    """An operator with the place of its part in the file, and what its structure says of it."""

    place: str
    mixer: Mixer
    operator: Operator


def mixer_sites(network: Network) -> list[MixerSite]:
    """One for each mixer of ``network.architecture.mixers()``, in the same order."""
    modules = (network.stem, *network.stages)
    return [
        MixerSite(place, mixer, operator)
        for (place, part, shape), module in zip(network.architecture.placed(), modules, strict=True)
        for mixer, operator in zip(part.mixers(shape), operators(module), strict=True)
    ]


def operators(module: nn.Module) -> Iterator[Operator]:
    """The mixers of what a part built."""
    match module:
        case Residual():
            yield from in_residual(module)
        case TokenTransformer():
            yield from in_token_transformer(module)
        case TokensToToken():
            yield from in_tokens_to_token(module)
        case PatchEmbedding():
            if mixer_window(module.project) != 1:
                yield Operator(module, module, window_of(module.project))
        case nn.Sequential() if isinstance(module[0], Residual):
            for block in module:
                yield from operators(block)
        case nn.Sequential():
            # A pooling is no mixer: the last convolution is judged before it.
            yield from in_chain([link for link in module if not isinstance(link, nn.MaxPool2d)], None)
        case _:
            raise TypeError(
                f"no mixers are known of a {type(module).__name__}; write how it mixes in operators()"
            )


def in_residual(block: Residual) -> Iterator[Operator]:
    """The shortcut's convolution, if it mixes, then the branch; each is a part of the sum of both."""
    if isinstance(block.shortcut, nn.Sequential):
        yield from in_chain(block.shortcut, Sum(block, block.shortcut, block.branch))
    if isinstance(block.branch, nn.Sequential):
        yield from in_chain(block.branch, Sum(block, block.branch, block.shortcut))


def in_chain(chain: Iterable[nn.Module], total: Sum | None) -> Iterator[Operator]:
    """A chain, cut before each mixer but its first."""
    links = list(chain)
    mixing = [index for index, link in enumerate(links) if mixer_window(link) != 1]
    cuts = [0, *mixing[1:], len(links)] if mixing else []
    for start, end in pairwise(cuts):
        part = links[start:end]
        attention = next(
            (link for link in part if isinstance(link, SpatialMixer) and is_attention(link)), None
        )
        yield Operator(part[0], nn.Sequential(*part), window_of(*part), total, attention)


def in_token_transformer(module: TokenTransformer) -> Iterator[Operator]:
    """The split with its projection, then the attention of each block with the norm before it."""
    if mixer_window(module.split) != 1:
        yield projected(module.split, module.grid)
    for block in module.blocks:
        if not isinstance(block, TransformerBlock):
            raise TypeError(f"{type(block).__name__} is no transformer block")
        mixed = nn.Sequential(block.attention_norm, block.attention)
        total = Sum(block, mixed, nn.Identity())
        yield Operator(block, folded(mixed, module.grid), total=total, attention=block.attention)


def in_tokens_to_token(module: TokensToToken) -> Iterator[Operator]:
    """Split, token layer, split, ..., split.

    A split alone copies its window. What it makes of it is read at the values of the token layer behind it, which
    are that layer's shortcut; the last split has a projection of its own.
    """
    for split, layer, grid in zip(module.splits, module.layers, module.grids, strict=False):
        if not isinstance(layer, TokenLayer):
            raise TypeError(f"{type(layer).__name__} is no token layer")
        if mixer_window(split) != 1:
            yield Operator(split, folded(partial(split_values, split, layer), grid), window_of(split))
        kept, mixed = partial(kept_values, layer), partial(mixed_values, layer)
        yield Operator(layer, folded(mixed, grid), total=Sum(layer, mixed, kept), attention=layer.mixer)
    if mixer_window(module.split) != 1:
        yield projected(module.split, module.grids[-1])


def projected(split: nn.Module, grid: FeatureShape) -> Operator:
    """A soft split with its projection."""
    return Operator(split, folded(split, grid), window_of(*split.children()))


def split_values(split: nn.Module, layer: TokenLayer, x: Tensor) -> Tensor:
    """What a token layer keeps of a map that is split before it: ``(B, C, H, W)`` to ``(B, N, width)``."""
    return kept_values(layer, split(x))


def kept_values(layer: TokenLayer, tokens: Tensor) -> Tensor:
    """What a token layer keeps of its tokens: their values, ``(B, N, width)``."""
    value: Tensor = layer.mixer(layer.norm(tokens))[0]
    return value


def mixed_values(layer: TokenLayer, tokens: Tensor) -> Tensor:
    """What a token layer adds to them: mixed values, projected, ``(B, N, token_channels)``."""
    out: Tensor = layer.project(layer.mixer(layer.norm(tokens))[1])
    return out


def folded(run: Callable[[Tensor], Tensor], grid: FeatureShape) -> Callable[[Tensor], Tensor]:
    """``run``, whose tokens ``(B, own + N, C)`` become the map ``(B, C, H, W)`` of ``grid``, without its own ones."""

    def mapped(x: Tensor) -> Tensor:
        return rearrange(run(x)[:, -grid.tokens :], "b (y x) c -> b c y x", y=grid.height)

    return mapped


def window_of(*chain: nn.Module) -> Window:
    """Of modules one after the other."""
    return reduce(lambda first, link: own_window(link).behind(first), chain, IN_PLACE)


def own_window(module: nn.Module) -> Window:
    """Of one module; its kernel, stride and padding are the same along both axes."""
    source: Any = module.unfold if isinstance(module, SoftSplit) else module
    if not isinstance(source, (nn.Conv2d, nn.AvgPool2d, nn.Unfold)):
        return IN_PLACE
    kernel, stride, padding = (
        value[0] if isinstance(value, tuple) else int(value)
        for value in (source.kernel_size, source.stride, source.padding)
    )
    return Window(stride, (kernel - 1) // 2 - padding)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """In evaluation mode meanwhile, afterwards as before: batch norms by their running statistics."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


@torch.no_grad()
def arrivals(network: nn.Module, images: Tensor, modules: Iterable[nn.Module]) -> Mapping[nn.Module, Tensor]:
    """What arrives at each of ``modules`` when ``images`` pass."""
    found: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        found[module] = arguments[0].detach()

    hooks = [module.register_forward_pre_hook(keep) for module in dict.fromkeys(modules)]
    try:
        network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def some_at_once(network: Network, images: Tensor) -> tuple[Tensor, ...]:
    """The images in batches that fit into memory.

    Raises:
        DataError: there are none, or they are not what the network takes.
    """
    shape = network.architecture.image.shape
    if images.ndim != 4 or images.shape[1:] != (shape.channels, shape.height, shape.width) or not len(images):
        what = f"a tensor {tuple(images.shape)} is no batch of {shape} images"
        raise DataError("images", [Problem("shape", what, "give (B, C, H, W), normalised as for training")])
    return torch.split(images, max(1, PIXELS // (shape.height * shape.width)))
