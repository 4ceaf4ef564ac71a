"""The fixtures of this room; they stand in ``tests/helpers``."""

from postgres_fixtures import server, url  # noqa: F401
from study_fixtures import interruptible, out, six, space, space_of, tiny  # noqa: F401
