"""Searches that are killed at a chosen moment, as the kernel kills: no handler runs, nothing is tidied up.

For each moment a child process searches a space in the folder ROOT/MOMENT and dies of SIGKILL there:
``call-K`` is the K-th evaluation, ``commit-K`` the moment before the K-th transaction would be committed.
"""

import os
import signal
from pathlib import Path

import torch
from sqlalchemy import event
from sqlalchemy.engine import Engine
from table_search import Calls, blind

from archsearch.api import run_study
from archsearch.space import load_space


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


class Counted:
    """Does something at the K-th call."""

    def __init__(self, target, act):
        self.left = target
        self.act = act

    def __call__(self, *_):
        self.left -= 1
        if self.left == 0:
            self.act()


def search_and_die(space, folder, trials, moment):
    what, _, number = moment.partition("-")
    calls = Calls()
    if what == "call":
        calls = Calls(lambda asked, architecture: die() if asked == int(number) else None)
    else:
        event.listen(Engine, "commit", Counted(int(number), die))
    run_study(space, blind(trials=trials), folder, evaluate=calls)


def main(space_file, root, trials, *moments):
    space = load_space(space_file)
    # The first search imports for seconds: here, and not again in every child. Threads would not survive a fork.
    torch.set_num_threads(1)
    run_study(space, blind(trials=1), Path(root) / "undisturbed", evaluate=Calls())
    for moment in moments:
        child = os.fork()
        if child == 0:
            search_and_die(space, Path(root) / moment, int(trials), moment)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(moment, os.WTERMSIG(status) if os.WIFSIGNALED(status) else "survived")
