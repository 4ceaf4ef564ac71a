"""How a candidate is trained: the numbers that decide what a proxy score means.

Two scores can be compared only when both were trained by the same recipe on the same data.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Recipe(BaseModel):
    """How a candidate is trained.

    The cost is fixed by ``samples`` and not by the size of the data set, so that a candidate costs the
    same on ten thousand images as on a million.

    Attributes:
        samples: training images of one training, repeats included; images.
        batch_size: images of one step; at least 2, because batch norm has no variance over one.
        learning_rate: peak of the schedule, reached at the end of the warm-up; per step.
        schedule: how the rate falls from its peak. ``cosine``: half a cosine down to 0 at the last step.
            ``wsd`` (warm-up, stable, decay): it stays, and falls in a line to 0 over the last steps.
        decay: share of the steps over which ``wsd`` falls; 0 to 1.
        weight_decay: AdamW's decoupled decay, for matrices and kernels only; per unit of learning rate.
        warmup: share of the steps over which the rate rises in a line; 0 to 1.
        label_smoothing: share of a label that is spread over all classes; 0 to 1.
        flip: whether half of the images are mirrored left to right. Digits and letters must not be.
        crop: largest random shift in each direction, with black moving in; pixels, 0 for none.
        cutout: side of a square that is painted over with the mean colour at a random place, cut off at the
            edge (DeVries and Taylor 2017, https://arxiv.org/abs/1708.04552); pixels, 0 for none.
        ema: the candidate is evaluated with the mean of its weights over about this share of the steps so far,
            0 for its last weights; 0 to 1. See ``proxy.ema``.
        validation_images: images that a candidate is evaluated on, at most; images.
        seed: decides the order, the shifts, the flips and dropout. Not the initial weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    samples: int = Field(default=8192, ge=2, le=10_000_000)
    batch_size: int = Field(default=32, ge=2, le=65_536)
    learning_rate: float = Field(default=4e-3, gt=0, le=10, allow_inf_nan=False)
    schedule: Literal["cosine", "wsd"] = "cosine"
    decay: float = Field(default=0.2, gt=0, le=1, allow_inf_nan=False)
    weight_decay: float = Field(default=0.05, ge=0, le=10, allow_inf_nan=False)
    warmup: float = Field(default=0.1, ge=0, lt=1, allow_inf_nan=False)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1, allow_inf_nan=False)
    flip: bool = False
    crop: int = Field(default=2, ge=0, le=64)
    cutout: int = Field(default=0, ge=0, le=1024)
    ema: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    validation_images: int = Field(default=2000, ge=1, le=10_000_000)
    seed: int = Field(default=0, ge=0, le=2**63 - 1)

    @model_validator(mode="after")
    def _one_step_at_least(self) -> Self:
        if self.samples < self.batch_size:
            raise ValueError(
                f"samples: {self.samples} is less than one batch of {self.batch_size}; "
                f"write samples: {self.batch_size} or more"
            )
        return self
