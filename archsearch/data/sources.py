"""Where images come from: the embedded digits, drawings, Parquet files, image folders, the Hugging Face hub.

A word that looks like a path is never taken for the name of a data set on the hub: a mistyped path must
not start a download.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from archsearch.data.images import DataSource, SplitTable, data_error, picture_reader, role_of
from archsearch.data.procedural import PAINTERS, is_procedural, open_drawing
from archsearch.errors import shown

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class SourceKind:
    """One kind of source.

    Attributes:
        wording: how such a source is written, for messages.
        has_name: whether a name is of this kind; the first kind that says so opens it.
        open: the source of a name; the number of classes is how many to draw, and helps to choose among
            label columns.
        can_be_mirrored: whether a mirrored image still belongs to its class.
    """

    wording: str
    has_name: Callable[[str], bool]
    open: Callable[[str, int], DataSource]
    can_be_mirrored: bool


def open_source(name: str, classes: int) -> DataSource:
    """The source of that name; ``classes`` is what the space says."""
    if not name or not name.isprintable():
        raise data_error(shown(name), f"{name!r} is not the name of a source", _remedy())
    return _kind_of(name).open(name, classes)


def forbids_mirroring(name: str) -> bool:
    """Whether a mirrored image of this source would be of another class, or of none."""
    return not _kind_of(name).can_be_mirrored


def _kind_of(name: str) -> SourceKind:
    return next(kind for kind in SOURCES if kind.has_name(name))


def _remedy() -> str:
    """What to write where a name is of no source."""
    *others, last = (kind.wording for kind in SOURCES)
    return f"write {', '.join(others)}, {last}"


def _open_digits(_name: str, _classes: int) -> DataSource:
    """1797 handwritten digits of 8x8 grey pixels, from UCI by way of scikit-learn; one split."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - 2 s that other sources do not need

    found = load_digits()
    pixels = np.rint(found.images * (255 / 16)).astype(np.uint8)
    pictures = picture_reader("digits", lambda row: Image.fromarray(pixels[row]))
    names = tuple(str(name) for name in found.target_names)
    return DataSource({"train": SplitTable(found.target.astype(np.int64), pictures)}, names)


def _open_images(name: str, classes: int) -> DataSource:
    """Files here if there are any, else a data set on the hub; read through Hugging Face ``datasets``."""
    path = Path(name).expanduser()
    if not path.exists():
        _refuse_missing_path(name)
    if find_spec("datasets") is None:
        raise data_error(name, "reading images needs Hugging Face datasets", "pip install 'archsearch[data]'")
    from archsearch.data import huggingface  # noqa: PLC0415 - an extra, and 1.5 s that digits do not need

    return huggingface.read(name, classes, layout(name, path) if path.exists() else None)


# The last kind takes every name that is left.
SOURCES = (
    SourceKind("digits", lambda name: name == "digits", _open_digits, can_be_mirrored=False),
    SourceKind(
        f"procedural:TASK ({', '.join([*PAINTERS][:-1])} or {[*PAINTERS][-1]})",
        is_procedural,
        open_drawing,
        can_be_mirrored=False,
    ),
    SourceKind(
        "a .parquet file, a folder with Parquet files or class folders, or a name on the hub",
        lambda _name: True,
        _open_images,
        can_be_mirrored=True,
    ),
)


def layout(name: str, path: Path) -> dict[str, Path]:
    """Where each role of a path lies; the key ``parquet`` is a file or folder that names its own splits."""
    if path.is_file():
        if path.suffix.lower() != ".parquet":
            raise data_error(name, "the file is not a Parquet file", _remedy())
        return {"parquet": path}
    if next(path.rglob("*.parquet"), None) is not None:
        return {"parquet": path}
    return _image_folder(name, path)


def _image_folder(name: str, path: Path) -> dict[str, Path]:
    """``train/`` and ``test/`` above the class folders, or the class folders alone."""
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and folder.name[0] != ".")
    roles = {folder: role_of(folder.name) for folder in folders}
    found = {role: folder for folder, role in roles.items() if role is not None}
    if "train" not in found or len(found) < len(folders):
        found = {"train": path}
    for folder in found.values():
        _refuse_wrong_depth(name, folder)
    return found


def _refuse_wrong_depth(name: str, folder: Path) -> None:
    endings = set(Image.registered_extensions())  # that Pillow reads, once it has loaded all its formats
    deeper = next((found for found in folder.glob("*/*/**/*") if found.suffix.lower() in endings), None)
    if deeper is not None:
        what = f"{shown(str(deeper.relative_to(folder)))} lies deeper than a class folder"
        remedy = (
            "write CLASS/IMAGE, or train/CLASS/IMAGE and test/CLASS/IMAGE with no other folder beside them"
        )
        raise data_error(name, what, remedy)
    if not any(found.suffix.lower() in endings for found in folder.glob("*/*")):
        inside = "the folder" if folder == Path(name).expanduser() else f"{folder.name}/"
        what = f"{inside} holds no Parquet file and no class folders with images"
        raise data_error(name, what, _remedy())


def _refuse_missing_path(name: str) -> None:
    """Lets through only what can be nothing but a name on the hub."""
    beside = Path(name).expanduser().parent
    in_a_folder_here = "/" in name and beside.is_dir()
    if name.endswith(".parquet") or in_a_folder_here or not HUB_NAME.fullmatch(name):
        raise data_error(name, "there is no such file or folder", _remedy())
