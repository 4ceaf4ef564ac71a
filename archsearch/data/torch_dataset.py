"""A torch ``Dataset`` of (image, label) as a source of images: read once, and split as any other source."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from archsearch.data.images import OWN_DATA, ROLES, DataSource, SplitTable, data_error, picture_reader
from archsearch.errors import DataError, Problem, one_of


def source_of(data: Dataset[Any] | Mapping[str, Dataset[Any]], classes: int) -> DataSource:
    """A data set to be split, or one for each of ``train``, ``validation`` and ``test``; labels count from 0.

    An image is a Pillow image, or an array or tensor: (C, H, W) or (H, W), bytes or numbers in [0, 1]; it is resized to
    the space's shape.

    Raises:
        DataError: there is no train split, or an item is no such image with a label below ``classes``.
    """
    splits = data if isinstance(data, Mapping) else {"train": data}
    unknown = [role for role in splits if role not in ROLES]
    if unknown:
        problems = [Problem(role, "is not a split", one_of(tuple(ROLES), role)) for role in unknown]
        raise DataError(OWN_DATA, problems)
    if "train" not in splits:
        raise data_error(OWN_DATA, "is missing", "give a data set to train on", "train")
    tables = {role: table_of(role, split, classes) for role, split in splits.items()}
    return DataSource(tables, tuple(str(label) for label in range(classes)))


def table_of(role: str, data: Dataset[Any], classes: int) -> SplitTable:
    """Every item of a data set, converted."""
    pictures, labels, problems = [], [], []
    for row in range(len(data)):  # type: ignore[arg-type]  # a Dataset of torch promises no length
        try:
            image, label = data[row]
            pictures.append(picture_of(image))
            labels.append(label_of(label, classes))
        except (TypeError, ValueError) as error:
            problems.append(Problem(f"{role}[{row}]", str(error), "give (image, label) as source_of says"))
    if problems:
        raise DataError(OWN_DATA, problems)
    # The fingerprint is of the whole content.
    reader = picture_reader(role, pictures.__getitem__)
    return SplitTable(np.array(labels, dtype=np.int64), reader, sampled=None)


def picture_of(image: Any) -> Image.Image:
    """A Pillow image of an image in any of its forms."""
    if isinstance(image, Image.Image):
        return image
    pixels = torch.as_tensor(image)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[0] not in (1, 3)):
        raise ValueError(f"an image is (C, H, W) with 1 or 3 channels and this is {tuple(pixels.shape)}")
    if pixels.is_floating_point():
        if not (float(pixels.min()) >= 0 and float(pixels.max()) <= 1):
            raise ValueError("pixels lie outside of [0, 1]: give images that are not normalised")
        pixels = (pixels * 255).round()
    elif pixels.dtype != torch.uint8:
        raise ValueError(f"pixels are bytes or numbers in [0, 1] and these are {pixels.dtype}")
    planes = pixels.to(torch.uint8).cpu().numpy()
    if planes.ndim == 3:
        planes = planes[0] if planes.shape[0] == 1 else planes.transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(planes))


def label_of(label: Any, classes: int) -> int:
    """A label as a number from 0."""
    number = int(label)
    if number != label or not 0 <= number < classes:
        raise ValueError(f"the label is {label} and the space says {classes} classes, from 0")
    return number
