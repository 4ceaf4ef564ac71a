"""What searches and what reads a result loads no torch and no matplotlib: they take seconds, and a notebook may lack them."""

import subprocess
import sys

import pytest

# Imports a room and every module in it, and prints which of the heavy libraries that has loaded.
PROGRAM = """
import importlib, pkgutil, sys
room = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(getattr(room, "__path__", []), f"{room.__name__}."):
    importlib.import_module(module.name)
print(*{"torch", "matplotlib"} & sys.modules.keys())
"""


@pytest.mark.parametrize("room", ["trial", "stats", "search", "results"])
def test_a_room_that_trains_and_draws_nothing_loads_no_torch_and_no_matplotlib(room):
    command = [sys.executable, "-c", PROGRAM, f"archsearch.{room}"]

    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"
