"""The report: one HTML file that says what a run found, and its figures as PNG and SVG.

The page loads nothing and runs one script of ours: its policy names the hashes of that script and of the style
sheet and forbids the rest. Whatever a run wrote (names, errors, references) is text in it.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from archsearch.files import write_atomically
from archsearch.report.blocks import Content, FigureBlock, Section, TableBlock, Winner
from archsearch.report.sections import evidence, local_global, methods, overview, winners
from archsearch.report.svg import png_of, svg_of
from archsearch.report.tooltips import as_script, facts
from archsearch.results.run import Run

FIGURES = "figures"
# Anchor, title, and what gives the content of the section, in their order on the page.
SECTIONS: tuple[tuple[str, str, Callable[[Run], Iterator[Content]]], ...] = (
    ("answer", "The answer", overview.describe_answer),
    ("conditions", "Conditions", overview.describe_conditions),
    ("health", "Health checks", overview.describe_health),
    ("frontier", "Pareto front", overview.describe_frontier),
    ("map", "Map", local_global.describe_map),
    ("families", "Fronts by family", local_global.describe_families),
    ("swaps", "Matched swaps", local_global.describe_swaps),
    ("measured_globality", "Measured globality", evidence.describe_measured_globality),
    ("importance", "Importance of every choice", evidence.describe_importance),
    ("proxies", "Proxies and rungs", evidence.describe_proxies),
    ("costs", "Where the costs go", winners.describe_costs),
    ("winners", "Winning architectures", winners.describe_winners),
    ("history", "Progress of the search", evidence.describe_history),
    ("methods", "How each number was got", methods.describe_methods),
    ("files", "Files of the run", methods.describe_files),
)
TRIAL = re.compile(r'data-trial="(\d+)"')


def write_report(run: Run) -> Path:
    """Write ``report.html`` and ``figures/*.png`` and ``*.svg`` into the run's folder; gives the page's path.

    The same record gives the same bytes. Figures of an earlier report that this one lacks are deleted. Reads no
    more than the run has read; never writes to its database.

    Raises:
        EnvironmentFaultError: the run's database or manifest cannot be read.
    """
    sections = compose_sections(run)
    figures = [block for section in sections for block in section.content if isinstance(block, FigureBlock)]
    svgs = {block.name: svg_of(block.figure, block.name, block.title) for block in figures}
    page = run.folder / "report.html"
    write_atomically(page, render_page(run, sections, svgs))
    folder = run.folder / FIGURES
    folder.mkdir(exist_ok=True)
    for block in figures:
        write_atomically(folder / f"{block.name}.svg", svgs[block.name])
        write_atomically(folder / f"{block.name}.png", png_of(block.figure))
    for path in (*folder.glob("*.svg"), *folder.glob("*.png")):
        if path.stem not in svgs:
            path.unlink(missing_ok=True)
    return page


def compose_sections(run: Run) -> list[Section]:
    """The sections in their order."""
    return [Section(anchor, title, tuple(content_of(run))) for anchor, title, content_of in SECTIONS]


def render_page(run: Run, sections: list[Section], svgs: Mapping[str, str]) -> str:
    """The whole page; ``svgs`` are the figures by their names."""
    script, style = read_asset("page.js"), read_asset("page.css")
    identity = run.manifest["identity"]
    environment = Environment(
        loader=PackageLoader("archsearch.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=f"{identity['space']} on {identity['data']}",
        folder=run.folder.resolve().name,
        sections=sections,
        svgs={name: Markup(svg) for name, svg in svgs.items()},  # noqa: S704 - escaped by who drew it
        drawing=Markup,
        policy=write_policy(script, style),
        style=Markup(style),  # noqa: S704 - a file of ours, as is the script
        script=Markup(script),  # noqa: S704
        facts=Markup(as_script(facts(run.trials, trials_on(sections, svgs), run.objectives))),  # noqa: S704 - escaped by as_script
    )


def trials_on(sections: list[Section], svgs: Mapping[str, str]) -> set[int]:
    """The numbers of all trials that a mark, a row of a table or a drawing on the page is about."""
    numbers = {int(number) for svg in svgs.values() for number in TRIAL.findall(svg)}
    for block in (block for section in sections for block in section.content):
        if isinstance(block, TableBlock):
            numbers.update(trial for trial, _ in block.rows if trial is not None)
        elif isinstance(block, Winner):
            numbers.add(block.trial)
    return numbers


def read_asset(name: str) -> str:
    """A file that lies beside this module."""
    return (files("archsearch.report") / name).read_text(encoding="utf-8")


def write_policy(script: str, style: str) -> str:
    """What the page may do: run this script, wear this style, and nothing else."""
    return (
        f"default-src 'none'; script-src '{digest(script)}'; style-src '{digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def digest(text: str) -> str:
    """The hash by which a policy knows an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
