"""Pictures as a source holds them, and their decoding to the pixels that the space asks for.

    DataSource    what a name stands for: splits by role, and the names of the classes
    SplitTable    one split: a label for each picture, and the pictures on demand
    EncodedImage  one picture: encoded bytes, a file, or an image already opened

Nothing is decoded until somebody asks for certain rows, so that opening a large source is quick.
"""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from archsearch.errors import DataError, Problem, shown
from archsearch.shapes import FeatureShape

MODES = {1: "L", 3: "RGB"}
SAMPLED_PICTURES = 256
OWN_DATA = "own data"  # of no source that has a name: this one holds a blank
ROLES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}

Labels = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class EncodedImage:
    """One picture that is not decoded yet; ``place`` is a file or a row, for messages."""

    place: str
    content: bytes | Path | Image.Image

    def open(self) -> Image.Image:
        """The image; a file or bytes may still fail when the pixels are read."""
        if isinstance(self.content, Image.Image):
            return self.content
        return Image.open(io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content)

    def raw(self) -> bytes:
        """What a fingerprint is taken of; empty for a file that cannot be read."""
        if isinstance(self.content, Image.Image):
            return self.content.tobytes()
        try:
            return self.content if isinstance(self.content, bytes) else self.content.read_bytes()
        except OSError:  # decoding reports it, with its name
            return b""


@dataclass(frozen=True)
class SplitTable:
    """One split.

    Attributes:
        labels: indices into the class names; (N,).
        pictures: a reader of rows.
        version: another one whenever the files of the pictures have changed; empty where there are none and
            decoding is so quick that nothing is to be kept of it.
        sampled: pictures that stand for all of them in a fingerprint; None for every one.
    """

    labels: Labels
    pictures: Callable[[Sequence[int]], Iterator[EncodedImage]]
    version: str = ""
    sampled: int | None = SAMPLED_PICTURES

    def sample(self) -> Iterator[EncodedImage]:
        """The pictures of a fingerprint, evenly spaced over the rows."""
        count = len(self.labels) if self.sampled is None else min(self.sampled, len(self.labels))
        return self.pictures([int(row) for row in np.linspace(0, len(self.labels) - 1, count)])


def picture_reader(
    place: str, image_of: Callable[[int], Image.Image]
) -> Callable[[Sequence[int]], Iterator[EncodedImage]]:
    """A reader of rows whose images are in memory or drawn: ``place[row]`` in messages."""
    return lambda rows: (EncodedImage(f"{place}[{row}]", image_of(row)) for row in rows)


@dataclass(frozen=True)
class DataSource:
    """What a source name stands for: tables by role (``train``, ``validation``, ``test``)."""

    tables: Mapping[str, SplitTable]
    class_names: tuple[str, ...]


def data_error(name: str, what: str, remedy: str, key: str = "") -> DataError:
    """The error of a source with one problem."""
    return DataError(name, [Problem(key, what, remedy)])


def role_of(split: str) -> str | None:
    """``train``, ``validation`` or ``test`` for any of their usual names."""
    return next((role for role, names in ROLES.items() if split.lower() in names), None)


def decode(pictures: Iterator[EncodedImage], count: int, image: FeatureShape) -> tuple[Pixels, list[Problem]]:
    """``count`` pictures as (N, C, H, W), and one problem for each that cannot be read."""
    pixels = np.zeros((count, image.channels, image.height, image.width), dtype=np.uint8)
    problems = []
    with _strict_pillow():
        for row, picture in enumerate(pictures):
            try:
                pixels[row] = pixels_of(picture, image)
            except Exception as error:  # noqa: BLE001 - Pillow meets damaged files with errors of many kinds
                problems.append(_unreadable(picture, error))
    return pixels, problems


def pixels_of(picture: EncodedImage, image: FeatureShape) -> Pixels:
    """One picture as (C, H, W): upright, first frame, in the space's channels and size."""
    opened = convert_to_mode(ImageOps.exif_transpose(picture.open()), MODES[image.channels])
    size = (image.width, image.height)
    if opened.size != size:
        opened = opened.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(opened).reshape(image.height, image.width, -1).transpose(2, 0, 1)


def convert_to_mode(opened: Image.Image, mode: str) -> Image.Image:
    """Grey or RGB from any mode; alpha is dropped, as torchvision does."""
    if opened.mode == "F":
        raise ValueError("floating-point pixels have no fixed white")
    if opened.mode.startswith("I"):
        # Pillow would cut 16-bit grey at 255 instead of scaling it.
        opened = Image.fromarray((np.asarray(opened).clip(0, 65535) / 257).round().astype(np.uint8))
    if opened.mode == "P":
        opened = opened.convert("RGBA")  # the way that keeps a transparent palette from warning
    return opened if opened.mode == mode else opened.convert(mode)


@contextmanager
def _strict_pillow() -> Iterator[None]:
    """Refuses pictures of more than 90 million pixels, of which Pillow would only warn."""
    with warnings.catch_warnings():
        # Damaged EXIF data says nothing about the pixels.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _unreadable(picture: EncodedImage, error: Exception) -> Problem:
    """The problem of a picture that cannot be read."""
    text = (str(error) or type(error).__name__).splitlines()[0]
    reason = "not an image that Pillow can read" if isinstance(error, UnidentifiedImageError) else shown(text)
    return Problem(
        picture.place, f"the image cannot be read: {reason}", "repair it or take it out of the data"
    )
