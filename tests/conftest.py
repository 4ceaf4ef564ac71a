"""No test reads or writes the counts that the user's cache remembers."""

import os
import tempfile

# As this file is imported, not by a fixture: helpers that start processes copy the environment when they are.
CACHE = tempfile.TemporaryDirectory(prefix="archsearch-counts-")
os.environ["ARCHSEARCH_CACHE"] = CACHE.name


def pytest_unconfigure():
    CACHE.cleanup()
