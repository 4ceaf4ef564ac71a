"""The tokens-to-token stem: soft splits of any kernel and stride, a token layer between each two.

Source: T2T-ViT, Yuan et al. 2021, https://arxiv.org/abs/2101.11986, section 3.1 and figure 3, with what
its code adds to the paper: the token layer keeps its value, not its input, as the residual, and scales
by the width that arrives. Performer: Choromanski et al. 2021, https://arxiv.org/abs/2009.14794, section 2.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from archsearch.errors import Problem
from archsearch.shapes import FeatureShape, split_shape
from archsearch.stages.base import (
    Channels,
    Epsilon,
    InactiveWhen,
    Kernel,
    ModuleCall,
    Part,
    Stride,
    attention_problems,
    split_problems,
)
from archsearch.stages.mixer_paths import MixerPath, ResidualSum, find_mixer_paths
from archsearch.stages.mixers import Mixer, SpatialMixer, softmax_weights
from archsearch.stages.tokens import MLP, ProjectedSplit, SoftSplit, fold, linear

Splits = Annotated[tuple[Kernel, ...], Field(min_length=2, max_length=6)]
Strides = Annotated[tuple[Stride, ...], Field(min_length=2, max_length=6)]


class T2TStem(Part):
    """Soft splits with ``kernels`` and ``strides``, first to last, and a linear layer to ``channels``.

    Behind every split but the last stands one single-head token layer of width ``token_channels``:
    ``softmax`` attention (T2T-ViT_t) or a ``performer`` with ``features`` random features, whose cost
    grows linearly with the tokens. The published code drops a tenth at the end of a performer's two
    residual branches in training: that is a matter of the recipe, and left out here.
    """

    kind: Literal["t2t"] = "t2t"
    letter: ClassVar[str] = "T"
    summary_fields: ClassVar[tuple[str, ...]] = ("kernels", "strides", "attention")
    inactive_when: ClassVar[Mapping[str, InactiveWhen]] = {
        "features": InactiveWhen("attention", ("softmax",))
    }

    channels: Channels
    kernels: Splits = (7, 3, 3)
    strides: Strides = (4, 2, 2)
    token_channels: Channels = 64
    attention: Literal["softmax", "performer"] = "performer"
    features: Channels = 32
    norm_eps: Epsilon = 1e-5

    def problems(self, shape: FeatureShape) -> list[Problem]:
        """As many strides as kernels; at every split, windows that fit and cover, and not too many tokens."""
        if len(self.kernels) != len(self.strides):
            what = f"{len(self.kernels)} kernels and {len(self.strides)} strides"
            return [Problem("strides", what, "write one stride for each kernel, first split to last")]
        for index, (kernel, stride) in enumerate(zip(self.kernels, self.strides, strict=True)):
            place = f"kernels.{index}"
            if found := split_problems(kernel, stride, shape, place):
                return found
            shape = split_shape(shape, kernel, stride, self.token_channels)
            attends = self.attention == "softmax" and index < len(self.kernels) - 1
            if attends and (found := attention_problems(shape, f"strides.{index}")):
                return found
        return []

    def grids(self, shape: FeatureShape) -> list[FeatureShape]:
        """The map behind each soft split, ``token_channels`` wide but for the last."""
        grids = []
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            shape = split_shape(shape, kernel, stride, self.token_channels)
            grids.append(shape)
        return [*grids[:-1], FeatureShape(self.channels, shape.height, shape.width)]

    def out_shape(self, shape: FeatureShape) -> FeatureShape:
        """``channels`` at one position for each window of the last split."""
        return self.grids(shape)[-1]

    def mixers(self, shape: FeatureShape) -> list[Mixer]:
        """Split, token layer, split, ..., split."""
        mixers: list[Mixer] = []
        for kernel, grid in zip(self.kernels, self.grids(shape), strict=True):
            if kernel > 1:
                mixers.append(Mixer(shape.height, shape.width, kernel))
            mixers.append(Mixer(grid.height, grid.width, None, attention=True))
            shape = grid
        return mixers[:-1]

    def module(self, shape: FeatureShape) -> ModuleCall:
        """Splits and token layers."""
        return ModuleCall(
            TokensToToken,
            {
                "in_channels": shape.channels,
                "splits": tuple(zip(self.kernels, self.strides, strict=True)),
                "grids": tuple(self.grids(shape)),
                "attention": self.attention,
                "features": self.features,
                "norm_eps": self.norm_eps,
            },
        )


class TokensToToken(nn.Module):
    """Soft splits with a token layer between each two: ``(B, C, H, W)`` to ``(B, channels, H', W')``.

    ``splits`` are kernel and stride of each, ``grids`` the map behind each.

    Source: T2T-ViT, Yuan et al. 2021, https://arxiv.org/abs/2101.11986, section 3.1 and its code.
    """

    def __init__(
        self,
        in_channels: int,
        splits: tuple[tuple[int, int], ...],
        grids: tuple[FeatureShape, ...],
        attention: str,
        features: int,
        norm_eps: float,
    ) -> None:
        super().__init__()
        self.grids = grids
        self.splits = nn.ModuleList(SoftSplit(kernel, stride) for kernel, stride in splits[:-1])
        arriving = (in_channels, *(grid.channels for grid in grids))
        self.layers = nn.ModuleList(
            TokenLayer(channels * kernel**2, grid.channels, attention, features, norm_eps)
            for channels, (kernel, _), grid in zip(arriving, splits[:-1], grids, strict=False)
        )
        self.split = ProjectedSplit(arriving[-2], *splits[-1], grids[-1].channels)

    def forward(self, images: Tensor) -> Tensor:
        """Split, mix, fold back to a map; split a last time and project."""
        x = images
        for split, layer, grid in zip(self.splits, self.layers, self.grids, strict=False):
            x = fold(layer(split(x)), grid)
        return fold(self.split(x), self.grids[-1])


class TokenLayer(nn.Module):
    """Single-head mixing and an MLP: ``(B, N, window_width)`` to ``(B, N, width)``."""

    def __init__(self, window_width: int, width: int, attention: str, features: int, norm_eps: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(window_width, norm_eps)
        self.mixer = (
            SoftmaxMixer(window_width, width)
            if attention == "softmax"
            else PerformerMixer(window_width, width, features)
        )
        self.project = linear(width, width)
        self.mlp_norm = nn.LayerNorm(width, norm_eps)
        self.mlp = MLP(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """The value is the residual: the width changes here, so the input cannot be."""
        value, mixed = self.mixer(self.norm(tokens))
        tokens = value + self.project(mixed)
        out: Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return out


@find_mixer_paths.register
def paths_in_token_layer(layer: TokenLayer) -> Iterator[MixerPath]:
    """Its mixed values, projected, beside the values as they are."""

    def mixed(tokens: Tensor) -> Tensor:
        out: Tensor = layer.project(layer.mixer(layer.norm(tokens))[1])
        return out

    total = ResidualSum(layer, mixed, partial(values, layer))
    yield MixerPath(layer.mixer, layer, mixed, (layer.mixer,), total)


@find_mixer_paths.register
def paths_in_tokens_to_token(module: TokensToToken) -> Iterator[MixerPath]:
    """Split, token layer, split, ..., split.

    A split alone copies its window. What it makes of it is read at the values of the token layer behind it, which
    are that layer's shortcut; the last split has a projection of its own.
    """
    for split, layer in zip(module.splits, module.layers, strict=True):
        for path in find_mixer_paths(split):
            yield replace(path, run=partial(split_values, split, layer))
        yield from find_mixer_paths(layer)
    yield from find_mixer_paths(module.split)


def values(layer: Any, tokens: Tensor) -> Tensor:
    """What a token layer keeps of its tokens: ``(B, N, window_width)`` to ``(B, N, token_channels)``."""
    value: Tensor = layer.mixer(layer.norm(tokens))[0]
    return value


def split_values(split: nn.Module, layer: Any, x: Tensor) -> Tensor:
    """What a token layer keeps of a map that is split before it: ``(B, C, H, W)`` to ``(B, N, token_channels)``."""
    return values(layer, split(x))


class SoftmaxMixer(SpatialMixer):
    """Scaled dot products, ``(B, N, window_width)`` to values and mixed values, ``(B, N, width)`` each."""

    def __init__(self, window_width: int, width: int) -> None:
        super().__init__()
        self.scale = window_width**-0.5
        self.qkv = linear(window_width, 3 * width, bias=False)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled by the width that arrives, as the published code does."""
        query, key, value = self.qkv(tokens)[:, None].chunk(3, dim=-1)
        mixed = F.scaled_dot_product_attention(query, key, value, scale=self.scale)
        return value[:, 0], mixed[:, 0]

    def attention_weights(self, x: Tensor) -> Tensor:
        """``(B, N, window_width)`` to ``(B, 1, N, N)``."""
        query, key, _ = self.qkv(x)[:, None].chunk(3, dim=-1)
        return softmax_weights(query, key, self.scale)


