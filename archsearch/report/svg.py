"""A figure as SVG that can stand in a page with others: no styles, no ids that clash, marks that know their trial.

matplotlib writes styles into every element. A page whose policy allows no inline style would lose them, so they
become attributes. Ids that nothing refers to go, the others carry the figure's name. An artist whose id is
``trials:3,5`` (``plots.style.marks``) is two marks: they get ``data-trial`` 3 and 5.
"""

import io
import re
import warnings
import xml.etree.ElementTree as ET  # what is read here was written by matplotlib a moment ago
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.figure import Figure

from archsearch.plots.style import MARKS, RC

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
HREF = f"{{{XLINK}}}href"
URL = re.compile(r"url\(#([^)]+)\)")
LEAVES = frozenset({f"{{{SVG}}}use", f"{{{SVG}}}path"})
# Pixels of an inch on a screen: text of 9 points has 14 pixels.
PIXELS = 116
# Font lists are long and in every text; the page has its own.
LEFT_OUT = frozenset({"font-family"})

ET.register_namespace("", SVG)
ET.register_namespace("xlink", XLINK)


def svg_of(figure: Figure, name: str, title: str) -> str:
    """The figure as an SVG element, the same text whenever it is drawn; ``title`` is its name to a screen reader.

    Raises:
        ValueError: an artist has not one mark for each of its trials.
    """
    file = io.StringIO()
    with mpl.rc_context({**RC, "svg.hashsalt": name}), without_glyph_warnings():
        figure.savefig(
            file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    root = ET.fromstring(file.getvalue())  # noqa: S314
    tidy(root, name)
    label(root, figure, title)
    # The layout is kept: the PNG is drawn without computing it again.
    figure.set_layout_engine("none")
    return ET.tostring(root, encoding="unicode") + "\n"


def png_of(figure: Figure) -> bytes:
    """The figure as PNG of 160 dots to the inch, the same bytes whenever it is drawn."""
    file = io.BytesIO()
    with mpl.rc_context(RC), without_glyph_warnings():
        figure.savefig(file, format="png", metadata={"Software": None}, pil_kwargs={"compress_level": 4})
    return file.getvalue()


@contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """Without warnings of letters that matplotlib's font lacks: the reader's font may have them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def tidy(root: ET.Element, name: str) -> None:
    """Marks, attributes for styles, and ids, of the whole tree."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    for group in root.iter(f"{{{SVG}}}g"):
        name_marks(group)
    used = set(references(root))
    for element in root.iter():
        unstyle(element)
        rename(element, name, used)


def name_marks(group: ET.Element) -> None:
    """Give each mark of a group the number of its trial."""
    identity = group.get("id", "")
    if not identity.startswith(MARKS):
        return
    del group.attrib["id"]
    numbers = [number for number in identity.removeprefix(MARKS).split(",") if number]
    found = list(leaves(group))
    if len(found) != len(numbers):
        raise ValueError(f"{len(found)} marks were drawn for {len(numbers)} trials")
    for mark, number in zip(found, numbers, strict=True):
        mark.set("data-trial", number)


def leaves(element: ET.Element) -> Iterator[ET.Element]:
    """What is drawn below ``element``, in order; definitions are not."""
    for child in element:
        if child.tag in LEAVES:
            yield child
        elif child.tag != f"{{{SVG}}}defs":
            yield from leaves(child)


def references(root: ET.Element) -> Iterator[str]:
    """Ids that something refers to."""
    for element in root.iter():
        if HREF in element.attrib:
            yield element.attrib[HREF].removeprefix("#")
        for value in element.attrib.values():
            yield from URL.findall(value)


def unstyle(element: ET.Element) -> None:
    """The properties of its style as attributes."""
    style = element.attrib.pop("style", "")
    for part in filter(None, (part.strip() for part in style.split(";"))):
        key, _, value = part.partition(":")
        if key.strip() not in LEFT_OUT:
            element.set(key.strip(), value.strip())


def rename(element: ET.Element, name: str, used: set[str]) -> None:
    """Ids and what refers to them carry the figure's name; an id that nobody uses goes."""
    identity = element.attrib.pop("id", None)
    if identity in used:
        element.set("id", f"{name}-{identity}")
    # A colour bar is a picture inside the figure, in a data URL.
    if element.get(HREF, "").startswith("#"):
        element.set(HREF, f"#{name}-{element.attrib[HREF].removeprefix('#')}")
    for key, value in element.attrib.items():
        if "url(#" in value:
            element.set(key, URL.sub(rf"url(#{name}-\1)", value))


def label(root: ET.Element, figure: Figure, title: str) -> None:
    """What the figure is called, its size on a screen, and the lines' ends that matplotlib sets for all of it."""
    width, height = (f"{PIXELS * inches:.0f}" for inches in figure.get_size_inches())
    root.attrib.update(
        {
            "width": width,
            "height": height,
            "role": "img",
            "aria-label": title,
            "font-family": "DejaVu Sans, Verdana, sans-serif",
            "stroke-linejoin": "round",
            "stroke-linecap": "butt",
        }
    )
