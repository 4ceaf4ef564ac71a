"""Effective receptive field: which pixels the middle of the last feature map depends on, and how much.

Sources: Luo et al. 2016, https://arxiv.org/abs/1701.04128, section 2; its size as a rectangle that holds a share
of the contributions as in RepLKNet, Ding et al. 2022, https://arxiv.org/abs/2203.06717, appendix.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from archsearch.analysis.mixer_sites import evaluation_mode, some_at_once
from archsearch.architecture import Network
from archsearch.stages import MapAndTokens

HELD = 0.5


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """The contributions, and how far they spread.

    Attributes:
        map: ``(H, W)`` of the image, float64 on the CPU, not negative, of sum 1; all 0 if nothing arrives.
        side: side of the smallest rectangle of the image's proportions, about the map's centre of mass, that holds half
            of the contributions, as a share of the image's side, in [0, 1]: ``0.5 ** 0.5`` for a uniform map,
            ``1 / H`` for one pixel of a square image, 0 if nothing arrives.
    """

    map: Tensor
    side: float


def effective_receptive_field(network: Network, images: Tensor, *, seed: int = 0) -> ReceptiveField:
    """Where the last feature map's middle looks on ``images`` (B, C, H, W), normalised as for training.

    Mean over images and colours of ``|d (eps . F) / dx|``, F the features at the middle of the map (at its two or
    four middle places where a side is even). Where the sources sum the channels, they are summed with random signs eps
    by ``seed``: the plain sum is a constant behind a layer norm. The network is left as it was.

    Raises:
        DataError: there are no images, or others than the network takes.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = network.architecture.image.shape
    total = torch.zeros(shape.height, shape.width, dtype=torch.float64)
    with evaluation_mode(network), torch.enable_grad():
        for part in some_at_once(network, images):
            pixels = part.detach().requires_grad_()
            middle = middle_of(last_map(network, pixels))
            signs = torch.randint(0, 2, middle.shape, generator=generator) * 2 - 1
            (gradient,) = torch.autograd.grad(middle, pixels, signs.to(middle))
            total += gradient.abs().sum(dim=(0, 1)).cpu().double()
    mass = float(total.sum())
    return ReceptiveField(total / mass, held_side(total / mass)) if mass else ReceptiveField(total, 0.0)


def last_map(network: Network, images: Tensor) -> Tensor:
    """The map ``(B, C, H', W')`` before the head."""
    features = network.stem(images)
    for stage in network.stages:
        features = stage(features)
    last: Tensor = features.map if isinstance(features, MapAndTokens) else features
    return last


def middle_of(features: Tensor) -> Tensor:
    """The middle place of each axis, or the two: ``(B, C, H, W)`` to ``(B, C, 1 or 2, 1 or 2)``."""
    height, width = features.shape[2:]
    return features[:, :, (height - 1) // 2 : height // 2 + 1, (width - 1) // 2 : width // 2 + 1]


def held_side(contributions: Tensor, held: float = HELD) -> float:
    """The share of the image's side that ``ReceptiveField.side`` is, of a map ``(H, W)`` of sum 1."""
    height, width = contributions.shape
    down, across = (torch.arange(size, dtype=torch.float64) for size in (height, width))
    row, column = contributions.sum(dim=1) @ down, contributions.sum(dim=0) @ across
    # The side of the rectangle that just has each pixel inside it, up to its far edge.
    rows = (2 * (down - row).abs() + 1) / height
    columns = (2 * (across - column).abs() + 1) / width
    sides, order = torch.maximum(rows[:, None], columns[None, :]).flatten().sort()
    reached = contributions.flatten()[order].cumsum(dim=0)
    first = int(torch.searchsorted(reached, min(held, float(reached[-1]))))
    return min(1.0, float(sides[first]))
