"""Heads: the last map, or the tokens beside it, become logits."""

from torch import Tensor, nn


class MeanHead(nn.Module):
    """The mean over the map's positions, and a linear layer: (B, channels, H, W) to logits (B, classes)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, features: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """Of a stage that has tokens of its own, the map is read too."""
        places = features[0] if isinstance(features, tuple) else features
        logits: Tensor = self.linear(places.mean(dim=(2, 3)))
        return logits


class ClassTokenHead(nn.Module):
    """A linear layer that reads the class token: to logits (B, classes)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, features: tuple[Tensor, Tensor]) -> Tensor:
        """The first token."""
        logits: Tensor = self.linear(features[1][:, 0])
        return logits


class DistilledHead(nn.Module):
    """A linear layer for the class token, one for the distillation token, and the mean of their logits.

    Source: DeiT, Touvron et al. 2021, https://arxiv.org/abs/2012.12877, section 4.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)
        self.distilled = nn.Linear(channels, classes)

    def forward(self, features: tuple[Tensor, Tensor]) -> Tensor:
        """The first token and the last."""
        tokens = features[1]
        logits: Tensor = (self.linear(tokens[:, 0]) + self.distilled(tokens[:, -1])) / 2
        return logits
