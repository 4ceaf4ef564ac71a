"""The residual frame that convolution and attention bottlenecks share.

Source: ResNet, He et al. 2015, https://arxiv.org/abs/1512.03385, sections 3.3 and 4.1, in the form
with the stride in the spatial operator ("v1.5"); BoTNet puts attention in the same frame.
"""

from torch import Tensor, nn


class Residual(nn.Module):
    """``relu(branch(x) + shortcut(x))``: ``(B, C, H, W)`` to ``(B, out, ceil(H / stride), ceil(W / stride))``."""

    def __init__(self, branch: nn.Module, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut(in_channels, out_channels, stride)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Keep ``x`` beside what the branch makes of it."""
        out: Tensor = self.activation(self.branch(x) + self.shortcut(x))
        return out


def closing_norm(channels: int) -> nn.BatchNorm2d:
    """The norm that ends a branch: its scale starts at zero, so that every block starts as its shortcut.

    Goyal et al. 2017, https://arxiv.org/abs/1706.02677, section 5.1; BoTNet's code does the same.
    """
    norm = nn.BatchNorm2d(channels)
    nn.init.zeros_(norm.weight)
    return norm


def shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """The identity where shapes agree, else a strided 1x1 convolution and a norm."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


def conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps its centre, initialised as ResNet's are."""
    module = nn.Conv2d(
        in_channels, out_channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return module


def conv_norm_relu(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Convolution, batch norm, ReLU: the link that every convolutional chain is made of."""
    return [
        conv(in_channels, out_channels, kernel, stride, groups),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]
