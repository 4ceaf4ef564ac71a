"""The images of every step of a proxy training: decided before the first step, from the seed alone.

Shifts, flips and holes are drawn on the CPU, so that every device sees the same images, and applied to a
whole batch at once on the device.
"""

from typing import NamedTuple

import torch
from torch.nn import functional

from archsearch.proxy.recipe import Recipe

HOLE_UNITS = 2**16


class BatchPlan(NamedTuple):
    """Row, shift, flip and hole of each image of each step; or of one step, without the first dimension.

    Attributes:
        rows: int64 (steps, B), rows of the train split.
        shifts: int64 (steps, B, 2), first row and column of what is cut out of the image with a black edge
            of ``crop`` pixels: from 0 to 2 * crop, and ``crop`` leaves the image in place.
        flips: bool (steps, B).
        holes: int64 (steps, B, 2), row and column of the middle of what cutout paints over, from 0 to 1 of
            the image in units of 2**-16.
    """

    rows: torch.Tensor
    shifts: torch.Tensor
    flips: torch.Tensor
    holes: torch.Tensor

    def to(self, device: torch.device) -> "BatchPlan":
        """The same plan on ``device``."""
        return BatchPlan(*(tensor.to(device) for tensor in self))

    def at(self, step: int) -> "BatchPlan":
        """The plan of one step."""
        return BatchPlan(*(tensor[step] for tensor in self))


def plan_batches(images: int, recipe: Recipe) -> BatchPlan:
    """Whole batches, shuffled again for each epoch; a last incomplete one is dropped."""
    generator = torch.Generator().manual_seed(recipe.seed)
    batch = min(recipe.batch_size, images)
    steps, per_epoch = recipe.samples // batch, images // batch
    epochs = [
        torch.randperm(images, generator=generator)[: per_epoch * batch].view(per_epoch, batch)
        for _ in range(-(-steps // per_epoch))
    ]
    shifts = torch.randint(0, 2 * recipe.crop + 1, (steps, batch, 2), generator=generator)
    flips = torch.rand(steps, batch, generator=generator) < (0.5 if recipe.flip else 0.0)
    holes = torch.randint(0, HOLE_UNITS, (steps, batch, 2), generator=generator)
    return BatchPlan(torch.cat(epochs)[:steps], shifts, flips, holes)


class Augmenter:
    """The images of a split as the steps show them: shifted, mirrored, painted over.

    They are kept padded and channels last on ``device``, so that a step gathers its pixels in one go.
    """

    def __init__(
        self, images: torch.Tensor, recipe: Recipe, grey: torch.Tensor, device: torch.device
    ) -> None:
        """``images`` uint8 (N, C, H, W); ``grey`` is the colour of a hole, uint8 (C,)."""
        crop = recipe.crop
        _, channels, height, width = images.shape
        padded = functional.pad(images.to(device), (crop, crop, crop, crop))
        self._pixels = padded.permute(0, 2, 3, 1).reshape(-1, channels)
        self._padded_size = padded.shape[2:]
        self._down, self._across = (torch.arange(size, device=device) for size in (height, width))
        self._recipe, self._grey = recipe, grey.to(device)

    def __call__(self, plan: BatchPlan) -> torch.Tensor:
        """The images of one step: uint8 (B, C, H, W), channels last in memory."""
        height, width = self._padded_size
        down, across = self._down, self._across
        mirrored = torch.where(plan.flips[:, None], across.flip(0), across)
        rows = (plan.rows[:, None] * height + plan.shifts[:, 0, None] + down) * width
        columns = plan.shifts[:, 1, None] + mirrored
        places = rows[:, :, None] + columns[:, None, :]
        images = self._pixels.index_select(0, places.view(-1)).view(*places.shape, -1)
        if self._recipe.cutout:
            images = torch.where(self._holes(plan)[..., None], self._grey, images)
        return images.permute(0, 3, 1, 2)

    def _holes(self, plan: BatchPlan) -> torch.Tensor:
        """Which pixels are painted over: bool (B, H, W)."""
        rows, columns = (
            hole_mask(places, plan.holes[:, axis], self._recipe)
            for axis, places in enumerate((self._down, self._across))
        )
        return rows[:, :, None] & columns[:, None, :]


def hole_mask(places: torch.Tensor, middles: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Which rows or columns each hole covers: bool (B, size)."""
    first = middles * len(places) // HOLE_UNITS - recipe.cutout // 2
    return (places >= first[:, None]) & (places < first[:, None] + recipe.cutout)
