"""Python source of calls, and of everything that they name: the definitions and imports of a file for torch alone."""

import ast
import inspect
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple

from archsearch.errors import ArchsearchError
from archsearch.stages import ModuleCall

PACKAGE = Path(__file__).parents[2]
# Room is left for a comma.
LINE = 110
INDENT = "    "


class Import(NamedTuple):
    """One name that a module imports: ``name`` of ``module``, at so many dots; no name if the module itself."""

    module: str
    name: str | None
    asname: str | None
    level: int = 0

    @property
    def alias(self) -> str:
        """What the statement imports: ``numpy as np``."""
        return f"{self.name or self.module}{f' as {self.asname}' if self.asname else ''}"


class Definition(NamedTuple):
    """A class, a function or a constant: its file, its first line there, and its text."""

    file: Path
    line: int
    text: str


class Sources:
    """The definitions that some callables need, and the imports of them all.

    A definition is found by its name in the file that holds it: classes, functions and constants of this package,
    or of the file of a user's kind and its neighbours, are copied; torch and the standard library are imported.
    """

    def __init__(self) -> None:
        self.found: dict[str, Definition] = {}
        # Which files each file takes names from.
        self.needed: dict[Path, set[Path]] = {}
        self.imports = {Import("torch", name, None) for name in (None, "Tensor", "nn")}

    def add_call(self, call: ModuleCall) -> None:
        """What a call names.

        Raises:
            ArchsearchError: something of it is neither ours nor of torch or the standard library.
        """
        things: list[Callable[..., Any]] = [call.make, *specs_in(tuple(call.arguments.values()))]
        for thing in things:
            if not of_torch(thing):
                self.add(source_file(thing), thing.__name__)

    def add(self, file: Path, name: str) -> None:
        """The definition of ``name`` in ``file`` with all that it names; nothing for a builtin."""
        found = bindings(file).get(name)
        known = self.found.get(name)
        if isinstance(found, Import):
            self._add_import(file, name, found)
        elif found is not None and known is None:
            self.found[name] = found
            self.needed.setdefault(file, set())
            for inner in sorted(names_in(ast.parse(found.text))):
                self.add(file, inner)
        elif found is not None and known != found:
            raise ArchsearchError(f"two definitions of {name}, one of them in {file}; rename it there")

    def definitions(self) -> list[str]:
        """The text of each, behind those that it names: files behind those that they import, each in its own order."""
        files = list(TopologicalSorter(self.needed).static_order())
        ordered = sorted(self.found.values(), key=lambda one: (files.index(one.file), one.line))
        return [one.text for one in ordered]

    def _add_import(self, file: Path, name: str, found: Import) -> None:
        root = found.module.partition(".")[0]
        if found.level == 0 and (root == "torch" or root in sys.stdlib_module_names):
            self.imports.add(found)
            return
        ours = our_file(file, found)
        if ours is None or found.name is None or found.asname is not None:
            raise ArchsearchError(
                f"{file}: a standalone file needs torch alone, and {name} comes from {found.module}; write the "
                "module without it"
            )
        self.needed.setdefault(file, set()).add(ours)
        self.add(ours, found.name)

    def import_lines(self) -> str:
        """The imports, the standard library's first."""
        torch = [one for one in self.imports if one.module.partition(".")[0] == "torch"]
        sections = (import_section(some) for some in (self.imports.difference(torch), torch))
        return "\n\n".join("\n".join(lines) for lines in sections if lines)


def import_section(imports: Collection[Import]) -> list[str]:
    """Whole modules first, then the modules of single names; each in the order of their names."""
    whole = sorted(f"import {one.alias}" for one in imports if one.name is None)
    names: dict[str, list[str]] = {}
    for one in sorted(imports, key=lambda one: one.module):
        if one.name is not None:
            names.setdefault(one.module, []).append(one.alias)
    return [
        *whole,
        *(f"from {module} import {', '.join(sort_names(some))}" for module, some in names.items()),
    ]


def sort_names(names: Collection[str]) -> list[str]:
    """Constants first, then classes, then the rest."""
    return sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))


