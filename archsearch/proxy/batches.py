"""What every step of a proxy training shows: decided before the first step, from the seed alone.

Shifts, flips and holes are drawn on the CPU, so that every device sees the same images, and applied to a
whole batch at once on the device.
"""

from dataclasses import dataclass, fields

import torch
from torch.nn import functional

from archsearch.proxy.recipe import Recipe

HOLE_UNITS = 2**16


@dataclass(frozen=True, eq=False)
class Plan:
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

    def to(self, device: torch.device) -> "Plan":
        """The same plan on ``device``."""
        return Plan(*(tensor.to(device) for tensor in self.tensors()))

    def at(self, step: int) -> "Plan":
        """What one step shows."""
        return Plan(*(tensor[step] for tensor in self.tensors()))

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """Its tensors, in the order of the fields."""
        return tuple(getattr(self, field.name) for field in fields(self))


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
    holes = torch.randint(0, HOLE_UNITS, (steps, batch, 2), generator=generator)
    return Plan(torch.cat(epochs)[:steps], shifts, flips, holes)


def augmented(images: torch.Tensor, plan: Plan, recipe: Recipe, grey: torch.Tensor) -> torch.Tensor:
    """uint8 (B, C, H, W) to the same, shifted, mirrored and painted over; channels lie last in memory.

    ``plan`` is of one step; ``grey`` is the colour of a hole, uint8 (C,).
    """
    crop = recipe.crop
    padded = functional.pad(images, (crop, crop, crop, crop)) if crop else images
    down, across = (torch.arange(size, device=images.device) for size in images.shape[2:])
    mirrored = torch.where(plan.flips[:, None], across.flip(0), across)
    rows, columns = plan.shifts[:, 0, None] + down, plan.shifts[:, 1, None] + mirrored
    image = torch.arange(len(images), device=images.device)[:, None, None]
    moved = padded[image, :, rows[:, :, None], columns[:, None, :]]
    if recipe.cutout:
        hole = (covered(down, plan.holes[:, 0], recipe), covered(across, plan.holes[:, 1], recipe))
        moved = torch.where((hole[0][:, :, None] & hole[1][:, None, :])[..., None], grey, moved)
    return moved.permute(0, 3, 1, 2)


def covered(places: torch.Tensor, middles: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Which rows or columns each hole covers: bool (B, size)."""
    first = middles * len(places) // HOLE_UNITS - recipe.cutout // 2
    return (places >= first[:, None]) & (places < first[:, None] + recipe.cutout)
