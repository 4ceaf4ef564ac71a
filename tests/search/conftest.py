"""The fixtures of this room; they stand in ``tests/helpers``."""

from search_fixtures import ninety_six, searched_of  # noqa: F401
