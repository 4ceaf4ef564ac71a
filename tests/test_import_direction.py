"""A room imports only the rooms before its own; inside a room no module leads back to itself; none needs too many."""

import ast
import re
from pathlib import Path

import pytest

import archsearch

PACKAGE = Path(archsearch.__file__).parent
# The docstring of the package lists the rooms: ``    stats/         Pareto front, ...``.
ROOMS = re.findall(r"^ +(\w+)/? {2,}\S", archsearch.__doc__, re.MULTILINE)
# Modules of this package that one module may import when it is loaded; a command brings many together.
MOST_IMPORTS = 12
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


def test_the_docstring_of_the_package_lists_every_room_once():
    assert sorted(ROOMS) == sorted({room_of(path) for path in MODULES} - {"__init__"})


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


def dotted(path):
    """The name of a module: ``archsearch.results.run``; of a package that of its ``__init__``."""
    return ".".join(["archsearch", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(
        ".__init__"
    )


NAMES = {dotted(path): path for path in MODULES}


def for_types_only(node):
    """Whether it is the block that a type checker alone reads."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports_under(node, *, in_functions):
    """(module, name) of every import below a node, but for those that only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ImportFrom) and child.module:
            yield from ((child.module, alias.name) for alias in child.names)
        elif isinstance(child, ast.Import):
            yield from ((alias.name, None) for alias in child.names)
        elif for_types_only(child) or (
            not in_functions and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
        ):
            continue
        else:
            yield from imports_under(child, in_functions=in_functions)


def source_of(module, name):
    """The module that ``from module import name`` ends in: a package's own import is followed to where it leads."""
    if f"{module}.{name}" in NAMES:
        return f"{module}.{name}"
    path = NAMES.get(module)
    if path is not None and path.name == "__init__.py" and module != "archsearch":
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for home, passed_on in imports_under(tree, in_functions=False):
            if passed_on == name:
                return source_of(home, name)
    return module if path is not None else None


def needs(path, *, in_functions):
    """The modules of this package that a module needs: as it is loaded, or also later, in its functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {source_of(*one) for one in imports_under(tree, in_functions=in_functions)}
    return found - {None, dotted(path)}


def circles(graph):
    """The modules that lead back to themselves."""

    def reached(start):
        seen, ahead = set(), [start]
        while ahead:
            new = graph.get(ahead.pop(), set()) - seen
            seen |= new
            ahead += new
        return seen

    return {name for name in graph if name in reached(name)}


@pytest.mark.parametrize("room", ROOMS)
def test_inside_a_room_no_import_leads_back_to_where_it_began(room):
    inside_it = {dotted(path): path for path in MODULES if room_of(path) == room}
    graph = {name: needs(path, in_functions=True) & inside_it.keys() for name, path in inside_it.items()}

    assert circles(graph) == set()


@pytest.mark.parametrize("path", [p for p in MODULES if room_of(p) not in ("__init__", "cli")], ids=inside)
def test_a_module_needs_few_others_to_be_loaded(path):
    assert len(needs(path, in_functions=False)) <= MOST_IMPORTS


def test_a_circle_is_seen():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == {"a", "b", "c"}


@pytest.mark.parametrize("path", [p for p in MODULES if room_of(p) == "space"], ids=inside)
def test_a_space_knows_no_optuna(path):
    assert "optuna" not in libraries_imported_by(path)


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
