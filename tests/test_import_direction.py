"""A room imports only the rooms before its own, in the order in which one walks through the package."""

import ast
from pathlib import Path

import pytest

import archsearch

PACKAGE = Path(archsearch.__file__).parent
ROOMS = [
    "errors",
    "shapes",
    "stages",
    "architecture",
    "counting",
    "space",
    "published",
    "profiling",
    "proxy",
    "influence",
    "search",
    "study",
    "forms",
    "results",
    "dashboard",
    "report",
    "api",
    "cli",
]
# These stand beside each other: each can be used without the others.
SIBLINGS = {"space", "profiling", "proxy"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def inside(path):
    """The path within the package."""
    return path.relative_to(PACKAGE).as_posix()


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(text, package):
    """Every module that a file of ``package`` imports: in functions and behind ``TYPE_CHECKING`` as well."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, node.module] if node.module else base)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def rooms_of(modules):
    """The rooms among them; ``__init__`` is whatever the package itself offers, but for such as ``__version__``."""
    steps = [name.split(".")[1:] for name in modules if name.split(".")[0] == "archsearch"]
    names = {step[0] if step else "" for step in steps}
    return {name if name in ROOMS else "__init__" for name in names if not name.startswith("__")}


def imports_of(path):
    package = ["archsearch", *path.relative_to(PACKAGE).parts[:-1]]
    return set(imported(path.read_text(encoding="utf-8"), package))


def rooms_imported_by(path):
    return rooms_of(imports_of(path))


def libraries_imported_by(path):
    return {name.split(".")[0] for name in imports_of(path)}


every_module = pytest.mark.parametrize("path", MODULES, ids=inside)


@every_module
def test_a_module_imports_only_rooms_before_its_own(path):
    room = room_of(path)
    allowed = ROOMS if room == "__init__" else ROOMS[: ROOMS.index(room) + 1]

    assert rooms_imported_by(path) <= set(allowed)


@every_module
def test_space_profiling_and_proxy_do_not_know_each_other(path):
    others = SIBLINGS - {room_of(path)} if room_of(path) in SIBLINGS else set()

    assert not rooms_imported_by(path) & others


@every_module
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", [p for p in MODULES if room_of(p) == "space"], ids=inside)
def test_a_space_knows_no_optuna(path):
    assert "optuna" not in libraries_imported_by(path)


def test_results_need_torch_for_nothing_but_export():
    needing = {
        inside(path) for path in (PACKAGE / "results").rglob("*.py") if "torch" in libraries_imported_by(path)
    }

    assert needing <= {"export/export.py"}


@pytest.mark.parametrize(
    ("text", "rooms"),
    [
        ("import archsearch.cli", {"cli"}),
        ("import archsearch.space.load as reading, os", {"space"}),
        ("import archsearch", {"__init__"}),
        ("from archsearch import proxy", {"proxy"}),
        ("from archsearch import load_space", {"__init__"}),
        ("from archsearch import __version__", set()),
        ("from archsearch.study.loop import run", {"study"}),
        ("from . import load", {"space"}),
        ("from .load import load_space", {"space"}),
        ("from .. import cli", {"cli"}),
        ("from ..proxy.train import evaluate", {"proxy"}),
        ("def f():\n    from archsearch.api import x", {"api"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import archsearch.results", {"results"}),
        ("import torch", set()),
    ],
)
def test_no_way_of_importing_is_overlooked(text, rooms):
    assert rooms_of(imported(text, ["archsearch", "space"])) == rooms
