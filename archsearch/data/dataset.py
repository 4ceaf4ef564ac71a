"""The images that candidates are trained and evaluated on: split once, decoded once, never mixed.

The search sees ``train`` and ``validation`` only. The test split has a function of its own, so that no
code of the search can reach it by accident.

How a source is split, always by the same seed:

    train, validation and test   as they are
    train and one of the others  a stratified 10 % of train becomes the one that is missing
    one split alone              a stratified 60 / 20 / 20 of it
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from archsearch.data import image_cache
from archsearch.data.image_cache import DecodedRows
from archsearch.data.images import MODES, OWN_DATA, DataSource, Labels, SplitTable, data_error, decode
from archsearch.data.sources import open_source
from archsearch.errors import DataError, Problem, shown
from archsearch.shapes import FeatureShape

SPLIT_SEED = 0
SMALLEST_STD = 1 / 255


@dataclass(frozen=True, eq=False)
class Split:
    """``images`` uint8 (N, C, H, W) and ``labels`` int64 (N,); every prefix has the classes in proportion."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Split":
        """The first ``count`` images."""
        return Split(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each channel, of pixels in [0, 1]; it travels with the network."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, images: torch.Tensor) -> "Normalisation":
        """The statistics of uint8 images (N, C, H, W), exact: taken of a histogram."""
        grey = torch.arange(256, dtype=torch.float64) / 255
        mean, std = [], []
        for channel in images.unbind(1):
            share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
            mean.append(float(share @ grey))
            std.append(max(float(share @ (grey - mean[-1]) ** 2) ** 0.5, SMALLEST_STD))
        return cls(tuple(mean), tuple(std))

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, C, H, W) to float32 of mean 0 and deviation 1 in each channel."""
        mean, std = self.tensors(images.device)
        return (images.float() - mean).div_(std)

    def tensors(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation of uint8 pixels, (1, C, 1, 1)."""
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=device) for values in (self.mean, self.std)
        )
        return mean.view(1, -1, 1, 1) * 255, std.view(1, -1, 1, 1) * 255


@dataclass(frozen=True, eq=False)
class ImageData:
    """What the search may see of a source.

    Attributes:
        name: the source as the caller named it.
        train: images to learn from.
        validation: images to evaluate on; none of them is in ``train`` or in the test split.
        classes: how many classes were found, which is how many the space says.
        normalisation: of ``train``.
        fingerprint: 12 hex digits of SHA-256 over class names, all labels and up to 256 pictures of each
            split; the same for a folder that has moved, and for any ``limit``.
    """

    name: str
    train: Split
    validation: Split
    classes: int
    normalisation: Normalisation
    fingerprint: str


@dataclass(frozen=True)
class Part:
    """Rows of a table that make up a split."""

    table: SplitTable
    rows: Labels

    def counts(self, classes: int) -> Labels:
        """Images of each class."""
        return np.bincount(self.table.labels[self.rows], minlength=classes)


def load_data(
    source: str | DataSource,
    image: FeatureShape,
    classes: int,
    limit: int | None = None,
    validation_limit: int | None = None,
) -> ImageData:
    """The train and validation images of ``source``, a name or an opened source, in the shape and classes of the space.

    Only ``limit`` and ``validation_limit`` images are decoded, the classes in proportion.
    """
    name, opened = _open_fitting(source, image, classes)
    parts = split_source(name, opened)
    rows = {"train": parts["train"].rows[:limit], "validation": parts["validation"].rows[:validation_limit]}
    found = fingerprint(opened)
    splits = _decode_parts(name, found, {role: Part(parts[role].table, rows[role]) for role in rows}, image)
    return ImageData(
        name=name,
        train=splits["train"],
        validation=splits["validation"],
        classes=len(opened.class_names),
        normalisation=Normalisation.of(splits["train"].images),
        fingerprint=found,
    )


def load_test(source: str | DataSource, image: FeatureShape, classes: int) -> Split:
    """The whole test split of ``source``, which the search never sees."""
    name, opened = _open_fitting(source, image, classes)
    parts = {"test": split_source(name, opened)["test"]}
    return _decode_parts(name, fingerprint(opened), parts, image)["test"]


