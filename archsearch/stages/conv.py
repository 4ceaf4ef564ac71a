"""Convolution stages: local mixing by residual bottleneck or basic blocks.

Source: ResNet, He et al. 2015, https://arxiv.org/abs/1512.03385, section 3.3 and figure 5; groups as
in ResNeXt, Xie et al. 2017, https://arxiv.org/abs/1611.05431, figure 3.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple

from torch import nn

from archsearch.errors import Problem
from archsearch.shapes import FeatureShape
from archsearch.stages.base import (
    Channels,
    InactiveWhen,
    Kernel,
    Ratio,
    SwapRules,
    centred_problems,
    ratio_problems,
    sharing_problems,
    stride_problems,
    whole_width,
)
from archsearch.stages.mixers import Mixer
from archsearch.stages.residual import Branch, Frame, ResidualStage, conv


class ConvStage(ResidualStage):
    """``depth`` residual blocks of convolutions; the first one strides.

    ``bottleneck``: 1x1 to ``channels * expansion``, ``kernel`` x ``kernel`` in ``groups``, 1x1 back.
    ``basic``: two ``kernel`` x ``kernel`` convolutions at full width; ``expansion`` then means nothing.
    """

    kind: Literal["conv"] = "conv"
    letter: ClassVar[str] = "C"
    summary_fields: ClassVar[tuple[str, ...]] = ("stride", "kernel", "expansion")
    mark: ClassVar[tuple[str, str]] = ("#3182bd", "s")
    swap_rules: ClassVar[SwapRules] = SwapRules(
        alike=("activation", "shortcut", "shortcut_activation"), inner_width="expansion"
    )
    inactive_when: ClassVar[Mapping[str, InactiveWhen]] = {"expansion": InactiveWhen("block", ("basic",))}

    kernel: Kernel = 3
    block: Literal["bottleneck", "basic"] = "bottleneck"
    expansion: Ratio = 0.25
    groups: Channels = 1

    @property
    def width(self) -> int:
        """Channels of the spatial convolution."""
        return self.channels if self.block == "basic" else whole_width(self.channels, self.expansion)

    def problems(self, shape: FeatureShape) -> list[Problem]:
        """A stride and odd kernels that fit the map, a whole width, groups that divide it."""
        found = stride_problems(self.stride, shape)
        found += centred_problems(self.kernel, self._smallest_map(shape))
        if self.block == "bottleneck":
            found += ratio_problems("expansion", self.channels, self.expansion)
        found += sharing_problems("groups", self.groups, self.width, "the block's width")
        if self.block == "basic" and shape.channels % self.groups:
            what = f"{self.groups} groups do not divide the {shape.channels} channels that arrive here"
            found.append(Problem("groups", what, "use groups that divide both widths"))
        return found

    def mixers(self, shape: FeatureShape) -> list[Mixer]:
        """The convolutions wider than 1x1; the first block's first one sees the map before the stride."""
        inside = self.out_shape(shape)
        per_block = 2 if self.block == "basic" else 1
        inner = [Mixer(inside.height, inside.width, self.kernel)] * (per_block * self.depth - 1)
        branches = [Mixer(shape.height, shape.width, self.kernel), *inner] if self.kernel > 1 else []
        return self.shortcut_mixers(shape) + branches

    def branch(self) -> Branch:
        """Two spatial convolutions, or one between two 1x1."""
        return ConvBranch(self.block, self.width, self.kernel, self.groups)

    def _smallest_map(self, shape: FeatureShape) -> FeatureShape:
        """The map of the narrowest convolution: behind the stride, if any convolution runs there."""
        only_one = self.depth == 1 and self.block == "bottleneck"
        return shape if only_one else self.out_shape(shape)


class ConvBranch(NamedTuple):
    """Two convolutions (``basic``), or one between two 1x1 (``bottleneck``), ``width`` wide inside."""

    block: str
    width: int
    kernel: int
    groups: int

    def __call__(self, arriving: FeatureShape, stride: int, frame: Frame) -> list[nn.Module]:
        """The spatial convolution strides."""
        link, width = frame.conv_norm_activation, self.width
        if self.block == "basic":
            first = link(arriving.channels, width, self.kernel, stride, self.groups)
            return [*first, conv(width, frame.channels, self.kernel, groups=self.groups)]
        return [
            *link(arriving.channels, width, 1),
            *link(width, width, self.kernel, stride, self.groups),
            conv(width, frame.channels, 1),
        ]
