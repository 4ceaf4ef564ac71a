"""The report as a file: safe to open, small, the same whenever it is written, and whole for any run."""

import base64
import dataclasses
import hashlib
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from archsearch.report.blocks import FigureBlock
from archsearch.report.page import compose_sections, render_page, write_report
from archsearch.results import load_run

FIGURES = (
    "frontier",
    "map",
    "families",
    "price",
    "disagreement",
    "swaps",
    "measured_globality",
    "importance",
    "proxies",
    "rungs",
    "costs",
    "history",
)


class Elements(HTMLParser):
    """Names and attributes of all elements, the texts of scripts and styles, and all other text."""

    def __init__(self, text):
        super().__init__()
        self.all, self.inside, self.texts, self.words = [], None, {"script": [], "style": []}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.all.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        self.texts.get(self.inside, self.words).append(data)


@pytest.fixture(scope="module")
def elements(page):
    return Elements(page)


def policy(elements):
    """Each directive of the page's policy."""
    (content,) = [a["content"] for t, a in elements.all if a.get("http-equiv") == "Content-Security-Policy"]
    return dict(part.strip().split(" ", 1) for part in content.split(";"))


def test_hostile_words_are_words(page, elements):
    assert {tag for tag, _ in elements.all} & {
        "img",
        "iframe",
        "object",
        "embed",
        "link",
        "base",
        "form",
    } == set()
    assert sum(tag == "script" for tag, _ in elements.all) == 2
    assert "<img src=x onerror=alert(1)>" in "".join(elements.words)
    assert "<img" not in page.replace("&lt;img", "")


def test_no_element_wears_a_style_or_listens(elements):
    names = {name for _, attributes in elements.all for name in attributes}

    assert "style" not in names
    assert not [name for name in names if name.startswith("on")]


def test_nothing_is_loaded_from_anywhere(elements):
    sources = {
        value
        for _, attributes in elements.all
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "data", "action", "srcset")
    }

    assert {value[:11] if value.startswith("data:") else value[0] for value in sources} == {
        "#",
        "data:image/",
    }


def test_the_policy_forbids_all_but_our_script_and_style(elements):
    def digest(text):
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    facts, script = elements.texts["script"]

    assert policy(elements) == {
        "default-src": "'none'",
        "script-src": digest(script),
        "style-src": digest("".join(elements.texts["style"])),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert "<" not in facts


def test_no_two_elements_have_one_id(page, elements):
    ids = [attributes["id"] for _, attributes in elements.all if "id" in attributes]
    referred = set(re.findall(r"(?:url\(|href=\")#([^\")]+)", page))

    assert len(ids) == len(set(ids))
    assert referred <= set(ids)


def test_a_thousand_trials_make_less_than_five_megabytes(report):
    assert report.stat().st_size < 5_000_000


def test_every_figure_lies_beside_as_png_and_svg(report, hostile):
    figures = {path.name for path in (report.parent / "figures").iterdir()}

    assert figures == {f"{name}.{form}" for name in FIGURES for form in ("png", "svg")}
    for name in FIGURES:
        assert (report.parent / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert ET.parse(report.parent / "figures" / f"{name}.svg").getroot().tag.endswith("svg")


def test_every_figure_has_a_caption_and_every_table_a_heading(elements):
    tags = [tag for tag, _ in elements.all]

    assert tags.count("figcaption") == tags.count("figure") == len(FIGURES)
    assert tags.count("caption") == tags.count("table") > 5


def test_the_answer_comes_first(page):
    text = page[page.index("<main>") :]

    assert text.index("The answer is") < text.index(">Conditions<") < text.index(">Health checks<")


def test_proxies_stand_in_one_order_whatever_the_hashes_of_this_process(page):
    assert "say more than size does: macs, rung_1_top1, rung_2_top1" in page


def test_a_finished_run_is_reported_from_its_folder_in_equal_bytes(small):
    first = write_report(load_run(small.folder))
    kept = {path: path.read_bytes() for path in [first, *(small.folder / "figures").iterdir()]}
    write_report(load_run(small.folder))

    assert {path: path.read_bytes() for path in [first, *(small.folder / "figures").iterdir()]} == kept
    assert b"None was trained in this run" in kept[first]


def test_figures_of_an_earlier_report_go(small):
    (small.folder / "figures").mkdir(exist_ok=True)
    (small.folder / "figures" / "swaps.png").write_bytes(b"old")
    write_report(empty(small))

    assert list((small.folder / "figures").iterdir()) == []


def empty(run):
    """The same run, before its first trial ended."""
    return dataclasses.replace(run, trials=run.trials.iloc[:0], stages=run.stages.iloc[:0], descriptions={})


def failed(run):
    return dataclasses.replace(run, trials=run.trials.assign(outcome="failed", top1=None, error="no memory"))


def running(run):
    """Its first trial is trained, the others are on their way."""
    trials = run.trials.assign(outcome=run.trials["outcome"].where(run.trials["number"] == 0))
    return dataclasses.replace(run, trials=trials)


def single(run):
    return dataclasses.replace(run, trials=run.trials[run.trials["outcome"] == "trained"].iloc[:1])


@pytest.mark.parametrize("cut", [empty, failed, running, single])
def test_a_run_with_little_to_say_says_why(small, cut):
    run = cut(small)
    sections = compose_sections(run)
    blocks = [block for section in sections for block in section.content]
    names = {block.name for block in blocks if isinstance(block, FigureBlock)}
    text = render_page(run, sections, dict.fromkeys(names, "<svg></svg>"))

    assert "How each number was got" in text
    assert 'class="absent"' in text
    assert (names == set()) == (cut in (empty, failed))
