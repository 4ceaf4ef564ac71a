"""Transformers over the positions of a map."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def linear(in_width: int, out_width: int, *, bias: bool = True) -> nn.Linear:
    """A linear layer initialised as ViT's are."""
    module = nn.Linear(in_width, out_width, bias=bias)
    nn.init.trunc_normal_(module.weight, std=0.02)
    if bias:
        nn.init.zeros_(module.bias)
    return module


class Attention(nn.Module):
    """Multi-head self-attention: (B, N, width) to the same.

    Source: ViT, Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929, appendix A.
    """

    def __init__(self, width: int, heads: int, *, qkv_bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = linear(width, 3 * width, bias=qkv_bias)
        self.project = linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Every token asks every token."""
        batch, count, width = tokens.shape
        split = (batch, count, 3, self.heads, width // self.heads)
        query, key, value = self.qkv(tokens).reshape(split).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value)
        # Contiguous also where the operator's parts leave another order in memory, as in ONNX.
        out: Tensor = self.project(mixed.transpose(1, 2).contiguous().view(batch, count, width))
        return out


class TransformerBlock(nn.Module):
    """Pre-norm attention and MLP, each around a residual: (B, N, width) to the same.

    Source: ViT, Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929, section 3.1.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        *,
        qkv_bias: bool = True,
        gelu: str = "none",
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps)
        self.attention = Attention(width, heads, qkv_bias=qkv_bias)
        self.mlp_norm = nn.LayerNorm(width, eps)
        self.mlp = nn.Sequential(linear(width, hidden), nn.GELU(gelu), linear(hidden, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix the tokens, then each token's channels."""
        tokens = tokens + self.attention(self.attention_norm(tokens))
        out: Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return out


class SoftSplit(nn.Module):
    """Overlapping windows, unfolded: (B, C, H, W) to tokens (B, N, C * kernel^2).

    Source: T2T-ViT, Yuan et al. 2021, https://arxiv.org/abs/2101.11986, section 3.1.
    """

    def __init__(self, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.unfold = nn.Unfold(kernel, stride=stride, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        """One token for each window."""
        tokens: Tensor = self.unfold(x).transpose(1, 2)
        return tokens


class Flatten(nn.Module):
    """The positions of a map as tokens: (B, C, H, W) to (B, H * W, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Row by row."""
        return x.flatten(2).transpose(1, 2)


class LearnedPosition(nn.Module):
    """Adds a learned vector to every token: (B, N, width) to the same."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(nn.init.trunc_normal_(torch.empty(tokens, width), std=0.02))

    def forward(self, tokens: Tensor) -> Tensor:
        """Where each token stands, in the language of its channels."""
        return tokens + self.table


class SinusoidPosition(nn.Module):
    """Adds sine and cosine waves, which are never trained: (B, N, width) to the same.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.5.
    """

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        index = torch.arange(width)
        angle = torch.arange(tokens, dtype=torch.float64)[:, None] / 10_000.0 ** (2 * (index // 2) / width)
        table = torch.where(index % 2 == 0, angle.sin(), angle.cos()).float()
        self.table = nn.Parameter(table.to(torch.get_default_dtype()), requires_grad=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Where each token stands, in the language of its channels."""
        return tokens + self.table


class TokenTransformer(nn.Module):
    """Tokens of the map, transformer blocks, a norm, and back: (B, C, H, W) to (B, width, H', W').

    ``split`` makes the tokens of the map.

    Sources: ViT, Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929, section 3.1; the entry of
    T2T-ViT, Yuan et al. 2021, https://arxiv.org/abs/2101.11986, section 3.1.
    """

    def __init__(
        self,
        split: nn.Module,
        grid: tuple[int, int],
        position: nn.Module,
        blocks: Sequence[nn.Module],
        norm: nn.LayerNorm,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.split = split
        self.position = position
        self.blocks = nn.Sequential(*blocks)
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Flatten, mix, fold back."""
        tokens = self.norm(self.blocks(self.position(self.split(x))))
        folded: Tensor = tokens.transpose(1, 2).unflatten(2, self.grid)
        return folded


class TokenTransformerWithTokens(TokenTransformer):
    """The same with learned tokens of its own before those of the map: returns (B, width, H', W') and these.

    A distillation token is that of DeiT, Touvron et al. 2021, https://arxiv.org/abs/2012.12877, section 4.
    """

    def __init__(
        self,
        split: nn.Module,
        grid: tuple[int, int],
        position: nn.Module,
        blocks: Sequence[nn.Module],
        norm: nn.LayerNorm,
        *,
        distillation: bool = False,
    ) -> None:
        super().__init__(split, grid, position, blocks, norm)
        width = norm.normalized_shape[0]
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, width)) if distillation else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Flatten, put the own tokens first, mix, take them away, fold back."""
        tokens = self.split(x)
        own = [token for token in (self.class_token, self.distillation_token) if token is not None]
        first = [token.expand(tokens.shape[0], -1, -1) for token in own]
        tokens = self.norm(self.blocks(self.position(torch.cat([*first, tokens], dim=1))))
        folded = tokens[:, len(own) :].transpose(1, 2).unflatten(2, self.grid)
        return folded, tokens[:, : len(own)]
