"""The convolutional stem: a strided convolution or a short chain, and a pooling where the network wants one.

Sources: ResNet, He et al. 2015, https://arxiv.org/abs/1512.03385, table 1 (kernel 7, stride 2, max pool);
the chain of 3x3 of ResNet-C and -D, He et al. 2019, https://arxiv.org/abs/1812.01187, section 4.1.
"""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import nn

from archsearch.errors import Problem
from archsearch.shapes import FeatureShape
from archsearch.stages.base import (
    Channels,
    Epsilon,
    Kernel,
    ModuleCall,
    Part,
    Stride,
    centred_problems,
    stride_problems,
)
from archsearch.stages.mixers import Mixer
from archsearch.stages.residual import ACTIVATIONS, Activation, conv


class ConvStem(Part):
    """Convolution, batch norm, activation; ``pool: max`` halves the map once more with a 3x3 maximum.

    ``hidden_channels`` puts more of them before the last: ``[32, 32]`` is the deep stem of ResNet-D. The
    first convolution strides.
    """

    kind: Literal["conv"] = "conv"
    letter: ClassVar[str] = "C"
    summary_fields: ClassVar[tuple[str, ...]] = ("kernel", "stride")

    channels: Channels
    kernel: Kernel = 3
    stride: Stride = 1
    hidden_channels: Annotated[tuple[Channels, ...], Field(max_length=4)] = ()
    pool: Literal["none", "max"] = "none"
    activation: Activation = "relu"
    norm_eps: Epsilon = 1e-5

    def problems(self, shape: FeatureShape) -> list[Problem]:
        """A stride and an odd kernel that fit the image, and the map of the later convolutions."""
        narrowest = shape.strided(self.channels, self.stride) if self.hidden_channels else shape
        return stride_problems(self.stride, shape) + centred_problems(self.kernel, narrowest)

    def out_shape(self, shape: FeatureShape) -> FeatureShape:
        """``channels`` at a ``stride``-th of the image, half of that behind a pooling; rounded up."""
        return shape.strided(self.channels, self.stride * (2 if self.pool == "max" else 1))

    def mixers(self, shape: FeatureShape) -> list[Mixer]:
        """Its convolutions; the first one sees the image, the others the map behind the stride."""
        inside = shape.strided(self.channels, self.stride)
        later = [Mixer(inside.height, inside.width, self.kernel)] * len(self.hidden_channels)
        return [Mixer(shape.height, shape.width, self.kernel), *later] if self.kernel > 1 else []

    def module(self, shape: FeatureShape) -> ModuleCall:
        """A chain of convolutions."""
        widths = (shape.channels, *self.hidden_channels, self.channels)
        fields = ("kernel", "stride", "pool", "activation", "norm_eps")
        return ModuleCall(conv_stem, {"widths": widths, **{name: getattr(self, name) for name in fields}})


def conv_stem(
    widths: tuple[int, ...], kernel: int, stride: int, pool: str, activation: str, norm_eps: float
) -> nn.Sequential:
    """Convolution, norm and activation from each of ``widths`` to the next.

    Sources: ResNet, He et al. 2015, https://arxiv.org/abs/1512.03385, table 1; He et al. 2019,
    https://arxiv.org/abs/1812.01187, section 4.1, for a chain of several.
    """
    modules: list[nn.Module] = []
    for index, (arriving, leaving) in enumerate(pairwise(widths)):
        modules += [
            conv(arriving, leaving, kernel, 1 if index else stride),
            nn.BatchNorm2d(leaving, norm_eps),
            ACTIVATIONS[activation](),
        ]
    if pool == "max":
        modules.append(nn.MaxPool2d(3, stride=2, padding=1))
    return nn.Sequential(*modules)
