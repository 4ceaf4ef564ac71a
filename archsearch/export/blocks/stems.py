"""Stems: what turns an image into the first map."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archsearch.export.blocks.tokens import linear


class PatchEmbedding(nn.Module):
    """Squares of ``size`` pixels, each projected: (B, C, H, W) to (B, channels, H / size, W / size), rounded up.

    ``right`` and ``below`` are columns and rows of zeros that fill up the last squares.

    Source: ViT, Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929, section 3.1.
    """

    def __init__(self, in_channels: int, channels: int, size: int, *, right: int = 0, below: int = 0) -> None:
        super().__init__()
        self.padding = (0, right, 0, below)
        self.project = nn.Conv2d(in_channels, channels, size, size)

    def forward(self, images: Tensor) -> Tensor:
        """Fill up the last squares, then project every square."""
        out: Tensor = self.project(F.pad(images, self.padding))
        return out


class SoftmaxMixer(nn.Module):
    """Single-head attention: (B, N, window_width) to values and mixed values, (B, N, width) each."""

    def __init__(self, window_width: int, width: int) -> None:
        super().__init__()
        self.scale = window_width**-0.5
        self.qkv = linear(window_width, 3 * width, bias=False)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled by the width that arrives, as the published code does."""
        query, key, value = self.qkv(tokens)[:, None].chunk(3, dim=-1)
        mixed = F.scaled_dot_product_attention(query, key, value, scale=self.scale)
        return value[:, 0], mixed[:, 0]


class PerformerMixer(nn.Module):
    """Linear attention by positive random features: (B, N, window_width) to values and mixed values.

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

    def phi(self, x: Tensor) -> Tensor:
        """``exp(w x - |x|^2 / 2) / sqrt(m)``: (B, N, width) to (B, N, m), positive."""
        exponent = x @ self.directions.transpose(0, 1) - x.square().sum(dim=-1, keepdim=True) / 2
        features: Tensor = torch.exp(exponent) / len(self.directions) ** 0.5
        return features


class TokenLayer(nn.Module):
    """Single-head mixing and an MLP: (B, N, window_width) to (B, N, width).

    Source: T2T-ViT, Yuan et al. 2021, https://arxiv.org/abs/2101.11986, figure 3, and its code.
    """

    def __init__(self, window_width: int, width: int, mixer: nn.Module, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(window_width, eps)
        self.mixer = mixer
        self.project = linear(width, width)
        self.mlp_norm = nn.LayerNorm(width, eps)
        self.mlp = nn.Sequential(linear(width, width), nn.GELU(), linear(width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """The value is the residual: the width changes here, so the input cannot be."""
        value, mixed = self.mixer(self.norm(tokens))
        tokens = value + self.project(mixed)
        out: Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return out


class TokensToToken(nn.Module):
    """Soft splits with a token layer between each two: (B, C, H, W) to (B, channels, H', W').

    ``grids`` are height and width behind each split; ``split`` is the last one, with its projection.

    Source: T2T-ViT, Yuan et al. 2021, https://arxiv.org/abs/2101.11986, section 3.1.
    """

    def __init__(
        self,
        grids: Sequence[tuple[int, int]],
        splits: Sequence[nn.Module],
        layers: Sequence[nn.Module],
        split: nn.Module,
    ) -> None:
        super().__init__()
        self.grids = tuple(grids)
        self.splits = nn.ModuleList(splits)
        self.layers = nn.ModuleList(layers)
        self.split = split

    def forward(self, images: Tensor) -> Tensor:
        """Split, mix, fold back to a map; split a last time and project."""
        x = images
        for split, layer, grid in zip(self.splits, self.layers, self.grids, strict=False):
            x = layer(split(x)).transpose(1, 2).unflatten(2, grid)
        folded: Tensor = self.split(x).transpose(1, 2).unflatten(2, self.grids[-1])
        return folded
