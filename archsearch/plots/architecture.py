"""One architecture as a drawing: a row of boxes from image to logits, and where its MACs go.

A dark box mixes globally, a light one locally: the two colours (orange-brown, light blue) differ in grey print and
for colour-blind readers, and are named. Laid out in pixels, written as SVG by hand.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from archsearch.formatting import amount
from archsearch.results.parts import PartRow, part_rows, read_description

if TYPE_CHECKING:
    from archsearch.architecture import Architecture

WIDTH = 700.0
MARGIN = 6.0
ENDS = 56.0
GAP = 15.0
PER_ROW = 5
LINE = 12.5
BAND = 32.0
TITLE = 26.0
STRIP = 46.0
SIZE = 9.5
# A letter of the font is about so wide, as a share of its size.
LETTER = 0.57
INK = "#1a1a1a"
QUIET = "#555555"
FILLS = {"local": "#c6dbef", "global": "#a63603", None: "#ececec"}
TEXTS = {"local": INK, "global": "#ffffff", None: INK}
FONT = "DejaVu Sans, Verdana, Arial, sans-serif"


@dataclass(frozen=True)
class Box:
    """A rectangle: its upper left corner, width and height in pixels, and its filling."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    edge: str = "#555555"


@dataclass(frozen=True)
class Label:
    """A line of text whose base line starts, has its middle or ends at ``(x, y)``."""

    x: float
    y: float
    text: str
    size: float = SIZE
    bold: bool = False
    colour: str = INK
    anchor: Literal["start", "middle", "end"] = "start"


@dataclass(frozen=True)
class Arrow:
    """From ``x`` to ``end`` at height ``y``, with a head."""

    x: float
    end: float
    y: float


Mark = Box | Label | Arrow


@dataclass(frozen=True)
class Drawing:
    """What is drawn, in order, on ``WIDTH`` x ``height`` pixels; ``title`` says it in words."""

    title: str
    height: float
    marks: tuple[Mark, ...]


def architecture_svg(description: "str | Mapping[str, Any] | Architecture") -> str:
    """The drawing as SVG of 700 pixels width; no scripts, no references, every text escaped.

    ``description`` is the architecture as its record's JSON, the same as data, or itself.
    """
    return write_svg(lay_out(read_description(description)))


def lay_out(architecture: "Architecture") -> Drawing:
    """Title, rows of boxes, and the strip of MACs below them."""
    from archsearch.counting import family, globality  # noqa: PLC0415 - torch, only when something is drawn

    rows = part_rows(architecture)
    macs, params = sum(row.macs for row in rows), sum(row.params for row in rows)
    facts = (architecture.layout, family(architecture), f"globality {globality(architecture):.2f}")
    title = " \u00b7 ".join((*facts, f"{amount(macs)} MACs", f"{amount(params)} parameters"))
    marks: list[Mark] = [Label(MARGIN, 16, title, size=11, bold=True)]
    lines = list(in_lines(rows[:-1]))
    bottom = TITLE
    for index, line in enumerate(lines):
        marks += draw_boxes(line, bottom, width_for(lines))
        if index == 0:
            marks += draw_image(str(architecture.image.shape), bottom)
        height = height_of(line)
        if index == len(lines) - 1:
            marks += draw_head(rows[-1], left_of(len(line), width_for(lines)), bottom, height)
        bottom += height + 14
    marks += draw_strip(rows, bottom)
    return Drawing(title, bottom + STRIP, tuple(marks))


def in_lines(rows: Sequence[PartRow]) -> Iterator[Sequence[PartRow]]:
    """As few lines as hold the parts, about equally long."""
    count = math.ceil(len(rows) / PER_ROW)
    length = math.ceil(len(rows) / count)
    yield from (rows[at : at + length] for at in range(0, len(rows), length))


def width_for(lines: Sequence[Sequence[PartRow]]) -> float:
    """Width of a box where the longest line fills the drawing, and no box is wider than it needs to be."""
    columns = max(map(len, lines))
    return min(130.0, (WIDTH - 2 * MARGIN - 2 * ENDS - (columns + 1) * GAP) / columns)


def left_of(column: int, width: float) -> float:
    """Where the box in a column begins."""
    return MARGIN + ENDS + GAP + column * (width + GAP)


def height_of(line: Sequence[PartRow]) -> float:
    """Height of the boxes of one line: all as high as the one with most to say."""
    return BAND + LINE * (max(len(lines_of(row)) for row in line) + 2) + 10


def lines_of(row: PartRow) -> list[str]:
    """What stands inside a box: kind, then its fields."""
    return [*row.kind.split("_"), *row.fields]


def draw_boxes(line: Sequence[PartRow], top: float, width: float) -> Iterator[Mark]:
    """The boxes of one line, each with the arrow that leads to it."""
    height = height_of(line)
    for column, row in enumerate(line):
        left = left_of(column, width)
        yield Arrow(left - GAP + 2, left - 2, top + BAND / 2)
        yield from draw_box(row, Box(left, top, width, height, "#ffffff"))


