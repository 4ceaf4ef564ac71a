"""The feature map that passes between the parts of a network.

Every part takes a tensor ``(B, C, H, W)`` and returns one of the same rank:

    B  images in the batch        H, W  height and width, in pixels or tokens
    C  channels                   N     tokens: H * W of a map flattened row by row
    D  width of a token           h, d  attention heads, and the width of one (D = h * d)

Parts that work on tokens flatten to ``(B, N, C)`` inside and fold back before they return. Height and
width travel with the shape: they are never recovered as the square root of ``N``.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class FeatureShape:
    """Channels, height and width of a feature map; height and width in pixels or tokens."""

    channels: int
    height: int
    width: int

    @property
    def tokens(self) -> int:
        """``N``, the length of the sequence that this map flattens to."""
        return self.height * self.width

    def strided(self, channels: int, stride: int) -> "FeatureShape":
        """``channels`` at a ``stride``-th of this map; every started step counts."""
        return FeatureShape(channels, -(-self.height // stride), -(-self.width // stride))

    def __str__(self) -> str:
        """As one writes it: ``64x56x56``."""
        return f"{self.channels}x{self.height}x{self.width}"


def windows(size: int, kernel: int, stride: int, padding: int) -> int:
    """Windows that fit along an axis of ``size``; one formula for convolutions and soft splits."""
    return (size + 2 * padding - kernel) // stride + 1


def split_padding(kernel: int, stride: int) -> int:
    """Padding of a T2T soft split: half of its overlap, rounded up.

    Gives the published 2, 1, 1 for kernels 7, 3, 3 and strides 4, 2, 2
    (T2T-ViT, Yuan et al. 2021, https://arxiv.org/abs/2101.11986, section 3.1 and its code).
    """
    return -(-(kernel - stride) // 2)


def split_shape(shape: FeatureShape, kernel: int, stride: int, channels: int) -> FeatureShape:
    """The map behind a soft split of ``shape`` and a projection to ``channels``: one place for each window."""
    padding = split_padding(kernel, stride)
    height, width = (windows(size, kernel, stride, padding) for size in (shape.height, shape.width))
    return FeatureShape(channels, height, width)
