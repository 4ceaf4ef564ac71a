"""What searches and what reads a result loads no torch: it takes seconds, and a notebook without it can read."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "room", ["archsearch.trial", "archsearch.stats", "archsearch.search", "archsearch.results"]
)
def test_a_room_that_trains_nothing_loads_no_torch(room):
    modules = (
        f"[{room!r}, *(m.name for m in pkgutil.walk_packages(getattr(room, '__path__', []), '{room}.'))]"
    )
    program = (
        f"import importlib, pkgutil, sys; room = importlib.import_module({room!r}); "
        f"[importlib.import_module(name) for name in {modules}]; sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
