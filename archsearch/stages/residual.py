"""The residual frame that convolution and attention stages share.

Source: ResNet, He et al. 2015, https://arxiv.org/abs/1512.03385, sections 3.3 and 4.1, in the form
with the stride in the spatial operator ("v1.5"); BoTNet puts attention in the same frame. The pooled
shortcut is ResNet-D's, He et al. 2019, https://arxiv.org/abs/1812.01187, section 4.1.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Literal, NamedTuple, Protocol

from torch import Tensor, nn

from archsearch.shapes import FeatureShape
from archsearch.stages.base import Channels, CostTerm, Depth, Epsilon, ModuleCall, Part, Stride
from archsearch.stages.mixer_paths import MixerPath, find_mixer_paths, paths_in_sum
from archsearch.stages.mixers import Mixer

Activation = Literal["relu", "silu", "gelu"]
ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "silu": partial(nn.SiLU, inplace=True),
    "gelu": nn.GELU,
}


class ResidualStage(Part):
    """``depth`` residual blocks, the first of which strides. A kind says what stands on the branch.

    ``shortcut`` is how a block that strides or changes width keeps its input: a strided 1x1 convolution
    (the paper's), an average pooling before the 1x1 (ResNet-D) or a strided 3x3; a norm follows, and the
    activation too with ``shortcut_activation`` (as in the BoTNet authors' code). Other blocks keep it as it is.
    """

    channels: Channels
    depth: Depth
    stride: Stride = 1
    activation: Activation = "relu"
    norm_eps: Epsilon = 1e-5
    shortcut: Literal["conv1x1", "avgpool_conv1x1", "conv3x3"] = "conv1x1"
    shortcut_activation: bool = False

    @abstractmethod
    def branch(self) -> "Branch":
        """What a block does beside keeping its map: a frozen spec of torch alone, whose ``repr`` is its call."""

    def out_shape(self, shape: FeatureShape) -> FeatureShape:
        """``channels`` at a ``stride``-th of the map, rounded up."""
        return shape.strided(self.channels, self.stride)

    def module(self, shape: FeatureShape) -> ModuleCall:
        """A chain of residual blocks."""
        frame = Frame(self.channels, self.activation, self.norm_eps, self.shortcut, self.shortcut_activation)
        arguments = {"arriving": shape, "depth": self.depth, "stride": self.stride, "frame": frame}
        return ModuleCall(residual_stage, {**arguments, "branch": self.branch()})

    def cost_terms(self, shape: FeatureShape) -> list[CostTerm]:
        """Its first block, and as many more as keep their map."""
        first = self.model_copy(update={"depth": 1})
        more = first.model_copy(update={"stride": 1})
        rest = [CostTerm(more, self.out_shape(shape), self.depth - 1)] if self.depth > 1 else []
        return [CostTerm(first, shape, 1), *rest]

    def shortcut_mixers(self, shape: FeatureShape) -> list[Mixer]:
        """The convolution of the first block's shortcut, where it is one that mixes."""
        projects = self.stride > 1 or shape.channels != self.channels
        return [Mixer(shape.height, shape.width, 3)] if projects and self.shortcut == "conv3x3" else []


class Frame(NamedTuple):
    """What the blocks of a residual stage have in common, whatever stands on their branch."""

    channels: int
    activation: str
    norm_eps: float
    shortcut: str
    shortcut_activation: bool

    def conv_norm_activation(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> list[nn.Module]:
        """One link of a branch."""
        return [
            conv(in_channels, out_channels, kernel, stride, groups),
            *self.norm_activation(out_channels),
        ]

    def norm_activation(self, channels: int) -> list[nn.Module]:
        """What follows every spatial operator of a branch."""
        return [nn.BatchNorm2d(channels, self.norm_eps), ACTIVATIONS[self.activation]()]


class Branch(Protocol):
    """What a block does beside keeping its map."""

    def __call__(self, arriving: FeatureShape, stride: int, frame: Frame, /) -> list[nn.Module]:
        """The modules for a map of ``arriving``, all but the closing norm."""


def residual_stage(
    arriving: FeatureShape, depth: int, stride: int, frame: Frame, branch: Branch
) -> nn.Sequential:
    """``depth`` residual blocks, the first of which strides: ``(B, C, H, W)`` to ``(B, channels, H', W')``.

    Source: ResNet, He et al. 2015, https://arxiv.org/abs/1512.03385, sections 3.3 and 4.1.
    """
    first = residual_block(arriving, stride, frame, branch)
    inside = arriving.strided(frame.channels, stride)
    return nn.Sequential(first, *(residual_block(inside, 1, frame, branch) for _ in range(depth - 1)))


def residual_block(arriving: FeatureShape, stride: int, frame: Frame, branch: Branch) -> nn.Module:
    """One block; it starts as its shortcut, its closing norm being zero.

    Goyal et al. 2017, https://arxiv.org/abs/1706.02677, section 5.1; BoTNet's code does the same.
    """
    norm = nn.BatchNorm2d(frame.channels, frame.norm_eps)
    nn.init.zeros_(norm.weight)
    mixed = nn.Sequential(*branch(arriving, stride, frame), norm)
    return Residual(mixed, shortcut(arriving.channels, stride, frame), ACTIVATIONS[frame.activation]())


def shortcut(in_channels: int, stride: int, frame: Frame) -> nn.Module:
    """How a block keeps its input; a pooled one is ResNet-D's, He et al. 2019, https://arxiv.org/abs/1812.01187."""
    if stride == 1 and in_channels == frame.channels:
        return nn.Identity()
    norm = nn.BatchNorm2d(frame.channels, frame.norm_eps)
    activation = [ACTIVATIONS[frame.activation]()] if frame.shortcut_activation else []
    if frame.shortcut == "avgpool_conv1x1":
        return nn.Sequential(*average_pool(stride), conv(in_channels, frame.channels, 1), norm, *activation)
    kernel = 3 if frame.shortcut == "conv3x3" else 1
    return nn.Sequential(conv(in_channels, frame.channels, kernel, stride), norm, *activation)


class Residual(nn.Module):
    """``activation(branch(x) + shortcut(x))``: ``(B, C, H, W)`` to ``(B, out, ceil(H / stride), ceil(W / stride))``."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Keep ``x`` beside what the branch makes of it."""
        out: Tensor = self.activation(self.branch(x) + self.shortcut(x))
        return out


@find_mixer_paths.register
def paths_in_residual(block: Residual) -> Iterator[MixerPath]:
    """The mixers of the shortcut, then those of the branch."""
    yield from paths_in_sum(block, mixed=block.shortcut, kept=block.branch)
    yield from paths_in_sum(block, mixed=block.branch, kept=block.shortcut)


def conv(
    in_channels: int,
    out_channels: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    *,
    bias: bool = False,
) -> nn.Conv2d:
    """A convolution that keeps its centre, initialised as ResNet's are; a bias starts at zero."""
    module = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=bias)
    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


def average_pool(stride: int) -> list[nn.Module]:
    """The mean over squares of the stride's side, those at the border over what the map has; none at stride 1."""
    return [nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)] if stride > 1 else []
