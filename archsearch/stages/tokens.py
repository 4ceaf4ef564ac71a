"""What token networks are made of: attention, MLP, pre-norm blocks, soft splits and position tables.

Sources: ViT, Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929, section 3.1; T2T-ViT, Yuan et
al. 2021, https://arxiv.org/abs/2101.11986, section 3.1; positions of Vaswani et al. 2017,
https://arxiv.org/abs/1706.03762, section 3.5.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archsearch.shapes import FeatureShape, split_padding
from archsearch.stages.mixer_paths import MixerPath, find_mixer_paths, paths_in_sum
from archsearch.stages.mixers import SpatialMixer, softmax_weights


class Attention(SpatialMixer):
    """Multi-head self-attention with an output projection: ``(B, N, D)`` to the same.

    Source: ViT, Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929, appendix A.
    """

    def __init__(self, width: int, heads: int, *, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = linear(width, 3 * width, bias=qkv_bias)
        self.project = linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Every token asks every token."""
        query, key, value = self.split_heads(tokens)
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.project(mixed.transpose(1, 2).flatten(2))
        return out

    def attention_weights(self, x: Tensor) -> Tensor:
        """``(B, N, D)`` to ``(B, heads, N, N)``."""
        query, key, _ = self.split_heads(x)
        return softmax_weights(query, key)

    def split_heads(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values: ``b n (qkv heads d) -> qkv b heads n d``."""
        batch, count, width = tokens.shape
        split = (batch, count, 3, self.heads, width // self.heads)
        parts: tuple[Tensor, ...] = self.qkv(tokens).reshape(split).permute(2, 0, 3, 1, 4).unbind(0)
        return parts


class MLP(nn.Sequential):
    """Two layers with a GELU between, for each token alone: ``(B, N, D)`` to the same.

    ``approximate`` is torch's: ``none`` is the exact GELU, ``tanh`` its approximation.
    """

    def __init__(self, width: int, hidden: int, approximate: Literal["none", "tanh"] = "none") -> None:
        super().__init__(linear(width, hidden), nn.GELU(approximate), linear(hidden, width))


class Block(NamedTuple):
    """What a transformer block is made with; ``gelu`` is torch's name of the approximation."""

    heads: int
    hidden: int
    qkv_bias: bool
    norm_eps: float
    gelu: Literal["none", "tanh"]


class TransformerBlock(nn.Module):
    """Pre-norm attention and MLP, each around a residual: ``(B, N, D)`` to the same."""

    def __init__(self, width: int, spec: Block) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, spec.norm_eps)
        self.attention = Attention(width, spec.heads, qkv_bias=spec.qkv_bias)
        self.mlp_norm = nn.LayerNorm(width, spec.norm_eps)
        self.mlp = MLP(width, spec.hidden, spec.gelu)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix the tokens, then each token's channels."""
        tokens = tokens + self.attention(self.attention_norm(tokens))
        out: Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return out


@find_mixer_paths.register
def paths_in_transformer_block(block: TransformerBlock) -> Iterator[MixerPath]:
    """The attention with the norm before it, beside the tokens as they are."""
    mixed = nn.Sequential(block.attention_norm, block.attention)
    yield from paths_in_sum(block, mixed=mixed, kept=nn.Identity())


class SoftSplit(SpatialMixer):
    """Overlapping windows, unfolded: ``(B, C, H, W)`` to tokens ``(B, H' * W', C * kernel^2)``.

    Features are ordered (channel, row, column) with the channel slowest, tokens row by row.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.window, self.stride, self.padding = kernel, stride, split_padding(kernel, stride)
        self.unfold = nn.Unfold(kernel, stride=stride, padding=self.padding)

    def forward(self, x: Tensor) -> Tensor:
        """One token for each window."""
        tokens: Tensor = self.unfold(x).transpose(1, 2)
        return tokens


class ProjectedSplit(SpatialMixer, nn.Sequential):
    """A soft split and its projection: ``(B, C, H, W)`` to tokens ``(B, H' * W', width)``."""

    def __init__(self, in_channels: int, kernel: int, stride: int, width: int) -> None:
        super().__init__(SoftSplit(kernel, stride), linear(in_channels * kernel**2, width))
        self.window, self.stride, self.padding = kernel, stride, split_padding(kernel, stride)


def fold(tokens: Tensor, grid: FeatureShape) -> Tensor:
    """Tokens as a map: ``b (y x) d -> b d y x``."""
    batch, _, width = tokens.shape
    # Split first: reshaped after a transpose, a batch of one has strides that no convolution takes for
    # channels-last.
    return tokens.reshape(batch, grid.height, grid.width, width).permute(0, 3, 1, 2)


def linear(in_width: int, out_width: int, *, bias: bool = True) -> nn.Linear:
    """A linear layer initialised as ViT's are: normal of deviation 0.02, cut at two; biases zero."""
    module = nn.Linear(in_width, out_width, bias=bias)
    nn.init.trunc_normal_(module.weight, std=0.02)
    if bias:
        nn.init.zeros_(module.bias)
    return module


def sinusoid(length: int, width: int) -> Tensor:
    """``(length, width)``: sine at even and cosine at odd places j of ``p / 10000^(2 (j // 2) / width)``.

    Rounded to float32 whatever the dtype, as the published tables are.
    """
    place = torch.arange(length, dtype=torch.float64)[:, None]
    index = torch.arange(width)
    angle = place / 10_000.0 ** (2 * (index // 2) / width)
    return torch.where(index % 2 == 0, angle.sin(), angle.cos()).float().to(torch.get_default_dtype())
