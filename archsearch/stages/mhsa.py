"""Multi-head self-attention stages: the ResNet bottleneck with attention in place of its convolution.

Source: BoTNet, Srinivas et al. 2021, https://arxiv.org/abs/2101.11605, section 3 and figures 3 and 4.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archsearch.errors import Problem
from archsearch.shapes import FeatureShape
from archsearch.stages.base import (
    MAX_TOKENS,
    Heads,
    InactiveWhen,
    Ratio,
    SwapRules,
    attention_problems,
    ratio_problems,
    sharing_problems,
    stride_problems,
    whole_width,
)
from archsearch.stages.mixers import Mixer, SpatialMixer, softmax_weights
from archsearch.stages.residual import Branch, Frame, ResidualStage, average_pool, conv

# Positions write the logits out, for every head and image: 64 MiB each at this many tokens.
MAX_TOKENS_WITH_POSITIONS = 4_096


class MHSAStage(ResidualStage):
    """``depth`` residual bottlenecks of width ``channels * expansion`` whose spatial operator is attention.

    The first block strides by average pooling behind its attention, which so runs at the map that arrives.

    ``position`` is what a logit knows of places, beside the content product ``q . k``:

    - ``relative``, the paper's: a learned vector for each vertical and each horizontal offset. With
      ``rel_scale: both`` this term is scaled by ``d^-1/2`` as the content is (the paper, its code); with
      ``content`` it is not (timm's published BoTNets were trained so).
    - ``article``, the energy of a listing that circulates with articles on BoTNet: one learned vector for
      each *absolute* row and column, met by the content of the *other* side, ``q_i . k_j + r_i . q_j``,
      and nothing is scaled. It is no relative position and knows no translation; where the content is
      constant the term is constant in j, and cancels in the softmax. The listing itself is this with
      ``heads: 1`` and ``qkv_bias: true``.
    - ``none``: no places.
    """

    kind: Literal["mhsa"] = "mhsa"
    letter: ClassVar[str] = "M"
    summary_fields: ClassVar[tuple[str, ...]] = ("stride", "heads", "expansion")
    mark: ClassVar[tuple[str, str]] = ("#a63603", "o")
    swap_rules: ClassVar[SwapRules] = SwapRules(
        alike=("activation", "shortcut", "shortcut_activation", "heads"),
        inner_width="expansion",
        halved="heads",
    )
    inactive_when: ClassVar[Mapping[str, InactiveWhen]] = {
        "rel_scale": InactiveWhen("position", ("article", "none"))
    }

    heads: Heads = 4
    expansion: Ratio = 0.25
    position: Literal["relative", "article", "none"] = "relative"
    rel_scale: Literal["both", "content"] = "both"
    qkv_bias: bool = False

    @property
    def width(self) -> int:
        """Channels of the attention, shared by its heads."""
        return whole_width(self.channels, self.expansion)

    def problems(self, shape: FeatureShape) -> list[Problem]:
        """A stride that fits, a whole width that the heads divide, a map with not too many positions."""
        most = MAX_TOKENS if self.position == "none" else MAX_TOKENS_WITH_POSITIONS
        found = stride_problems(self.stride, shape) + attention_problems(shape, "kind", most)
        found += ratio_problems("expansion", self.channels, self.expansion)
        width = "the attention's width (channels x expansion)"
        return found or sharing_problems("heads", self.heads, self.width, width)

    def mixers(self, shape: FeatureShape) -> list[Mixer]:
        """One attention a block; the first one at the map before the stride."""
        inside = self.out_shape(shape)
        inner = [Mixer(inside.height, inside.width, None, attention=True)] * (self.depth - 1)
        return [*self.shortcut_mixers(shape), Mixer(shape.height, shape.width, None, attention=True), *inner]

    def branch(self) -> Branch:
        """Attention between two 1x1 convolutions."""
        scaled = self.rel_scale == "both"
        return AttentionBranch(self.width, self.heads, self.position, scaled, self.qkv_bias)


class AttentionBranch(NamedTuple):
    """Attention of ``width`` between two 1x1 convolutions; there is no output projection but the second of them."""

    width: int
    heads: int
    position: str
    scaled: bool
    qkv_bias: bool

    def __call__(self, arriving: FeatureShape, stride: int, frame: Frame) -> list[nn.Module]:
        """The attention runs at the map that arrives; a pooling behind it strides."""
        return [
            *frame.conv_norm_activation(arriving.channels, self.width, 1),
            MapAttention(self, arriving.height, arriving.width),
            *average_pool(stride),
            *frame.norm_activation(self.width),
            conv(self.width, frame.channels, 1),
        ]


class MapAttention(SpatialMixer):
    """All-to-all attention over the positions of a map: ``(B, D, H, W)`` to the same, ``D = heads * d``.

    Source: BoTNet, Srinivas et al. 2021, https://arxiv.org/abs/2101.11605, figures 3 and 4.
    """

    def __init__(self, spec: AttentionBranch, height: int, width: int) -> None:
        super().__init__()
        self.heads = spec.heads
        self.qkv = conv(spec.width, 3 * spec.width, 1, bias=spec.qkv_bias)
        self.position: RelativePosition | AbsolutePosition | None = None
        # None is the operator's own scale, d^-1/2.
        self.scale = 1.0 if spec.position == "article" else None
        if spec.position == "relative":
            self.position = RelativePosition(height, width, spec.width // spec.heads, scaled=spec.scaled)
        elif spec.position == "article":
            self.position = AbsolutePosition(height, width, spec.heads, spec.width)

    def forward(self, x: Tensor) -> Tensor:
        """Dot products, with the position's term as the operator's bias."""
        query, key, value = self.split_heads(x)
        bias = self.position(query) if self.position is not None else None
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=self.scale)
        # Flattened before it is reshaped: a program keeps a flatten for any order in memory, and a reshape for one.
        return mixed.transpose(2, 3).flatten(1, 2).reshape(x.shape)

    def attention_weights(self, x: Tensor) -> Tensor:
        """``(B, D, H, W)`` to ``(B, heads, N, N)``."""
        query, key, _ = self.split_heads(x)
        bias = self.position(query) if self.position is not None else None
        return softmax_weights(query, key, self.scale, bias)

    def split_heads(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values: ``b (qkv heads d) y x -> qkv b heads (y x) d``."""
        batch, channels, height, width = x.shape
        split = (batch, 3, self.heads, channels // self.heads, height * width)
        parts: tuple[Tensor, ...] = self.qkv(x).reshape(split).transpose(3, 4).unbind(1)
        return parts


class RelativePosition(nn.Module):
    """The content-position logits ``s q_i . (r_h + r_w)``: ``(B, h, N, d)`` to ``(B, h, N, N)``.

    One learned vector for every vertical and every horizontal offset from i to j, shared by the heads
    (section 3 and figure 4 of the paper); ``s`` is ``d^-1/2``, or 1 if not ``scaled``.
    """

    row_offset: Tensor
    column_offset: Tensor

    def __init__(self, height: int, width: int, head_width: int, *, scaled: bool) -> None:
        super().__init__()
        self.scale = head_width**-0.5 if scaled else 1.0
        self.rows = nn.Parameter(torch.randn(2 * height - 1, head_width) * head_width**-0.5)
        self.columns = nn.Parameter(torch.randn(2 * width - 1, head_width) * head_width**-0.5)
        self.register_buffer("row_offset", offsets(height), persistent=False)
        self.register_buffer("column_offset", offsets(width), persistent=False)

    def forward(self, query: Tensor) -> Tensor:
        """Each query against the offset vectors of its own row and column, added by broadcasting."""
        batch, heads, _, width = query.shape
        by_place = (batch, heads, len(self.row_offset), len(self.column_offset), width)
        q = (query * self.scale).reshape(by_place)
        by_row = q @ self.rows[self.row_offset].transpose(1, 2)
        by_column = q.transpose(2, 3) @ self.columns[self.column_offset].transpose(1, 2)
        logits = by_row[..., :, None] + by_column.transpose(2, 3)[..., None, :]
        bias: Tensor = logits.flatten(4, 5).flatten(2, 3)
        return bias


class AbsolutePosition(nn.Module):
    """The position-content logits ``r_i . q_j`` of the article: ``(B, h, N, d)`` to ``(B, h, N, N)``.

    ``r_i`` is the learned vector of i's row plus that of its column, of the attention's whole width, of
    which each head has its share; drawn with deviation 1, as the listing does.
    """

    def __init__(self, height: int, width: int, heads: int, channels: int) -> None:
        super().__init__()
        self.heads = heads
        self.rows = nn.Parameter(torch.randn(height, channels))
        self.columns = nn.Parameter(torch.randn(width, channels))

    def forward(self, query: Tensor) -> Tensor:
        """Each place's vector against every query."""
        places = self.rows[:, None] + self.columns[None, :]
        by_head = places.reshape(query.shape[2], self.heads, query.shape[3]).transpose(0, 1)
        bias: Tensor = by_head @ query.transpose(2, 3)
        return bias


def offsets(size: int) -> Tensor:
    """``(size, size)``: where in the table of ``2 size - 1`` vectors the offset from i to j stands."""
    place = torch.arange(size)
    return place[None, :] - place[:, None] + size - 1
