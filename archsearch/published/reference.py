"""The published networks that come with the package: the files of ``spaces/reference/``, by name."""

from pathlib import Path

from archsearch.architecture import Architecture
from archsearch.errors import InputError, Problem, one_of, shown
from archsearch.space import load_architecture

PACKAGE = Path(__file__).parent.parent
# In a wheel the files lie inside the package, in a checkout beside it.
FOLDERS = (PACKAGE / "reference", PACKAGE.parent / "spaces" / "reference")


def reference_names() -> list[str]:
    """The names of all of them."""
    return sorted({path.stem for folder in FOLDERS for path in folder.glob("*.yaml")})


def reference_file(name: str) -> Path:
    """The architecture file of the network ``name``.

    Raises:
        InputError: there is none of this name.
    """
    for folder in FOLDERS:
        if name in reference_names() and (folder / f"{name}.yaml").exists():
            return folder / f"{name}.yaml"
    what = f"{shown(name)} is no published network that is known here"
    raise InputError("", [Problem("", what, one_of(reference_names(), name))])


def load_reference(name: str) -> Architecture:
    """The published network ``name``, such as ``resnet50``.

    Raises:
        InputError: there is none of this name.
    """
    return load_architecture(reference_file(name))
