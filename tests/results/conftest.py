"""The fixtures of this room; they stand in ``tests/helpers``."""

from architecture_fixtures import mixed, published  # noqa: F401
from run_fixtures import copy, run, searched  # noqa: F401
