"""Parquet files, image folders and hub data sets, read through Hugging Face ``datasets``.

The only module that imports ``datasets``: an extra, and slow to import. Images are never decoded by it,
so that an unreadable one can be named.
"""

import glob
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from logging import CRITICAL
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import numpy as np
from huggingface_hub.errors import RepositoryNotFoundError

from archsearch.data.images import DataSource, EncodedImage, Labels, SplitTable, data_error, role_of
from archsearch.errors import ArchsearchError, EnvironmentFaultError, shown

IMAGE_NAMES = ("image", "img")
LABEL_NAMES = ("label", "labels")
ROWS_AT_ONCE = 256
HUB_TIMEOUT_S = 10
COUNTING = "HF_UPDATE_DOWNLOAD_COUNTS"
REACHING = "download it and give the path of its folder, or set HF_HUB_OFFLINE=1 to use what is cached"


def read(name: str, classes: int, layout: Mapping[str, Path] | None) -> DataSource:
    """The source ``name``: files laid out as ``layout`` says, or a data set on the hub without one."""
    with _quiet():
        try:
            found = _load_from_hub(name) if layout is None else _load_from_disk(layout)
        except ArchsearchError:
            raise
        except Exception as error:
            raise _explain(name, error) from error
    splits = _by_role(name, found)
    features = next(iter(splits.values())).features
    image, label = image_column(name, features), label_column(name, features, classes)
    names = _class_names(name, splits, label)
    tables = {
        role: _table(role, split, image, _indices(split, label, names)) for role, split in splits.items()
    }
    return DataSource(tables, names)


def _load_from_disk(layout: Mapping[str, Path]) -> Mapping[str, Any]:
    path = layout.get("parquet")
    if path is None:
        return _load("imagefolder", {role: _literal(folder) + "/*/*" for role, folder in layout.items()})
    if path.is_file():
        return _load("parquet", {"train": _literal(path)})
    if glob.has_magic(str(path)):
        what = "datasets takes the signs *, ? and [ in a path for wildcards"
        raise data_error(str(path), what, "rename the folder")
    # Splits by file name, or by the README that a downloaded data set brings along.
    return _load(str(path))


def _load_from_hub(name: str) -> Mapping[str, Any]:
    """Asks once before loading: ``datasets`` itself tries for 23 seconds to reach a hub that is not there."""
    if not huggingface_hub.constants.HF_HUB_OFFLINE:
        try:
            huggingface_hub.HfApi().dataset_info(name, timeout=HUB_TIMEOUT_S)
        except RepositoryNotFoundError as error:
            what = "there is no such file or folder here, and no such data set on the Hugging Face hub"
            raise data_error(name, what, "check its spelling") from error
        except Exception as error:
            raise _unreachable(name, error) from error
    return _load(name)


def _unreachable(name: str, error: Exception) -> EnvironmentFaultError:
    what = f"no such file or folder here, and the Hugging Face hub cannot be reached ({_line(_root(error))})"
    return EnvironmentFaultError(f"{name}: {what}; {REACHING}")


def _load(name: str, files: Mapping[str, str] | None = None) -> Mapping[str, Any]:
    """All splits; a class folder is a class, even where there is only one."""
    labels = {"drop_labels": False, "drop_metadata": True} if name == "imagefolder" else {}
    found: Mapping[str, Any] = datasets.load_dataset(name, data_files=files, **labels)
    return found


def _literal(path: Path) -> str:
    return glob.escape(str(path.resolve()))


def _explain(name: str, error: Exception) -> ArchsearchError:
    """A failure of ``datasets`` in our words: data that cannot be used, or an environment that fails."""
    cause = _root(error)
    if isinstance(error, ConnectionError):
        return _unreachable(name, error)
    if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
        return EnvironmentFaultError(
            f"{name}: {_line(cause)}; make sure that the disk and the cache can be written"
        )
    return data_error(
        name, f"the data cannot be read ({_line(cause)})", "check the files, or download them again"
    )


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _line(error: BaseException) -> str:
    return shown((str(error) or type(error).__name__).splitlines()[0])


