"""Drawn images that need local mixing, global mixing or both: the control of what a search finds.

    procedural:texture   local       the whole picture is one of k textures; the label is which
    procedural:layout    global      a light and a dark patch; the label is the direction between them
    procedural:xor       both        label = (background texture + direction) mod k
    procedural:matching  long range  two glyphs share a row; label = sum of their numbers mod k

k is the ``classes`` of the space, 2 to 14. Options follow after commas, as in
``procedural:xor,informative=0.5,images=20000``:

    images=N       train and test together, a fifth of them test; default 20000
    size=N         side of a picture, pixels; default 32, and best the size that the space says
    seed=N         default 0
    distance=N     layout, xor, matching: between the two things that decide, pixels; default 12, matching 8
    informative=P  layout, xor: how often the background texture gives the label away; default 0

What one window can contain. Everything is placed on a torus, anywhere with equal chance, so that the histogram
of windows too small to see both deciding things has one law for every label: windows of fewer than
``distance`` - 2 pixels, at ``informative=0``. Wrapping windows make that exact; the edge of a picture cuts
what wraps, from which a network may learn a little. Mirrored pictures have other labels: keep ``flip`` off.

The dial. With probability P the background texture is number label, else it is any of the k. In layout it is
then a shortcut beside the direction, which stays true; in xor the direction is then number 0, so that P
moves the task from global and local at 0 to local alone at 1. The textures' task is local at any dial and
matching has no texture: both refuse it.

Sources: same-different tasks, Fleuret et al. 2011, https://doi.org/10.1073/pnas.1109168108; textures as
filtered noise, Portilla and Simoncelli 2000, https://doi.org/10.1023/A:1026553619983; a net of small
windows as the control, BagNet, Brendel and Bethge 2019, https://arxiv.org/abs/1904.00760.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from archsearch.data.images import DataSource, Labels, Pixels, SplitTable, data_error, picture_reader
from archsearch.errors import DataError, Problem, one_of, shown

PREFIX = "procedural"
FEWEST_CLASSES, MOST_CLASSES = 2, 14  # no more glyphs differ in four of their nine pixels
IMAGES_PER_CLASS = 20  # 16 in train, of which load_data holds out two for validation
PATCH = 4
GLYPH = 3
GREY, CONTRAST, STEP = 128, 32, 64  # mean, deviation of a texture, and how far a patch is off the mean
GLYPH_NOISE = 0.25  # deviation behind glyphs, in units of CONTRAST
WAVES = (0.28, 0.16)  # of the two bands, cycles per pixel
BAND_WIDTH = 0.25  # of a band, in natural logarithms of the frequency
SHARPNESS = 6.0  # of an orientation

Field = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Number:
    """What the value of an option may be: from ``lowest`` to ``highest``, whole unless ``share``."""

    lowest: int
    highest: int
    share: bool = False
    tasks: tuple[str, ...] = ("texture", "layout", "xor", "matching")

    def read(self, written: str) -> float | int | None:
        """The value, or nothing when it is none."""
        pattern = r"\d{0,20}\.?\d{1,20}" if self.share else r"\d{1,20}"
        if re.fullmatch(pattern, written, re.ASCII) is None:
            return None
        value = float(written) if self.share else int(written)
        return value if self.lowest <= value <= self.highest else None

    def remedy(self) -> str:
        """What to write instead."""
        kind = "number" if self.share else "whole number"
        return f"write a {kind} from {self.lowest} to {self.highest}"


OPTIONS = {
    "images": Number(40, 1_000_000),
    "size": Number(16, 256),
    "seed": Number(0, 2**63 - 1),
    "distance": Number(4, 256, tasks=("layout", "xor", "matching")),
    "informative": Number(0, 1, share=True, tasks=("layout", "xor")),
}


@dataclass(frozen=True)
class Drawing:
    """What is drawn, and how.

    Attributes:
        task: ``texture``, ``layout``, ``xor`` or ``matching``.
        classes: k, how many labels there are; also textures, directions and glyphs.
        images: train and test together; images.
        size: height and width; pixels.
        seed: of all that is drawn.
        distance: between the centres of the two patches, the larger of rows and columns, or between the
            left edges of the two glyphs; round the torus, pixels. Without meaning for textures.
        informative: probability that the background texture is number label; 0 to 1.
    """

    task: str
    classes: int
    images: int = 20_000
    size: int = 32
    seed: int = 0
    distance: int = 12
    informative: float = 0.0


def is_procedural(name: str) -> bool:
    """Whether a source of that name is drawn and not read."""
    return name.partition(":")[0] == PREFIX


def open_drawing(name: str, classes: int) -> DataSource:
    """The source that ``name`` describes, with train and test; nothing is drawn before it is asked for.

    Raises:
        DataError: the task, an option or ``classes`` cannot be drawn; all that is wrong is reported.
    """
    drawing = parse(name, classes)
    test = drawing.images // 5
    counts = {"train": drawing.images - test, "test": test}

    def table(role: str) -> SplitTable:
        reader = picture_reader(role, lambda row: Image.fromarray(draw(drawing, role, row)))
        # The name says all that is drawn.
        return SplitTable(label_of(drawing, np.arange(counts[role])), reader, version=name)

    tables = {role: table(role) for role in counts}
    return DataSource(tables, tuple(f"{drawing.task}{label}" for label in range(classes)))


def parse(name: str, classes: int) -> Drawing:
    """``procedural:TASK,OPTION=VALUE,...`` as a drawing of ``classes`` labels.

    Raises:
        DataError: see ``open_drawing``.
    """
    task, *written = name.partition(":")[2].split(",")
    if task not in PAINTERS:
        what = f"{shown(task)} is not a task" if task else "the task is missing"
        raise data_error(name, what, one_of(tuple(PAINTERS), task), "task")
    values, problems = _options(task, written)
    drawing = replace(Drawing(task, classes, distance=8 if task == "matching" else 12), **values)
    # A value that is wrong by itself says nothing of how the values fit together.
    problems = problems or list(_misfits(drawing))
    if problems:
        raise DataError(name, problems)
    return drawing


def _options(task: str, written: Sequence[str]) -> tuple[dict[str, Any], list[Problem]]:
    """The values by option, and what is wrong with them."""
    known = tuple(option for option, number in OPTIONS.items() if task in number.tasks)
    values: dict[str, Any] = {}
    problems = []
    for text in written:
        option, _, value = text.partition("=")
        number = OPTIONS[option].read(value) if option in known else None
        if option not in known:
            what = f"{task} has no such option" if option else "an option without a name"
            problems.append(Problem(shown(option), what, one_of(known, option)))
        elif option in values:
            problems.append(Problem(option, "the option is written twice", "keep one of them"))
        elif number is None:
            problems.append(Problem(option, f"{shown(repr(value))} cannot be used", OPTIONS[option].remedy()))
        else:
            values[option] = number
    return values, problems


def _misfits(drawing: Drawing) -> Iterator[Problem]:
    """What cannot be drawn although each number by itself can."""
    classes, size = drawing.classes, drawing.size
    if not FEWEST_CLASSES <= classes <= MOST_CLASSES:
        remedy = f"write classes: {FEWEST_CLASSES} to {MOST_CLASSES} in the space"
        yield Problem("classes", f"{classes} classes cannot be drawn", remedy)
        return
    if drawing.images < IMAGES_PER_CLASS * classes:
        what = f"{drawing.images} images are too few for {classes} classes"
        yield Problem("images", what, f"write images={IMAGES_PER_CLASS * classes} or more")
    lowest, highest, smallest = _reach(drawing)
    if drawing.task == "texture" or lowest <= drawing.distance <= highest:
        return
    what = f"{drawing.distance} pixels do not fit {classes} classes on {size} pixels"
    remedy = (
        f"write distance={lowest} to {highest}" if lowest <= highest else f"write size={smallest} or more"
    )
    yield Problem("distance", what, remedy)


def _reach(drawing: Drawing) -> tuple[int, int, int]:
    """The smallest and largest distance, and the smallest picture that has room for the smallest one."""
    if drawing.task == "matching":
        return GLYPH + 1, drawing.size // drawing.classes, (GLYPH + 1) * drawing.classes
    # Twice as far would look the same in opposite directions on a torus, but for the width of a patch.
    return 2 * PATCH, (drawing.size - PATCH) // 2, 5 * PATCH


def label_of(drawing: Drawing, rows: Labels) -> Labels:
    """The labels of ``rows``: in turn, so that they are balanced to one image."""
    return rows.astype(np.int64) % drawing.classes


def draw(drawing: Drawing, role: str, row: int) -> Pixels:
    """Row ``row`` of ``role`` (``train`` or ``test``) as grey (size, size): always the same."""
    label = row % drawing.classes
    field = PAINTERS[drawing.task](drawing, generator_of(drawing, role, row), label)
    return np.rint(GREY + CONTRAST * field).clip(0, 255).astype(np.uint8)


def generator_of(drawing: Drawing, role: str, row: int) -> np.random.Generator:
    """The chance of one row, which no other row shares."""
    return np.random.default_rng((drawing.seed, ("train", "test").index(role), row))


def cues(drawing: Drawing, generator: np.random.Generator, label: int) -> tuple[int, int]:
    """Numbers of the background texture and of the direction, in layout and xor; the first thing drawn."""
    telling = generator.random() < drawing.informative
    texture = label if telling else int(generator.integers(drawing.classes))
    return texture, label if drawing.task == "layout" else (label - texture) % drawing.classes


def glyph_numbers(drawing: Drawing, generator: np.random.Generator, label: int) -> tuple[int, int, list[int]]:
    """The two glyphs that share a row, and the others in any order; the first thing drawn.

    One glyph is any, v; its partner is label - v, mod k; the others are all but v. So a picture holds every
    glyph once, and one of them, which has the same chance for every label, once more: counting glyphs tells
    nothing. For k = 2 label 0 says that the two are the same, and label 1 that they are not.
    """
    one = int(generator.integers(drawing.classes))
    others = [glyph for glyph in generator.permutation(drawing.classes).tolist() if glyph != one]
    return one, (label - one) % drawing.classes, others


def noise(drawing: Drawing, generator: np.random.Generator, texture: int) -> Field:
    """One texture as (size, size), seamless on the torus, of mean 0 and variance 1 in every picture."""
    white = np.fft.rfft2(generator.standard_normal((drawing.size, drawing.size)))
    shape = (drawing.size, drawing.size)
    field = np.fft.irfft2(white * spectra(drawing.classes, drawing.size)[texture], shape)
    return np.asarray(field / field.std())


@cache
def spectra(textures: int, size: int) -> Field:
    """Amplitudes (k, size, size // 2 + 1) of orientations in turn, fine and coarse alternating; no mean."""
    down, across = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    frequency = np.hypot(down, across)
    frequency[0, 0] = 1e-9  # has no logarithm, and no part in any band
    angle = np.arctan2(down, across)
    turns = [math.pi * texture / textures for texture in range(textures)]
    waves = [WAVES[texture % len(WAVES)] for texture in range(textures)]
    bands = [np.exp(-((np.log(frequency / wave) / BAND_WIDTH) ** 2) / 2) for wave in waves]
    return np.stack(
        [
            band * np.exp(SHARPNESS * (np.cos(2 * (angle - turn)) - 1) / 2)
            for turn, band in zip(turns, bands, strict=True)
        ]
    )


@cache
def offsets(directions: int, distance: int) -> tuple[tuple[int, int], ...]:
    """Rows down and columns right of each direction, at equal angles on a square: the larger is ``distance``."""
    angles = [2 * math.pi * number / directions for number in range(directions)]
    rays = [(math.sin(angle), math.cos(angle)) for angle in angles]
    scales = [distance / max(abs(down), abs(right)) for down, right in rays]
    return tuple(
        (round(scale * down), round(scale * right)) for scale, (down, right) in zip(scales, rays, strict=True)
    )


@cache
def glyphs() -> Field:
    """3x3 patterns (14, 3, 3) of -1 and 1: four pixels light, and any two differ in four pixels or more."""
    chosen: list[frozenset[int]] = []
    for light in map(frozenset, combinations(range(GLYPH**2), 4)):
        if all(len(light & other) <= 2 for other in chosen):
            chosen.append(light)
    # The first and the last have no light pixel in common, nor have the second and the last but one.
    ordered = [light for pair in zip(chosen, reversed(chosen), strict=True) for light in pair][:MOST_CLASSES]
    patterns = [[1.0 if pixel in light else -1.0 for pixel in range(GLYPH**2)] for light in ordered]
    return np.array(patterns).reshape(-1, GLYPH, GLYPH)


def _patches(drawing: Drawing, generator: np.random.Generator, label: int) -> Field:
    """Two patches of one random texture on another; the dark one lies in the direction from the light one."""
    texture, direction = cues(drawing, generator, label)
    step = int(generator.integers(1, drawing.classes))
    field = noise(drawing, generator, texture)
    other = noise(drawing, generator, (texture + step) % drawing.classes)
    place = generator.integers(drawing.size, size=2)
    light = _window(drawing, place, PATCH)
    dark = _window(drawing, place + offsets(drawing.classes, drawing.distance)[direction], PATCH)
    field[light] = other[light] + STEP / CONTRAST
    field[dark] = other[dark] - STEP / CONTRAST
    return field


def _matching(drawing: Drawing, generator: np.random.Generator, label: int) -> Field:
    """Evenly spaced rows of glyphs, k of them: two glyphs in one row and one in each of the others."""
    one, partner, others = glyph_numbers(drawing, generator, label)
    size, ink = drawing.size, glyphs()
    field = GLYPH_NOISE * generator.standard_normal((size, size))
    rows = generator.integers(size) + generator.permutation(drawing.classes) * size // drawing.classes
    columns = generator.integers(size, size=drawing.classes)
    apart = generator.integers(drawing.distance, size - drawing.distance + 1)
    for glyph, row, column in zip((one, *others), rows, columns, strict=True):
        field[_window(drawing, (row, column), GLYPH)] += STEP / CONTRAST * ink[glyph]
    field[_window(drawing, (rows[0], columns[0] + apart), GLYPH)] += STEP / CONTRAST * ink[partner]
    return field


def _window(
    drawing: Drawing, corner: Sequence[int] | Labels, side: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The indices of a square on the torus, by its upper left corner."""
    down, right = ((start + np.arange(side)) % drawing.size for start in corner)
    return down[:, None], right[None, :]


Painter = Callable[[Drawing, np.random.Generator, int], Field]
PAINTERS: Mapping[str, Painter] = {
    "texture": noise,
    "layout": _patches,
    "xor": _patches,
    "matching": _matching,
}
