"""Multi-head self-attention stages: the ResNet bottleneck with attention in place of its convolution.

Source: BoTNet, Srinivas et al. 2021, https://arxiv.org/abs/2101.11605, section 3 and figures 3 and 4.
"""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from archsearch.errors import Problem
from archsearch.shapes import FeatureShape
from archsearch.stages.base import (
    MAX_TOKENS,
    Channels,
    Depth,
    Heads,
    Mixer,
    Mixing,
    Part,
    Ratio,
    Stride,
    attention_problems,
    expansion_problems,
    heads_problems,
    strided,
    whole_width,
)
from archsearch.stages.residual import Residual, closing_norm, conv, conv_norm_relu

# Relative positions write the logits out, for every head and image: 64 MiB each at this many tokens.
MAX_TOKENS_WITH_POSITIONS = 4_096


class MHSAStage(Part):
    """``depth`` residual bottlenecks of width ``channels * expansion`` whose spatial operator is attention.

    The first block strides by average pooling behind its attention, which so runs at the map that
    arrives. ``position: relative`` adds the paper's 2-D relative term to the logits.
    """

    kind: Literal["mhsa"] = "mhsa"
    mixing: ClassVar[Mixing] = "global"

    channels: Channels
    depth: Depth
    stride: Stride = 1
    heads: Heads = 4
    expansion: Ratio = 0.25
    position: Literal["relative", "none"] = "relative"

    @property
    def width(self) -> int:
        """Channels of the attention, shared by its heads."""
        return whole_width(self.channels, self.expansion) or 0

    def problems(self, shape: FeatureShape) -> list[Problem]:
        """A whole width that the heads divide, over a map with not too many positions."""
        most = MAX_TOKENS_WITH_POSITIONS if self.position == "relative" else MAX_TOKENS
        found = attention_problems(shape, "kind", most) + expansion_problems(self.channels, self.expansion)
        return found or heads_problems(self.width, self.heads, "the attention's width (channels x expansion)")

    def out_shape(self, shape: FeatureShape) -> FeatureShape:
        """``channels`` at a ``stride``-th of the map, rounded up."""
        return FeatureShape(
            self.channels, strided(shape.height, self.stride), strided(shape.width, self.stride)
        )

    def mixers(self, shape: FeatureShape) -> list[Mixer]:
        """One attention a block; the first one at the map before the stride."""
        inside = self.out_shape(shape)
        inner = [Mixer(inside.height, inside.width, None)] * (self.depth - 1)
        return [Mixer(shape.height, shape.width, None), *inner]

    def build(self, shape: FeatureShape) -> nn.Module:
        """A chain of residual blocks: ``(B, C, H, W)`` to ``(B, channels, H', W')``."""
        blocks: list[nn.Module] = []
        for index in range(self.depth):
            arriving = self.out_shape(shape) if index else shape
            stride = 1 if index else self.stride
            branch = nn.Sequential(*self._branch(arriving, stride))
            blocks.append(Residual(branch, arriving.channels, self.channels, stride))
        return nn.Sequential(*blocks)

    def _branch(self, arriving: FeatureShape, stride: int) -> list[nn.Module]:
        grid = FeatureShape(self.width, arriving.height, arriving.width)
        pool = [nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)] if stride > 1 else []
        return [
            *conv_norm_relu(arriving.channels, self.width, 1),
            MapAttention(grid, self.heads, self.position),
            *pool,
            nn.BatchNorm2d(self.width),
            nn.ReLU(inplace=True),
            conv(self.width, self.channels, 1),
            closing_norm(self.channels),
        ]


class MapAttention(nn.Module):
    """All-to-all attention over the positions of a map: ``(B, D, H, W)`` to the same, ``D = heads * d``."""

    def __init__(self, grid: FeatureShape, heads: int, position: Literal["relative", "none"]) -> None:
        super().__init__()
        self.grid = grid
        self.heads = heads
        self.qkv = conv(grid.channels, 3 * grid.channels, 1)
        head_width = grid.channels // heads
        self.position = RelativePosition(grid, head_width) if position == "relative" else None

    def forward(self, x: Tensor) -> Tensor:
        """Scaled dot products, with the relative term as the operator's bias."""
        split = "b (qkv heads d) y x -> qkv b heads (y x) d"
        query, key, value = rearrange(self.qkv(x), split, qkv=3, heads=self.heads)
        bias = self.position(query) if self.position is not None else None
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return rearrange(mixed, "b heads (y x) d -> b (heads d) y x", y=self.grid.height)


class RelativePosition(nn.Module):
    """The content-position logits ``d^-1/2 q . (r_h + r_w)``: ``(B, h, N, d)`` to ``(B, h, N, N)``.

    One learned vector for every vertical and every horizontal offset, shared by the heads (section
    3 and figure 4 of the paper; the authors scale the query, hence this term too).
    """

    row_offset: Tensor
    column_offset: Tensor

    def __init__(self, grid: FeatureShape, head_width: int) -> None:
        super().__init__()
        self.grid = grid
        self.scale = head_width**-0.5
        self.rows = nn.Parameter(torch.randn(2 * grid.height - 1, head_width) * self.scale)
        self.columns = nn.Parameter(torch.randn(2 * grid.width - 1, head_width) * self.scale)
        self.register_buffer("row_offset", offsets(grid.height), persistent=False)
        self.register_buffer("column_offset", offsets(grid.width), persistent=False)

    def forward(self, query: Tensor) -> Tensor:
        """Each query against the offset vectors of its own row and column, added by broadcasting."""
        q = rearrange(query * self.scale, "b h (y x) d -> b h y x d", y=self.grid.height)
        by_row = q @ rearrange(self.rows[self.row_offset], "y v d -> y d v")
        by_column = rearrange(q, "b h y x d -> b h x y d") @ rearrange(
            self.columns[self.column_offset], "x w d -> x d w"
        )
        logits = rearrange(by_row, "b h y x v -> b h y x v 1") + rearrange(
            by_column, "b h x y w -> b h y x 1 w"
        )
        bias: Tensor = rearrange(logits, "b h y x v w -> b h (y x) (v w)")
        return bias


def offsets(size: int) -> Tensor:
    """``(size, size)``: where in the table of ``2 size - 1`` vectors the offset from i to j stands."""
    place = torch.arange(size)
    return place[None, :] - place[:, None] + size - 1
