"""Spatial mixers: the modules that carry information from place to place, and what is said of each."""

from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Mixer:
    """One spatial mixer over a ``height`` x ``width`` map, as its part promises it.

    ``window`` is the side of what a place sees, in positions of that map; ``None`` is everything. ``attention``
    says whether the content decides how much it takes from where.
    """

    height: int
    width: int
    window: int | None
    attention: bool = False

    @property
    def is_global(self) -> bool:
        """Whether every place hears of every other: a convolution stays local whatever its map."""
        covers = self.window is None or self.window >= max(self.height, self.width)
        return self.window is None or (self.attention and covers)


class SpatialMixer(nn.Module):
    """The base of every module that mixes places, but for ``nn.Conv2d``, which is recognised as it is.

    ``window`` is the side of what a place sees: 1 for nothing but itself, None for everything. A window that moves in
    steps has a ``stride``, and a ``padding`` unless it stands about its place. An attention implements
    ``attention_weights``.
    """

    window: int | None = None
    stride: int = 1
    padding: int | None = None

    def attention_weights(self, x: Tensor) -> Tensor | None:
        """The weights it gives to what arrives: ``(B, heads, N, N)``, rows adding up to 1; None if it has none."""


def is_attention(module: nn.Module) -> TypeGuard[SpatialMixer]:
    """Whether a module is an attention: a mixer with weights."""
    return (
        isinstance(module, SpatialMixer)
        and type(module).attention_weights is not SpatialMixer.attention_weights
    )


def window_of(module: nn.Module) -> int | None:
    """The side of what a place sees through ``module``: 1 if it mixes no places, None if it sees everything."""
    if isinstance(module, SpatialMixer):
        return module.window
    if isinstance(module, nn.Conv2d):
        return max(d * (k - 1) + 1 for k, d in zip(module.kernel_size, module.dilation, strict=True))
    return 1


def mixer_of(module: nn.Module, arriving: Tensor) -> Mixer:
    """The mixer that ``module`` is for the map that arrives there, or for tokens ``(B, N, D)``: a map of ``1 x N``."""
    height, width = arriving.shape[2:] if arriving.ndim == 4 else (1, arriving.shape[1])
    return Mixer(height, width, window_of(module), is_attention(module))


def softmax_weights(
    query: Tensor, key: Tensor, scale: float | None = None, bias: Tensor | None = None
) -> Tensor:
    """As ``scaled_dot_product_attention`` has them: ``(B, heads, N, d)`` twice to ``(B, heads, N, N)``."""
    logits = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    return torch.softmax(logits if bias is None else logits + bias, dim=-1)
