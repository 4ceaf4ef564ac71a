"""The patch stem: the image is cut into squares, and each becomes one token.

Source: ViT, Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929, section 3.1.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from archsearch.errors import Problem
from archsearch.shapes import FeatureShape
from archsearch.stages.base import Channels, Kernel, ModuleCall, Part, kernel_problems
from archsearch.stages.mixer_paths import MixerPath, find_mixer_paths
from archsearch.stages.mixers import Mixer


class PatchStem(Part):
    """Squares of ``size`` pixels, each projected to ``channels``.

    An image that is no multiple of ``size`` is padded with zeros below and to the right.
    """

    kind: Literal["patch"] = "patch"
    letter: ClassVar[str] = "P"
    summary_fields: ClassVar[tuple[str, ...]] = ("size",)

    channels: Channels
    size: Kernel

    def problems(self, shape: FeatureShape) -> list[Problem]:
        """A patch that fits into the image."""
        return kernel_problems(self.size, shape, "size", always=1)

    def out_shape(self, shape: FeatureShape) -> FeatureShape:
        """``channels`` at one position for each square, started squares included."""
        return shape.strided(self.channels, self.size)

    def mixers(self, shape: FeatureShape) -> list[Mixer]:
        """The square itself."""
        return [Mixer(shape.height, shape.width, self.size)] if self.size > 1 else []

    def module(self, shape: FeatureShape) -> ModuleCall:
        """A projection of squares, and the zeros that fill up the last ones."""
        right, below = -shape.width % self.size, -shape.height % self.size
        arguments = {"in_channels": shape.channels, "channels": self.channels, "size": self.size}
        return ModuleCall(PatchEmbedding, {**arguments, "right": right, "below": below})


class PatchEmbedding(nn.Module):
    """A convolution whose kernel is its stride: ``(B, C, H, W)`` to ``(B, channels, H', W')``.

    ``right`` and ``below`` are columns and rows of zeros that fill up the last squares.

    Source: ViT, Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929, section 3.1.
    """

    def __init__(self, in_channels: int, channels: int, size: int, *, right: int, below: int) -> None:
        super().__init__()
        self.padding = (0, right, 0, below)
        self.project = nn.Conv2d(in_channels, channels, size, size)

    def forward(self, images: Tensor) -> Tensor:
        """Fill up the last squares, then project every square."""
        filled = F.pad(images, self.padding) if any(self.padding) else images
        out: Tensor = self.project(filled)
        return out


@find_mixer_paths.register
def paths_in_patch_embedding(module: PatchEmbedding) -> Iterator[MixerPath]:
    """The projection, from the map that is not yet filled up."""
    for path in find_mixer_paths(module.project):
        yield replace(path, entered=module, run=module)
