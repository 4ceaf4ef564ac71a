"""The fixtures of this room; they stand in ``tests/helpers``."""

from study_fixtures import interruptible, out, six, space, space_of, tiny  # noqa: F401
