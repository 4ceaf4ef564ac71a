"""The head: the last feature map, or its class token, becomes logits."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from archsearch.stages.base import MapAndToken


class Head(BaseModel):
    """``mean`` pools the map; ``cls`` reads the class token, which the last stage must carry."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pool: Literal["mean", "cls"] = "mean"

    def canonical(self) -> dict[str, Any]:
        """The fields that differ from their defaults."""
        return self.model_dump(exclude_defaults=True)

    def build(self, channels: int, classes: int) -> "Classifier":
        """``(B, channels, H, W)`` to logits ``(B, classes)``."""
        return Classifier(self.pool, channels, classes)


class Classifier(nn.Module):
    """Pooling and one linear layer; shapes as in Head's ``build``."""

    def __init__(self, pool: Literal["mean", "cls"], channels: int, classes: int) -> None:
        super().__init__()
        self.pool = pool
        self.linear = nn.Linear(channels, classes)

    def forward(self, features: Tensor | MapAndToken) -> Tensor:
        """One vector for each image, then its logits."""
        if isinstance(features, MapAndToken):
            pooled = features.token if self.pool == "cls" else features.map.mean(dim=(2, 3))
        else:
            pooled = features.mean(dim=(2, 3))
        logits: Tensor = self.linear(pooled)
        return logits