def _by_role(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Splits as train, validation and test; a split alone is train, whatever its name."""
    if len(found) == 1:
        return {"train": next(iter(found.values()))}
    roles = {role: rows for split, rows in found.items() if (role := role_of(str(split))) is not None}
    if "train" not in roles:
        raise data_error(
            name, f"no split is called train among {_list_names(found)}", "call one of them train"
        )
    return roles


def image_column(name: str, features: Mapping[str, Any]) -> str:
    """The column of Image features, or of structs with ``bytes``, which is how files hold them."""
    found = [column for column, feature in features.items() if _is_image(feature)]
    called = [column for column in found if column in IMAGE_NAMES]
    return _the_only(name, "images", [called, found], features)


def label_column(name: str, features: Mapping[str, Any], classes: int) -> str:
    """The column called label, else the only one that can be the label; else the one with that many classes."""
    named = {column: one for column, one in features.items() if isinstance(one, datasets.ClassLabel)}
    types = {column: str(getattr(feature, "dtype", "")) for column, feature in features.items()}
    numbers = [column for column, dtype in types.items() if "int" in dtype]
    words = [column for column, dtype in types.items() if dtype in ("string", "large_string")]
    called = [column for column in LABEL_NAMES if column in {*numbers, *words}]
    fitting = [column for column, feature in named.items() if feature.num_classes == classes]
    return _the_only(name, "labels", [called, list(named), fitting, numbers, words], features)


def _is_image(feature: Any) -> bool:
    return isinstance(feature, datasets.Image) or (isinstance(feature, dict) and "bytes" in feature)


def _the_only(name: str, sought: str, guesses: Sequence[Sequence[str]], features: Mapping[str, Any]) -> str:
    for guess in guesses:
        if len(guess) == 1:
            return guess[0]
    remedy = f"keep one column of {sought}, or call it {sought.removesuffix('s')}"
    raise data_error(name, f"no single column of {sought} among {_list_names(features)}", remedy)


def _class_names(name: str, splits: Mapping[str, Any], label: str) -> tuple[str, ...]:
    """The names that the file gives, else the distinct labels in sorted order."""
    values = {value for split in splits.values() for value in split.unique(label)}
    if None in values:
        raise data_error(name, "there are rows without a label", "take them out of the data", label)
    feature = splits["train"].features[label]
    if not isinstance(feature, datasets.ClassLabel):
        return tuple(str(value) for value in sorted(values))
    unnamed = sorted(values - set(range(feature.num_classes)))
    if unnamed:
        what = f"there are rows with the label {unnamed[0]} and {feature.num_classes} classes are named"
        raise data_error(name, what, "take them out of the data", label)
    return tuple(feature.names)


def _indices(split: Any, label: str, names: Sequence[str]) -> Labels:
    """The label of each row as an index into ``names``."""
    values = split[label][:]
    if isinstance(split.features[label], datasets.ClassLabel):
        return np.asarray(values, dtype=np.int64)
    index = {name: number for number, name in enumerate(names)}
    return np.asarray([index[str(value)] for value in values], dtype=np.int64)


def _table(role: str, split: Any, image: str, labels: Labels) -> SplitTable:
    if isinstance(split.features[image], datasets.Image):
        split = split.cast_column(image, datasets.Image(decode=False))
    return SplitTable(labels, _reader(role, split.select_columns([image]), image), _version(split, image))


def _version(split: Any, image: str) -> str:
    """Digest of path, size and time of every file that the pictures are read from; empty without one.

    These are the Arrow files that ``datasets`` writes again after every change of a Parquet file or of a data
    set on the hub, and the image files that cells name.
    """
    digest, found = hashlib.sha256(), False
    for path in _files(split, image):
        found = True
        digest.update(f"{path}\0{_state(path)}\0".encode(errors="surrogateescape"))
    return digest.hexdigest() if found else ""


def _files(split: Any, image: str) -> Iterator[str]:
    yield from (file["filename"] for file in split.cache_files)
    for cells in split.data.column(image).chunks:
        if cells.type.get_field_index("path") >= 0:
            yield from cells.field("path").filter(cells.field("bytes").is_null()).drop_null().to_pylist()


def _state(path: str) -> str:
    """What changes when a file is written; decoding reports a file that is not there."""
    try:
        state = Path(path).stat()
    except OSError:
        return "missing"
    return f"{state.st_size} {state.st_mtime_ns}"


def _reader(role: str, split: Any, image: str) -> Callable[[Sequence[int]], Iterator[EncodedImage]]:
    def pictures(rows: Sequence[int]) -> Iterator[EncodedImage]:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[start : start + ROWS_AT_ONCE]
            for row, cell in zip(some, split[list(some)][image], strict=True):
                yield _picture(role, row, cell or {})

    return pictures


def _picture(role: str, row: int, cell: Mapping[str, Any]) -> EncodedImage:
    """A cell holds the encoded bytes, or the path of a file; with neither it is an image of no bytes."""
    content, path = cell.get("bytes"), cell.get("path")
    if content is None and path is not None:
        return EncodedImage(str(path), Path(path))
    return EncodedImage(f"{role}[{row}]" + (f" ({path})" if path else ""), content or b"")


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, log lines or download counts while ``datasets`` works; afterwards all is as it was."""
    with ExitStack() as undo:
        for logger in (datasets.utils.logging, huggingface_hub.utils.logging):
            undo.callback(logger.set_verbosity, logger.get_verbosity())
            logger.set_verbosity(CRITICAL)
        for bars in (datasets.utils, huggingface_hub.utils):
            if not bars.are_progress_bars_disabled():
                undo.callback(bars.enable_progress_bars)
                bars.disable_progress_bars()
        # ``datasets`` reports each load to a server, even of local files.
        undo.callback(setattr, datasets.config, COUNTING, getattr(datasets.config, COUNTING))
        setattr(datasets.config, COUNTING, False)
        yield


def _list_names(names: Mapping[str, Any]) -> str:
    return ", ".join(shown(str(name)) for name in names)
