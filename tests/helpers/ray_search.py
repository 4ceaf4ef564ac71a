"""What stands in for training in Ray's tasks, and a search on Ray that a test can kill.

python ray_search.py SPACE FOLDER TRIALS
"""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from table_search import blind, search, table

from archsearch.errors import EnvironmentFaultError
from archsearch.space import load_space
from archsearch.study.engines.ray import OnRay


def dies_once(folder, architecture, budget):
    """The process of slot 1 is killed the first time."""
    if budget.slot == 1 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return table(architecture, budget)


def dies_always(folder, architecture, budget):
    """The process of slot 1 is killed each time, and each time leaves a file."""
    if budget.slot == 1:
        (folder / f"died-{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return table(architecture, budget)


def meets(folder, architecture, budget):
    """1 if the candidate of the other slot is at work at the same time, else 0."""
    (folder / f"here-{budget.slot}").touch()
    for _ in range(200):
        if (folder / f"here-{1 - budget.slot}").exists():
            return 1.0
        time.sleep(0.1)
    return 0.0


def lacks_disk(architecture, budget):
    raise EnvironmentFaultError("/data: no space left")


def slow(folder, architecture, budget):
    """The table, and time to be killed; each candidate leaves a file."""
    (folder / f"slot-{budget.slot}").touch()
    time.sleep(0.3)
    return table(architecture, budget)


def waits(folder, architecture, budget):
    """Says that it has begun, and takes a minute."""
    (folder / "begun").touch()
    time.sleep(60)
    return 0.5


def main(space_file, folder, trials):
    evaluate = partial(slow, folder.parent)
    search(
        load_space(space_file), blind(trials=int(trials)), folder, evaluate=evaluate, engine=OnRay(workers=2)
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
