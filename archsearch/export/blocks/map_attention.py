"""Attention over the positions of a map: what stands in a residual bottleneck in the place of its convolution."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archsearch.export.blocks.residual import conv


class RelativePosition(nn.Module):
    """The logits ``scale q_i . (r_h + r_w)``: (B, heads, N, d) to (B, heads, N, N).

    One learned vector for every vertical and every horizontal offset from i to j, shared by the heads.

    Source: BoTNet, Srinivas et al. 2021, https://arxiv.org/abs/2101.11605, section 3 and figure 4.
    """

    row_offset: Tensor
    column_offset: Tensor

    def __init__(self, height: int, width: int, head_width: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.rows = nn.Parameter(torch.randn(2 * height - 1, head_width) * head_width**-0.5)
        self.columns = nn.Parameter(torch.randn(2 * width - 1, head_width) * head_width**-0.5)
        self.register_buffer("row_offset", self.offsets(height), persistent=False)
        self.register_buffer("column_offset", self.offsets(width), persistent=False)

    @staticmethod
    def offsets(size: int) -> Tensor:
        """Where in the table the offset from i to j stands: (size, size)."""
        place = torch.arange(size)
        return place[None, :] - place[:, None] + size - 1

    def forward(self, query: Tensor) -> Tensor:
        """Each query against the offset vectors of its own row and of its own column."""
        height, width = len(self.row_offset), len(self.column_offset)
        q = (query * self.scale).reshape(*query.shape[:2], height, width, query.shape[3])
        by_row = q @ self.rows[self.row_offset].transpose(1, 2)
        by_column = q.transpose(2, 3) @ self.columns[self.column_offset].transpose(1, 2)
        logits: Tensor = by_row[..., :, None] + by_column.transpose(2, 3)[..., None, :]
        return logits.flatten(4, 5).flatten(2, 3)


class AbsolutePosition(nn.Module):
    """The logits ``r_i . q_j``: (B, heads, N, d) to (B, heads, N, N).

    ``r_i`` is the learned vector of i's row plus that of its column, of which each head has its share. This
    is the energy of a listing that circulates with articles on BoTNet; it is no relative position.
    """

    def __init__(self, height: int, width: int, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.rows = nn.Parameter(torch.randn(height, channels))
        self.columns = nn.Parameter(torch.randn(width, channels))

    def forward(self, query: Tensor) -> Tensor:
        """Each place's vector against every query."""
        places = (self.rows[:, None] + self.columns[None, :]).flatten(0, 1)
        by_head = places.reshape(len(places), self.heads, -1).transpose(0, 1)
        return by_head @ query.transpose(2, 3)


class MapAttention(nn.Module):
    """All-to-all attention over the positions of a map: (B, channels, H, W) to the same.

    ``scale`` is that of the content's dot products: None for ``d ** -0.5``.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        position: nn.Module | None = None,
        *,
        qkv_bias: bool = False,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.scale = scale
        self.qkv = conv(channels, 3 * channels, bias=qkv_bias)
        self.position = position

    def forward(self, x: Tensor) -> Tensor:
        """Dot products, with the position's term as the operator's bias."""
        batch, channels, height, width = x.shape
        split = (batch, 3, self.heads, channels // self.heads, height * width)
        query, key, value = self.qkv(x).reshape(split).transpose(3, 4).unbind(1)
        bias = None if self.position is None else self.position(query)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=self.scale)
        # Contiguous also where the operator's parts leave another order in memory, as in ONNX.
        return mixed.transpose(2, 3).contiguous().view(batch, channels, height, width)
