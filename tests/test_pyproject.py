"""What pyproject.toml says of the tree is true: every path that it names is there."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(TEXT)
COMMENTS = re.findall(r"#.*", TEXT)
# ``stages/``, ``data/images.py``, ``errors.py``: of the package, or of the whole tree.
PATHS = sorted(
    {path for comment in COMMENTS for path in re.findall(r"\b[\w/]+(?:/|\.py)(?=[\s:,;]|$)", comment)}
)


def spread(pattern):
    """The patterns that ``{a,b}`` in a pattern stands for."""
    braces = re.search(r"\{([^}]*)\}", pattern)
    if braces is None:
        return [pattern]
    return [pattern.replace(braces[0], word) for word in braces[1].split(",")]


def test_comments_name_rooms_and_files():
    assert {"stages/", "data/images.py"} <= set(PATHS)
    assert len(PATHS) > 15


@pytest.mark.parametrize("path", PATHS)
def test_a_path_in_a_comment_is_there(path):
    assert any((folder / path).exists() for folder in (ROOT, ROOT / "archsearch"))


@pytest.mark.parametrize("pattern", PROJECT["tool"]["ruff"]["lint"]["per-file-ignores"])
def test_a_file_whose_lint_is_excused_is_there(pattern):
    assert all(next(ROOT.glob(each), None) for each in spread(pattern))


@pytest.mark.parametrize("path", PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"])
def test_what_the_wheel_includes_is_there(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("path", PROJECT["tool"]["pytest"]["ini_options"]["pythonpath"])
def test_the_tests_find_their_helpers(path):
    assert (ROOT / path).is_dir()
