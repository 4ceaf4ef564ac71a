"""Residual blocks of convolutions, and their shortcuts.

Sources stand with the classes, because they travel with them.
"""

from collections.abc import Sequence

from torch import Tensor, nn


class Residual(nn.Module):
    """``activation(branch(x) + shortcut(x))``: (B, C, H, W) to (B, channels, H / stride, W / stride), rounded up.

    Source: ResNet, He et al. 2015, https://arxiv.org/abs/1512.03385.
    """

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None, activation: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = nn.Identity() if shortcut is None else shortcut
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Keep ``x`` beside what the branch makes of it."""
        out: Tensor = self.activation(self.branch(x) + self.shortcut(x))
        return out


def conv(
    in_channels: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1, *, bias: bool = False
) -> nn.Conv2d:
    """A convolution that keeps its centre, initialised as ResNet's are."""
    module = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=bias)
    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


def closing_norm(channels: int, eps: float) -> nn.BatchNorm2d:
    """The norm at the end of a branch: at first a zero, so that the block starts as its shortcut."""
    norm = nn.BatchNorm2d(channels, eps)
    nn.init.zeros_(norm.weight)
    return norm


def average_pool(stride: int) -> nn.AvgPool2d:
    """The mean over squares, those at the border over what the map has."""
    return nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)


def conv_shortcut(
    in_channels: int, channels: int, kernel: int = 1, stride: int = 1, eps: float = 1e-5
) -> nn.Sequential:
    """A strided convolution and a norm."""
    return nn.Sequential(conv(in_channels, channels, kernel, stride), nn.BatchNorm2d(channels, eps))


def pooled_shortcut(in_channels: int, channels: int, stride: int = 1, eps: float = 1e-5) -> nn.Sequential:
    """The mean over squares, a 1x1 convolution and a norm.

    Source: ResNet-D, He et al. 2019, https://arxiv.org/abs/1812.01187, section 4.1.
    """
    pool = [average_pool(stride)] if stride > 1 else []
    return nn.Sequential(*pool, conv(in_channels, channels), nn.BatchNorm2d(channels, eps))


class Bottleneck(Residual):
    """1x1 to ``width``, what stands in ``spatial``, 1x1 to ``channels``.

    Sources: ResNet, He et al. 2015, section 4.1, with the stride in the spatial operator; groups as in ResNeXt,
    Xie et al. 2017, https://arxiv.org/abs/1611.05431; attention as in BoTNet, Srinivas et al. 2021,
    https://arxiv.org/abs/2101.11605, figure 3.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        channels: int,
        spatial: Sequence[nn.Module],
        *,
        shortcut: nn.Module | None = None,
        activation: type[nn.Module] = nn.ReLU,
        eps: float = 1e-5,
    ) -> None:
        branch = nn.Sequential(
            conv(in_channels, width),
            nn.BatchNorm2d(width, eps),
            activation(),
            *spatial,
            nn.BatchNorm2d(width, eps),
            activation(),
            conv(width, channels),
            closing_norm(channels, eps),
        )
        super().__init__(branch, shortcut, activation())


class BasicBlock(Residual):
    """Two convolutions at full width.

    Source: ResNet, He et al. 2015, section 3.3.
    """

    def __init__(
        self,
        first: nn.Conv2d,
        second: nn.Conv2d,
        *,
        shortcut: nn.Module | None = None,
        activation: type[nn.Module] = nn.ReLU,
        eps: float = 1e-5,
    ) -> None:
        branch = nn.Sequential(
            first,
            nn.BatchNorm2d(first.out_channels, eps),
            activation(),
            second,
            closing_norm(second.out_channels, eps),
        )
        super().__init__(branch, shortcut, activation())
