"""Decoded images that are kept on the disk, so that a data set is decoded once: files that may be deleted.

    images/<sha256>.safetensors   one split in one shape: images uint8 (N, C, H, W), labels int64 (N,)
    images/.*                     what is being written, or what a killed process left

A file's name is a digest of all that its pixels depend on, so that it is never out of date; its tensors are mapped,
read from the disk as they are used and shared by all processes that use them. What is not whole counts as
missing: it is decoded and written again. On a disk that cannot be written, the next process decodes
again, and nothing else is lost.

``ARCHSEARCH_CACHE`` names another folder than ``~/.cache/archsearch``, or none if it is empty.
"""

import hashlib
import json
import os
import shutil
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from archsearch.counting.cache import cache_folder
from archsearch.data import images as pictures
from archsearch.data.images import Labels, Pixels
from archsearch.files import replacing
from archsearch.shapes import FeatureShape

FORMAT = 1
LARGEST_BYTES = 20 * 2**30  # of all files together
ABANDONED_S = 3600  # longer than any file takes to write
BLOCK_BYTES = 4096
ENDING = ".safetensors"
UNFINISHED = ".*"  # files of ``replacing`` and of safetensors


@dataclass(frozen=True, eq=False)
class DecodedRows:
    """Rows of a split in one shape: what one file holds.

    Attributes:
        data: fingerprint of the data.
        version: of the files that the pictures are in; empty if nothing is to be kept.
        role: ``train``, ``validation`` or ``test``.
        rows: which rows of the role's table, in order; (N,).
        labels: of these rows; (N,).
        image: the shape that the pictures are decoded to.
    """

    data: str
    version: str
    role: str
    rows: Labels
    labels: Labels
    image: FeatureShape

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return len(self.rows), self.image.channels, self.image.height, self.image.width

    @property
    def file(self) -> Path | None:
        """Where the images are kept; None if they are not."""
        folder = cache_folder()
        if folder is None or not self.version:
            return None
        depends_on = [FORMAT, PIL.__version__, self.data, self.version, self.role, self.shape]
        digest = hashlib.sha256(json.dumps(depends_on).encode())
        digest.update(np.ascontiguousarray(self.rows, dtype="<i8").tobytes())
        # Whoever changes how a picture becomes pixels need not think of this cache.
        digest.update(Path(pictures.__file__).read_bytes())
        return folder / "images" / f"{digest.hexdigest()}{ENDING}"


def load(wanted: DecodedRows) -> torch.Tensor | None:
    """The images (N, C, H, W), mapped and not read; None if they are not there whole."""
    file = wanted.file
    if file is None:
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            promised = (opened.metadata() or {}).get("checksum")
            images: torch.Tensor = opened.get_tensor("images")
            labels: torch.Tensor = opened.get_tensor("labels")
    except (OSError, RuntimeError, SafetensorError):
        return None  # whatever is wrong with the file, its source is still there
    fits = images.dtype == torch.uint8 and images.shape == wanted.shape
    if not fits or not np.array_equal(labels.numpy(), wanted.labels) or checksum(images.numpy()) != promised:
        return None
    with suppress(OSError):
        os.utime(file)  # the files used longest ago are the first to go
    return images


def keep(wanted: DecodedRows, images: torch.Tensor) -> None:
    """Write ``images`` where ``load`` finds them, whole or not at all; a disk that refuses is no error."""
    file = wanted.file
    if file is None:
        return
    with suppress(OSError, SafetensorError):
        file.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(file.parent)
        if not _make_room(file.parent, images.nbytes):
            return
        tensors = {"images": images, "labels": torch.from_numpy(wanted.labels)}
        with replacing(file) as beside:
            save_file(tensors, beside, {"checksum": checksum(images.numpy())})
            with beside.open("rb") as saved:
                os.fsync(saved.fileno())


def checksum(pixels: Pixels) -> str:
    """The CRC of the sums of blocks: computed in a tenth of the time of a CRC of the pixels.

    One changed byte changes it, and so does a block that a disk has lost or put elsewhere.
    """
    flat = np.ascontiguousarray(pixels).reshape(-1)
    whole = len(flat) // BLOCK_BYTES * BLOCK_BYTES
    sums = flat[:whole].view("<u8").reshape(-1, BLOCK_BYTES // 8).sum(axis=1)
    return f"{zlib.crc32(flat[whole:].tobytes(), zlib.crc32(sums.tobytes())):08x}"


def _make_room(folder: Path, size: int) -> bool:
    """Remove the files used longest ago; False if ``size`` bytes more are too many even so."""
    if size > min(LARGEST_BYTES, shutil.disk_usage(folder).free // 2):
        return False
    found = sorted(
        ((file.stat(), file) for file in folder.glob(f"[!.]*{ENDING}")), key=lambda pair: pair[0].st_mtime
    )
    excess = sum(stat.st_size for stat, _ in found) + size - LARGEST_BYTES
    for stat, file in found:
        if excess <= 0:
            break
        file.unlink(missing_ok=True)
        excess -= stat.st_size
    return True


def _remove_abandoned(folder: Path) -> None:
    """Remove what processes began to write and were killed over."""
    for begun in folder.glob(UNFINISHED):
        with suppress(FileNotFoundError):  # its process has just finished
            if time.time() - begun.stat().st_mtime > ABANDONED_S:
                begun.unlink()
