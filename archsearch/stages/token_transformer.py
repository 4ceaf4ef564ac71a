"""Token transformer stages: pre-norm transformer blocks over the map's positions, entered by a soft split.

Sources: ViT, Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929, section 3.1; the soft split of
T2T-ViT, Yuan et al. 2021, https://arxiv.org/abs/2101.11986, section 3.1.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from archsearch.errors import Problem
from archsearch.shapes import FeatureShape, split_shape
from archsearch.stages.base import (
    Channels,
    CostTerm,
    Depth,
    Epsilon,
    Heads,
    InactiveWhen,
    Kernel,
    MapAndTokens,
    ModuleCall,
    Part,
    Ratio,
    Stride,
    SwapRules,
    attention_problems,
    ratio_problems,
    sharing_problems,
    split_problems,
    whole_width,
)
from archsearch.stages.mixers import Mixer
from archsearch.stages.tokens import Block, ProjectedSplit, TransformerBlock, fold, sinusoid


class TokenTransformerStage(Part):
    """A soft split to ``channels``-wide tokens, ``depth`` transformer blocks, and a closing norm.

    ``entry: split`` unfolds windows of ``split_kernel`` at ``stride`` and projects them; ``entry: direct``
    takes the positions of the map as they are, and then needs their width and stride 1. ``class_token``
    puts a learned token before the others, which a ``cls`` head reads; ``distillation_token`` a second one
    behind it, for a ``distilled`` head (DeiT). Only the last stage may. ``gelu: tanh`` is the approximation
    that the original JAX ViT used.
    """

    kind: Literal["token_transformer"] = "token_transformer"
    letter: ClassVar[str] = "T"
    summary_fields: ClassVar[tuple[str, ...]] = ("stride", "split_kernel", "heads", "mlp_ratio")
    mark: ClassVar[tuple[str, str]] = ("#d95f0e", "^")
    swap_rules: ClassVar[SwapRules] = SwapRules(alike=("heads",), inner_width="mlp_ratio", halved="heads")
    token_fields: ClassVar[tuple[str, ...]] = ("class_token", "distillation_token")
    inactive_when: ClassVar[Mapping[str, InactiveWhen]] = {"split_kernel": InactiveWhen("entry", ("direct",))}

    channels: Channels
    depth: Depth
    stride: Stride = 1
    entry: Literal["split", "direct"] = "split"
    split_kernel: Kernel = 3
    heads: Heads = 4
    mlp_ratio: Ratio = 4.0
    qkv_bias: bool = True
    position: Literal["learned", "sinusoid", "none"] = "learned"
    class_token: bool = False
    distillation_token: bool = False
    norm_eps: Epsilon = 1e-6
    gelu: Literal["exact", "tanh"] = "exact"

    @classmethod
    def fields_at_stride(cls, stride: int) -> dict[str, Any]:
        """T2T's windows: 3 at strides 1 and 2, 7 at 4. They overlap, and keep ceil(H / stride) on even maps."""
        return {"split_kernel": max(3, 2 * stride - 1)}

    @property
    def own_tokens(self) -> int:
        """Tokens that stand before those of the map."""
        return self.class_token + self.distillation_token

    @property
    def hidden(self) -> int:
        """Width of the MLP's hidden layer."""
        return whole_width(self.channels, self.mlp_ratio)

    def problems(self, shape: FeatureShape) -> list[Problem]:
        """Windows that fit and cover, heads that divide, a whole hidden width, not too many tokens."""
        if self.entry == "split":
            found = split_problems(self.split_kernel, self.stride, shape, "split_kernel")
        else:
            found = self._direct_problems(shape)
        found += sharing_problems("heads", self.heads, self.channels, "the stage's channels")
        found += ratio_problems("mlp_ratio", self.channels, self.mlp_ratio)
        if self.distillation_token and not self.class_token:
            what = "a distillation token without a class token"
            found.append(Problem("distillation_token", what, "write class_token: true too"))
        return found or attention_problems(self.out_shape(shape), "kind")

    def out_shape(self, shape: FeatureShape) -> FeatureShape:
        """``channels`` at one position for each window; the same map for a direct entry."""
        if self.entry == "direct":
            return FeatureShape(self.channels, shape.height, shape.width)
        return split_shape(shape, self.split_kernel, self.stride, self.channels)

    def mixers(self, shape: FeatureShape) -> list[Mixer]:
        """The soft split, where it is wider than a pixel, and one attention a block."""
        inside = self.out_shape(shape)
        splits = self.entry == "split" and self.split_kernel > 1
        split = [Mixer(shape.height, shape.width, self.split_kernel)] if splits else []
        return split + [Mixer(inside.height, inside.width, None, attention=True)] * self.depth

    def module(self, shape: FeatureShape) -> ModuleCall:
        """Tokens beside the map, ``(B, tokens, channels)``, if it has its own."""
        split = (shape.channels, self.split_kernel, self.stride) if self.entry == "split" else None
        gelu: Literal["none", "tanh"] = "tanh" if self.gelu == "tanh" else "none"
        block = Block(self.heads, self.hidden, self.qkv_bias, self.norm_eps, gelu)
        return ModuleCall(
            TokenTransformer,
            {
                "grid": self.out_shape(shape),
                "split": split,
                "position": self.position,
                "own_tokens": self.own_tokens,
                "depth": self.depth,
                "block": block,
            },
        )

    def cost_terms(self, shape: FeatureShape) -> list[CostTerm]:
        """One block that is entered directly, what each further one adds to it, and the entry.

        The entry is what the plainest stage of this width costs more than the same one without it.
        """
        inside = self.out_shape(shape)
        direct = {"entry": "direct", "stride": 1, "split_kernel": 3}
        one = self.model_copy(update={**direct, "depth": 1})
        two = self.model_copy(update={**direct, "depth": 2})
        cost_terms = [CostTerm(one, inside, 2 - self.depth), CostTerm(two, inside, self.depth - 1)]
        if self.entry == "split":
            plain = TokenTransformerStage(
                channels=self.channels,
                depth=1,
                stride=self.stride,
                split_kernel=self.split_kernel,
                heads=1,
                mlp_ratio=1.0,
                position="none",
            )
            cost_terms += [CostTerm(plain, shape, 1), CostTerm(plain.model_copy(update=direct), inside, -1)]
        return [piece for piece in cost_terms if piece.times]

    def _direct_problems(self, shape: FeatureShape) -> list[Problem]:
        found = []
        if self.stride != 1:
            what = f"a direct entry cannot stride by {self.stride}"
            found.append(Problem("stride", what, "use stride 1, or entry: split"))
        if self.channels != shape.channels:
            what = f"a direct entry takes the {shape.channels} channels that arrive, not {self.channels}"
            found.append(Problem("channels", what, f"use {shape.channels}, or entry: split"))
        return found


