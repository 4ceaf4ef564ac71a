"""What every step of a proxy training shows: decided before the first step, from the seed alone.

Shifts and flips are drawn on the CPU, so that every device sees the same images, and applied to a whole
batch by one gather on the device.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from archsearch.proxy.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Plan:
    """Row, shift and flip of each image of each step.

    Attributes:
        rows: int64 (steps, B), rows of the train split.
        shifts: int64 (steps, B, 2), first row and column of what is cut out of the image with a black edge
            of ``crop`` pixels: from 0 to 2 * crop, and ``crop`` leaves the image in place.
        flips: bool (steps, B).
    """

    rows: torch.Tensor
    shifts: torch.Tensor
    flips: torch.Tensor

    def to(self, device: torch.device) -> "Plan":
        """The same plan on ``device``."""
        return Plan(self.rows.to(device), self.shifts.to(device), self.flips.to(device))


def plan_batches(images: int, recipe: Recipe) -> Plan:
    """Whole batches, shuffled anew for each epoch; a last incomplete one is dropped."""
    generator = torch.Generator().manual_seed(recipe.seed)
    batch = min(recipe.batch_size, images)
    steps, per_epoch = recipe.samples // batch, images // batch
    epochs = [
        torch.randperm(images, generator=generator)[: per_epoch * batch].view(per_epoch, batch)
        for _ in range(-(-steps // per_epoch))
    ]
    shifts = torch.randint(0, 2 * recipe.crop + 1, (steps, batch, 2), generator=generator)
    flips = torch.rand(steps, batch, generator=generator) < (0.5 if recipe.flip else 0.0)
    return Plan(torch.cat(epochs)[:steps], shifts, flips)


def augmented(images: torch.Tensor, shifts: torch.Tensor, flips: torch.Tensor, crop: int) -> torch.Tensor:
    """uint8 (B, C, H, W) to the same, shifted and then mirrored; channels lie last in memory."""
    padded = functional.pad(images, (crop, crop, crop, crop))
    down, across = (torch.arange(size, device=images.device) for size in images.shape[2:])
    across = torch.where(flips[:, None], across.flip(0), across)
    rows, columns = shifts[:, 0, None] + down, shifts[:, 1, None] + across
    image = torch.arange(len(images), device=images.device)[:, None, None]
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
