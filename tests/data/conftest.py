"""The fixtures of this room; they stand in ``tests/helpers``."""

from data_fixtures import digits, folder, handwriting, own_cache, parquet  # noqa: F401