class TokenTransformer(nn.Module):
    """Tokens, transformer blocks, a norm, and back: ``(B, C, H, W)`` to ``(B, grid.channels, H', W')``.

    ``split`` is channels, kernel and stride of a soft split, or None. With ``own_tokens`` (a class token, and a
    distillation token behind it) it returns these too: DeiT, Touvron et al. 2021, https://arxiv.org/abs/2012.12877.

    Source: ViT, Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929, section 3.1.
    """

    def __init__(
        self,
        grid: FeatureShape,
        split: tuple[int, int, int] | None,
        position: str,
        own_tokens: int,
        depth: int,
        block: Block,
    ) -> None:
        super().__init__()
        self.grid = grid
        width = grid.channels
        self.split = Flatten() if split is None else ProjectedSplit(*split, width)
        self.own_tokens = own_tokens
        # Learned, (1, 1, width) each.
        self.class_token = nn.Parameter(torch.zeros(1, 1, width)) if own_tokens else None
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, width)) if own_tokens > 1 else None
        self.position = PositionTable(grid.tokens + own_tokens, width, position)
        self.blocks = nn.Sequential(*(TransformerBlock(width, block) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, block.norm_eps)

    def forward(self, x: Tensor) -> Tensor | MapAndTokens:
        """Flatten, mix, fold back."""
        tokens = self._behind_own(self.split(x))
        tokens = self.norm(self.blocks(self.position(tokens)))
        folded = fold(tokens[:, self.own_tokens :], self.grid)
        return MapAndTokens(folded, tokens[:, : self.own_tokens]) if self.own_tokens else folded

    def _behind_own(self, tokens: Tensor) -> Tensor:
        both = (self.class_token, self.distillation_token)
        own = [token.expand(tokens.shape[0], -1, -1) for token in both if token is not None]
        return torch.cat([*own, tokens], dim=1) if own else tokens


class PositionTable(nn.Module):
    """Adds its vector to every token, the stage's own included: ``(B, N, D)`` to the same.

    A sinusoid is a parameter that is never trained, as in the published T2T-ViT.
    """

    def __init__(self, tokens: int, width: int, position: str) -> None:
        super().__init__()
        self.table: nn.Parameter | None = None
        if position == "learned":
            self.table = nn.Parameter(nn.init.trunc_normal_(torch.empty(tokens, width), std=0.02))
        elif position == "sinusoid":
            self.table = nn.Parameter(sinusoid(tokens, width), requires_grad=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Where each token stands, in the language of its channels."""
        return tokens if self.table is None else tokens + self.table


class Flatten(nn.Module):
    """The positions of a map as tokens: ``(B, C, H, W)`` to ``(B, H * W, C)``."""

    def forward(self, x: Tensor) -> Tensor:
        """Row by row."""
        return x.flatten(2).transpose(1, 2)