def _open_fitting(source: str | DataSource, image: FeatureShape, classes: int) -> tuple[str, DataSource]:
    """The source, which fits the space, and what it is called in messages and in the record."""
    name = OWN_DATA if isinstance(source, DataSource) else source
    if image.channels not in MODES:
        what = f"images have 1 channel (grey) or 3 (RGB) and the space says {image.channels}"
        raise data_error(name, what, "write channels: 3", "channels")
    opened = source if isinstance(source, DataSource) else open_source(source, classes)
    found = len(opened.class_names)
    if found < 2:
        what = f"the data has {found} class and a classifier needs 2 at least"
        raise data_error(name, what, "check the labels, or add a class", "classes")
    if found != classes:
        what = f"the data has {found} classes and the space says {classes}"
        raise data_error(name, what, f"write classes: {found}", "classes")
    return name, opened


def split_source(name: str, source: DataSource) -> dict[str, Part]:
    """The rows of train, validation and test; what the source lacks is held out of its train split."""
    train = source.tables["train"]
    missing = [role for role in ("test", "validation") if role not in source.tables]
    share = 0.1 * len(missing)  # of train for each: 10 % for one, 20 % for both
    cut = round(share * len(train.labels))
    order = stratified_order(train.labels)
    cuts = [cut * (place + 1) for place in range(len(missing))]
    rows = dict(zip([*missing, "train"], np.split(order, cuts), strict=True))
    parts = {role: Part(train, some) for role, some in rows.items()}
    _refuse_missing_classes(name, source.class_names, parts)
    own = {role: table for role, table in source.tables.items() if role != "train"}
    return parts | {role: Part(table, stratified_order(table.labels)) for role, table in own.items()}


def stratified_order(labels: Labels) -> Labels:
    """A fixed shuffle of the rows in which every prefix holds the classes in proportion."""
    shuffled = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels[shuffled] == label)
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return shuffled[np.argsort(place, kind="stable")]


def _refuse_missing_classes(name: str, class_names: tuple[str, ...], parts: Mapping[str, Part]) -> None:
    """Every class must be in every part that was cut out of train."""
    counts = np.stack([part.counts(len(class_names)) for part in parts.values()])
    needed = {1: 1, 2: 10, 3: 5}[len(parts)]
    problems = [
        Problem(
            shown(class_names[label]),
            f"{counts[:, label].sum()} images to share among {', '.join(parts)} are too few",
            f"give the class at least {needed}, or take it out",
        )
        for label in np.flatnonzero(counts.min(axis=0) == 0)
    ]
    if problems:
        raise DataError(name, problems)


def _decode_parts(name: str, data: str, parts: Mapping[str, Part], image: FeatureShape) -> dict[str, Split]:
    """The pixels and labels of each part, decoded now or before; all unreadable images are reported at once."""
    splits, new, problems = {}, [], []
    for role, part in parts.items():
        labels = part.table.labels[part.rows]
        wanted = DecodedRows(data, part.table.version, role, part.rows, labels, image)
        images = image_cache.load(wanted)
        if images is None:
            pixels, unreadable = decode(part.table.pictures(part.rows.tolist()), len(part.rows), image)
            images = torch.from_numpy(pixels)
            new.append((wanted, images))
            problems += unreadable
        splits[role] = Split(images, torch.from_numpy(labels))
    if problems:
        raise DataError(name, problems)
    for wanted, images in new:
        image_cache.keep(wanted, images)
    return splits


def fingerprint(source: DataSource) -> str:
    """12 hex digits that change with the classes, any label, or one of 256 pictures of each split."""
    digest = hashlib.sha256("\0".join(source.class_names).encode())
    for role in sorted(source.tables):
        table = source.tables[role]
        digest.update(f"\0{role}\0".encode() + np.ascontiguousarray(table.labels, dtype="<i8").tobytes())
        for picture in table.sample():
            digest.update(hashlib.sha256(picture.raw()).digest())
    return digest.hexdigest()[:12]