class PerformerMixer(SpatialMixer):
    """Linear attention by ``m`` positive random features; shapes as SoftmaxMixer.

    The features' directions are a parameter that is never trained, as in the published T2T-ViT.

    Source: Performer, Choromanski et al. 2021, https://arxiv.org/abs/2009.14794, section 2.
    """

    def __init__(self, window_width: int, width: int, features: int) -> None:
        super().__init__()
        self.kqv = linear(window_width, 3 * width)
        directions = nn.init.orthogonal_(torch.empty(features, width)) * features**0.5
        self.directions = nn.Parameter(directions, requires_grad=False)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """``phi(q) (phi(k)^T v) / (phi(q) . sum phi(k))``, so that no N x N product is formed."""
        key, query, value = self.kqv(tokens).chunk(3, dim=-1)
        key, query = self.phi(key), self.phi(query)
        norm = query @ key.sum(dim=1)[:, :, None]
        mixed = (query @ (key.transpose(1, 2) @ value)) / (norm + 1e-8)
        return value, mixed

    def attention_weights(self, x: Tensor) -> Tensor:
        """Its kernel ``phi(q) . phi(k)``, normalised: ``(B, N, window_width)`` to ``(B, 1, N, N)``."""
        key, query, _ = self.kqv(x).chunk(3, dim=-1)
        kernel = self.phi(query) @ self.phi(key).transpose(1, 2)
        return (kernel / kernel.sum(dim=-1, keepdim=True))[:, None]

    def phi(self, x: Tensor) -> Tensor:
        """``exp(w x - |x|^2 / 2) / sqrt(m)``: ``(B, N, d)`` to ``(B, N, m)``, positive."""
        half_norm = x.square().sum(dim=-1, keepdim=True) / 2
        exponent = x @ self.directions.transpose(0, 1) - half_norm
        features: Tensor = torch.exp(exponent) / len(self.directions) ** 0.5
        return features
