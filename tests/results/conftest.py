"""The fixtures of this room; they stand in ``tests/helpers``."""

from run_fixtures import copy, run, searched  # noqa: F401
