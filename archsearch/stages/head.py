"""The head: the last feature map, or the tokens beside it, become logits.

Source of the distilled head: DeiT, Touvron et al. 2021, https://arxiv.org/abs/2012.12877, section 4.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from archsearch.stages.base import MapAndTokens, ModuleCall

Pool = Literal["mean", "cls", "distilled"]
# The one of the last stage's ``token_fields`` that puts the token there which a pooling reads.
HEAD_READS: Mapping[Pool, str] = {"cls": "class_token", "distilled": "distillation_token"}


class Head(BaseModel):
    """``mean`` pools the map; ``cls`` reads the class token, which the last stage must carry.

    ``distilled`` reads the class token and the distillation token, each by a classifier of its own, and
    takes the mean of their logits, in training too (DeiT's training code takes them apart there).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pool: Pool = "mean"

    def canonical(self) -> dict[str, Any]:
        """The fields that differ from their defaults."""
        return self.model_dump(exclude_defaults=True)

    def module(self, channels: int, classes: int) -> ModuleCall:
        """What makes its module."""
        return ModuleCall(Classifier, {"pool": self.pool, "channels": channels, "classes": classes})

    def build(self, channels: int, classes: int) -> nn.Module:
        """``(B, channels, H, W)`` to logits ``(B, classes)``."""
        make, arguments = self.module(channels, classes)
        return make(**arguments)


class Classifier(nn.Module):
    """Pooling and a linear layer, or one for each of two tokens: to logits ``(B, classes)``.

    Source of the distilled one: DeiT, Touvron et al. 2021, https://arxiv.org/abs/2012.12877, section 4.
    """

    def __init__(self, pool: str, channels: int, classes: int) -> None:
        super().__init__()
        self.pool = pool
        self.linear = nn.Linear(channels, classes)
        self.distilled = nn.Linear(channels, classes) if pool == "distilled" else None

    def forward(self, features: Tensor | MapAndTokens) -> Tensor:
        """A vector or two for each image, then its logits."""
        if self.pool == "mean" or isinstance(features, Tensor):
            spatial = features if isinstance(features, Tensor) else features.map
            first = second = spatial.mean(dim=(2, 3))
        else:
            first, second = features.tokens[:, 0], features.tokens[:, -1]
        logits: Tensor = self.linear(first)
        return logits if self.distilled is None else (logits + self.distilled(second)) / 2