def draw_box(row: PartRow, frame: Box) -> Iterator[Mark]:
    """One part: a band that says how it mixes, what it is, what leaves it, and its share of the MACs."""
    left, middle = frame.x + 6, frame.x + frame.width / 2
    # A stage of several blocks stands like a pile of cards.
    for card in range(min(row.depth - 1, 3), 0, -1):
        yield Box(frame.x + 2.5 * card, frame.y - 2.5 * card, frame.width, frame.height, "#ffffff")
    yield frame
    yield Box(frame.x, frame.y, frame.width, BAND, FILLS[row.mixing])
    ink = TEXTS[row.mixing]
    times = f"  x {row.depth}" if row.depth > 1 else ""
    yield fit_label(middle, frame.y + 13, f"{row.place}{times}", frame.width, bold=True, colour=ink)
    yield fit_label(middle, frame.y + 26, row.mixing or "", frame.width, colour=ink)
    y = frame.y + BAND + 14
    words = len(row.kind.split("_"))
    for index, text in enumerate(lines_of(row)):
        yield fit_label(left, y, text, frame.width - 6, bold=index < words, anchor="start")
        y += LINE
    bottom = frame.y + frame.height
    yield fit_label(left, bottom - 6 - LINE, row.output, frame.width - 6, bold=True, anchor="start")
    share = f"{row.share:.0%} of MACs" if row.share >= 0.005 else "< 1% of MACs"
    yield fit_label(left, bottom - 6, share, frame.width - 6, colour=QUIET, anchor="start")


def fit_label(
    x: float,
    y: float,
    text: str,
    width: float,
    *,
    bold: bool = False,
    colour: str = INK,
    anchor: Literal["start", "middle", "end"] = "middle",
) -> Label:
    """A text that is written smaller, down to a point, where it would leave its box, and then cut."""
    size = min(SIZE, max(7.0, (width - 4) / (LETTER * 1.08**bold * max(len(text), 1))))
    most = int((width - 4) / (LETTER * size))
    return Label(x, y, text if len(text) <= most else text[: most - 1] + "\u2026", size, bold, colour, anchor)


def draw_image(shape: str, top: float) -> Iterator[Mark]:
    """The image, in front of the first box."""
    yield fit_label(MARGIN + ENDS / 2, top + BAND / 2 - 3, "image", ENDS, bold=True)
    yield fit_label(MARGIN + ENDS / 2, top + BAND / 2 + 10, shape, ENDS)


def draw_head(head: PartRow, left: float, top: float, height: float) -> Iterator[Mark]:
    """The head and its logits, behind the last box."""
    yield Arrow(left - GAP + 2, left - 2, top + BAND / 2)
    yield Box(left, top, ENDS, height, "#ffffff")
    yield Box(left, top, ENDS, BAND, FILLS[None])
    yield fit_label(left + ENDS / 2, top + 20, "head", ENDS, bold=True)
    yield fit_label(left + 5, top + BAND + 14, f"pool {head.kind}", ENDS - 5, anchor="start")
    yield fit_label(left + 5, top + height - 6, head.output, ENDS - 5, bold=True, anchor="start")


def draw_strip(rows: Sequence[PartRow], top: float) -> Iterator[Mark]:
    """Where the MACs go: one piece for each part, as long as its share; and what the colours mean."""
    left, length = MARGIN + ENDS + GAP, WIDTH - 2 * MARGIN - ENDS - GAP
    yield Label(MARGIN, top + 13, "MACs", bold=True)
    x = left
    for row in rows:
        width = row.share * length
        yield Box(x, top, width, 18, FILLS[row.mixing], "#ffffff")
        name = row.place.removeprefix("stages.")
        if width > LETTER * SIZE * len(name) + 4:
            yield Label(x + width / 2, top + 13, name, colour=TEXTS[row.mixing], anchor="middle")
        x += width
    for place, mixing in ((left, "local"), (left + 190, "global")):
        yield Box(place, top + 26, 12, 12, FILLS[mixing])
        meaning = {"local": "local: a window at a time", "global": "global: every place sees every other"}
        yield Label(place + 17, top + 36, meaning[mixing], colour=QUIET)


def write_svg(drawing: Drawing) -> str:
    """The drawing as an SVG element."""
    size = f'viewBox="0 0 {WIDTH:g} {drawing.height:g}" width="{WIDTH:g}" height="{drawing.height:g}"'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{FONT}">'
    title = f"<title>{escape(drawing.title)}</title>"
    return "\n".join([opening, title, *map(write_element, drawing.marks), "</svg>"]) + "\n"


def write_element(mark: Mark) -> str:
    """One mark as an SVG element."""
    if isinstance(mark, Box):
        place = f'x="{mark.x:.1f}" y="{mark.y:.1f}" width="{mark.width:.1f}" height="{mark.height:.1f}"'
        return f'<rect {place} fill="{mark.fill}" stroke="{mark.edge}" stroke-width="0.8"/>'
    if isinstance(mark, Label):
        weight = ' font-weight="bold"' if mark.bold else ""
        place = f'x="{mark.x:.1f}" y="{mark.y:.1f}" font-size="{mark.size:.3g}" text-anchor="{mark.anchor}"'
        return f'<text {place} fill="{mark.colour}"{weight}>{escape(mark.text)}</text>'
    tip = f"M{mark.end:.1f} {mark.y:.1f} l-5 -3.5 v7 z"
    return f'<path d="M{mark.x:.1f} {mark.y:.1f} H{mark.end - 4:.1f} {tip}" stroke="{INK}" fill="{INK}"/>'
