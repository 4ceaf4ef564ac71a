"""The report: one HTML file that says what a run found, and its figures as PNG and SVG.

The page loads nothing and runs one script of ours: its policy names the hashes of that script and of the style
sheet and forbids the rest. Whatever a run wrote (names, errors, references) is text in it.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from archsearch.files import write_atomically
from archsearch.report.blocks import FigureBlock, Section, Winner
from archsearch.report.sections import evidence, local_global, methods, overview
from archsearch.report.svg import png_of, svg_of
from archsearch.report.tooltips import as_script, facts
from archsearch.results.run import Run

FIGURES = "figures"
NUMBERS = re.compile(r'data-trial="(\d+)"')


@dataclass(frozen=True)
class Drawn:
    """A figure in both forms."""

    svg: str
    png: bytes


def write_report(run: Run) -> Path:
    """Write ``report.html`` and ``figures/*.png`` and ``*.svg`` into the run's folder; gives the page's path.

    The same record gives the same bytes. Reads no more than the run has read; never writes to its database.

    Raises:
        EnvironmentFaultError: the run's database or manifest cannot be read.
    """
    content = tuple(contents(run))
    drawn = {picture.name: draw(picture) for picture in pictures(content)}
    place = run.folder / "report.html"
    write_atomically(place, page(run, content, {name: figure.svg for name, figure in drawn.items()}))
    write_figures(run.folder / FIGURES, drawn)
    return place


def contents(run: Run) -> Iterator[Section]:
    """The sections in their order."""
    yield overview.answer(run)
    yield overview.conditions(run)
    yield overview.health(run)
    yield overview.frontier(run)
    yield local_global.local_global_map(run)
    yield local_global.by_family(run)
    yield local_global.swaps(run)
    yield evidence.measured_globality(run)
    yield evidence.importance(run)
    yield evidence.proxies(run)
    yield evidence.costs(run)
    yield evidence.drawings(run)
    yield evidence.history(run)
    yield from methods.methods()


def pictures(content: tuple[Section, ...]) -> Iterator[FigureBlock]:
    """All figures."""
    yield from (block for section in content for block in section.blocks if isinstance(block, FigureBlock))


def draw(picture: FigureBlock) -> Drawn:
    """A figure as SVG and as PNG."""
    return Drawn(svg_of(picture.figure, picture.name, picture.title), png_of(picture.figure))


def write_figures(folder: Path, drawn: Mapping[str, Drawn]) -> None:
    """The figures as files; what an earlier report drew and this one does not goes."""
    folder.mkdir(exist_ok=True)
    for name, figure in drawn.items():
        write_atomically(folder / f"{name}.svg", figure.svg)
        write_atomically(folder / f"{name}.png", figure.png)
    for path in (*folder.glob("*.svg"), *folder.glob("*.png")):
        if path.stem not in drawn:
            path.unlink(missing_ok=True)


def page(run: Run, content: tuple[Section, ...], drawn: Mapping[str, str]) -> str:
    """The whole page; ``drawn`` are the figures as SVG, by their names."""
    script, style = asset("page.js"), asset("page.css")
    rows = (t for s in content for b in s.blocks for t in getattr(b, "trials", ()))
    winners = {b.trial for s in content for b in s.blocks if isinstance(b, Winner)}
    drawn_trials = {int(number) for svg in drawn.values() for number in NUMBERS.findall(svg)}
    trials = drawn_trials | winners | {trial for trial in rows if trial is not None}
    told = as_script(facts(run.trials, trials, run.objectives))
    identity = run.manifest["identity"]
    return (
        environment()
        .get_template("page.html")
        .render(
            title=f"{identity['space']} on {identity['data']}",
            folder=run.folder.resolve().name,
            sections=content,
            svgs={name: Markup(svg) for name, svg in drawn.items()},  # noqa: S704 - escaped by who drew it
            drawing=Markup,
            policy=policy(script, style),
            style=Markup(style),  # noqa: S704 - a file of ours, as is the script
            script=Markup(script),  # noqa: S704
            facts=Markup(told),  # noqa: S704 - escaped by as_script
        )
    )


def environment() -> Environment:
    """Templates that escape everything and know every name they use."""
    loader = PackageLoader("archsearch.report", ".")
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def asset(name: str) -> str:
    """A file that lies beside this module."""
    return (files("archsearch.report") / name).read_text(encoding="utf-8")


def policy(script: str, style: str) -> str:
    """What the page may do: run this script, wear this style, and nothing else."""
    return (
        f"default-src 'none'; script-src '{digest(script)}'; style-src '{digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def digest(text: str) -> str:
    """The hash by which a policy knows an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