def of_torch(thing: Callable[..., Any]) -> bool:
    """Whether a callable is torch's own."""
    return thing.__module__.partition(".")[0] == "torch"


def source_file(thing: Callable[..., Any]) -> Path:
    """The file that defines a class or a function."""
    try:
        file = inspect.getsourcefile(thing)
    except TypeError:
        file = None
    if file is None:
        raise ArchsearchError(f"{thing.__name__} has no source file that a standalone file could copy")
    return Path(file)


def our_file(file: Path, found: Import) -> Path | None:
    """The file of a module that ``file`` imports, if it is of this package or lies beside ``file``."""
    folder = file.parents[max(found.level - 1, 0)]
    if found.level == 0 and found.module.partition(".")[0] == "archsearch":
        folder = PACKAGE
    path = folder.joinpath(*filter(None, found.module.split(".")))
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.exists()), None)


@cache
def bindings(file: Path) -> dict[str, Definition | Import]:
    """Every name that a file binds at its top: its definition, or where it is imported from."""
    source = file.read_text(encoding="utf-8")
    lines = source.splitlines()
    found: dict[str, Definition | Import] = {}
    for node in ast.parse(source).body:
        decorators: list[ast.expr] = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(one.lineno for one in decorators)])
        definition = Definition(file, first, "\n".join(lines[first - 1 : node.end_lineno]))
        for name in names_bound(node):
            found[name] = definition
        for one in imports_of(node):
            found[one.asname or one.name or one.module.partition(".")[0]] = one
    return found


def names_bound(node: ast.stmt) -> Iterator[str]:
    """The names of a definition: of a class or function its own, of an assignment its targets."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        yield node.name
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    yield from (inner.id for target in targets for inner in ast.walk(target) if isinstance(inner, ast.Name))


def imports_of(node: ast.stmt) -> Iterator[Import]:
    """What an import statement imports."""
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, None, alias.asname) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (Import(node.module or "", alias.name, alias.asname, node.level) for alias in node.names)


def names_in(tree: ast.AST) -> set[str]:
    """Every bare name that is read in it."""
    read = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
    return {node.id for node in read}


def specs_in(value: Any) -> Iterator[type]:
    """The classes of the frozen specs among some arguments."""
    if fields_of(value) is not None:
        yield type(value)
    inner = value if isinstance(value, tuple) else (fields_of(value) or {}).values()
    for one in inner:
        yield from specs_in(one)


def fields_of(value: Any) -> dict[str, Any] | None:
    """Of a named tuple or a dataclass the values by name; None for anything else."""
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return value._asdict() if isinstance(value, tuple) and hasattr(value, "_asdict") else None


def write_expression(value: Any, depth: int) -> str:
    """A call or a plain value as text, on one line if it fits there behind ``depth`` indents.

    Raises:
        ArchsearchError: it is no plain value.
    """
    opening, parts, closing = bracketed(value)
    inside = [f"{name}{write_expression(part, depth + 1)}" for name, part in parts]
    short = f"{opening}{', '.join(inside)}{closing}"
    if not parts or ("\n" not in short and len(short) + depth * len(INDENT) < LINE):
        return f"{opening}{inside[0]},{closing}" if opening == "(" and len(inside) == 1 else short
    lines = "".join(f"{INDENT * (depth + 1)}{part},\n" for part in inside)
    return f"{opening}\n{lines}{INDENT * depth}{closing}"


def bracketed(value: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """The opening of an expression, its parts each with a prefix, and the closing."""
    by_name: Mapping[str, Any] | None
    if isinstance(value, ModuleCall):
        prefix = "nn." if of_torch(value.make) else ""
        called, by_name = f"{prefix}{value.make.__name__}", value.arguments
    else:
        called, by_name = type(value).__name__, fields_of(value)
    if by_name is not None:
        return f"{called}(", [(f"{name}=", part) for name, part in by_name.items()], ")"
    if isinstance(value, tuple):
        return "(", [("", part) for part in value], ")"
    if isinstance(value, str):
        return json.dumps(value), [], ""
    if value is None or isinstance(value, bool | int | float):
        return repr(value), [], ""
    raise ArchsearchError(f"{value!r} is no plain value that a standalone file could hold")
