"""The forms that a network is written in, which packages they need, and what came of writing one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from archsearch.errors import InputError, Problem, one_of, shown

Format = Literal["yaml", "weights", "program", "onnx", "standalone"]
FORMATS: tuple[Format, ...] = get_args(Format)
# What a run keeps of its whole frontier: these need no network to be built.
QUICK: tuple[Format, ...] = ("yaml", "weights")

NEEDED: Mapping[Format, tuple[str, ...]] = {"onnx": ("onnx", "onnxscript")}
EXTRA = "pip install 'archsearch[onnx]'"


@dataclass(frozen=True)
class ExportedFile:
    """One form on the disk.

    Attributes:
        form: which one.
        path: its file; of ``standalone`` the code.
        checked: how it was held against the network, in words.
    """

    form: Format
    path: Path
    checked: str


def missing_packages(form: Format) -> list[str]:
    """The packages that this form needs and that are not installed."""
    return [package for package in NEEDED.get(form, ()) if find_spec(package) is None]


def choose_formats(asked: Sequence[str] | None) -> tuple[list[Format], list[str]]:
    """The forms to write, all that the installed packages allow if none is asked for; and why others are not.

    Raises:
        InputError: there is no such form, or a package of one that is asked for is not installed.
    """
    if asked is None:
        able = [form for form in FORMATS if not missing_packages(form)]
        return able, [f"no {form}: {name_missing(form)}; {EXTRA}" for form in FORMATS if form not in able]
    unknown = [
        Problem("--form", f"{shown(f)} is no form", one_of(FORMATS, f)) for f in asked if f not in FORMATS
    ]
    wanted = [form for form in FORMATS if form in asked]
    lacking = [Problem("--form", f"{f}: {name_missing(f)}", EXTRA) for f in wanted if missing_packages(f)]
    if unknown or lacking:
        raise InputError("archsearch export", [*unknown, *lacking])
    return wanted, []


def name_missing(form: Format) -> str:
    """Which package is missing, in words."""
    return f"{' and '.join(missing_packages(form))} cannot be imported"
