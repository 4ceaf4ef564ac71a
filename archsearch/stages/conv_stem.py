"""The convolutional stem: one strided convolution, and a pooling where the network wants one.

Source: ResNet, He et al. 2015, https://arxiv.org/abs/1512.03385, table 1 (kernel 7, stride 2, max pool).
"""

from typing import ClassVar, Literal

from torch import nn

from archsearch.errors import Problem
from archsearch.shapes import FeatureShape
from archsearch.stages.base import (
    Channels,
    Kernel,
    Mixer,
    Mixing,
    Part,
    Stride,
    centred_problems,
    strided,
)
from archsearch.stages.residual import conv_norm_relu


class ConvStem(Part):
    """Convolution, batch norm, ReLU; ``pool: max`` halves the map once more with a 3x3 maximum."""

    kind: Literal["conv"] = "conv"
    mixing: ClassVar[Mixing] = "local"

    channels: Channels
    kernel: Kernel = 3
    stride: Stride = 1
    pool: Literal["none", "max"] = "none"

    def problems(self, shape: FeatureShape) -> list[Problem]:
        """An odd kernel that fits the image."""
        return centred_problems(self.kernel, shape)

    def out_shape(self, shape: FeatureShape) -> FeatureShape:
        """``channels`` at a ``stride``-th of the image, half of that behind a pooling; rounded up."""
        stride = self.stride * (2 if self.pool == "max" else 1)
        return FeatureShape(self.channels, strided(shape.height, stride), strided(shape.width, stride))

    def mixers(self, shape: FeatureShape) -> list[Mixer]:
        """Its convolution."""
        return [Mixer(shape.height, shape.width, self.kernel)] if self.kernel > 1 else []

    def build(self, shape: FeatureShape) -> nn.Module:
        """``(B, C, H, W)`` to ``(B, channels, H', W')``."""
        pool = [nn.MaxPool2d(3, stride=2, padding=1)] if self.pool == "max" else []
        return nn.Sequential(*conv_norm_relu(shape.channels, self.channels, self.kernel, self.stride), *pool)
