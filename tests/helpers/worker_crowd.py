"""Several workers of one run, as processes of their own: forked from a process that has imported everything."""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import torch
from crash_points import TOKENS, rising
from table_search import TINY, blind, table

from archsearch.api import run_study
from archsearch.errors import ArchsearchError
from archsearch.results import load_run
from archsearch.space import load_space
from archsearch.study.callbacks import Callback
from archsearch.workers import postgres_locks as postgres

HERE = Path(__file__).parent
SPACES = {"tiny": TINY, "tokens": TOKENS}


class Diary(Callback):
    """Writes down who begins what."""

    def __init__(self, path):
        self.path = path

    def on_phase(self, slot, what):
        if not what.startswith("profiling"):
            self.write(slot)

    def write(self, slot):
        with self.path.open("a") as file:
            file.write(json.dumps([os.getpid(), slot]) + "\n")


def space_named(name):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "space.yaml"
        path.write_text(SPACES[name])
        return load_space(path)


def work(root, folder, options, settings):
    """One worker: a table that takes its time and tells, or a real training, in a process that can be told to stop."""
    for stop in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, lambda number, _frame: sys.exit(128 + number))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    diary, gate = Diary(root / "diary"), root / "go"
    postgres.RETURN_S = options.get("return_s", postgres.RETURN_S)
    answer = rising if settings.get("rungs") else table

    def slowly(architecture, budget):
        diary.write(budget.slot)
        time.sleep(options.get("pace", 0))
        return answer(architecture, budget)

    real = options.get("real", False)
    while options.get("gate") and not gate.exists():
        time.sleep(0.002)
    try:
        run_study(
            space_named(options.get("space", "tiny")),
            blind(device="cpu", **settings),
            folder,
            evaluate=None if real else slowly,
            callbacks=[diary] if real else [],
            storage=options.get("storage"),
        )
    except ArchsearchError as error:
        (root / f"error-{os.getpid()}").write_text(traceback.format_exc())
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def warm():
    """The first run imports for seconds: here, and not again in every worker."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        run_study(space_named("tiny"), blind(trials=1, device="cpu"), Path(name) / "run", evaluate=table)
    with contextlib.suppress(ImportError):
        import psycopg  # noqa: F401


if os.environ.get("ARCHSEARCH_CROWD"):
    warm()


def nursery():
    """The process that workers are forked from, started once."""
    context = multiprocessing.get_context("forkserver")
    before = dict(os.environ)
    paths = [str(HERE), *filter(None, [before.get("PYTHONPATH")])]
    os.environ |= {"PYTHONPATH": os.pathsep.join(paths), "ARCHSEARCH_CROWD": "1", "OMP_NUM_THREADS": "1"}
    try:
        context.set_forkserver_preload(["worker_crowd"])
        first = context.Process(target=time.sleep, args=(0,))
        first.start()
        first.join()
    finally:
        os.environ.clear()
        os.environ |= before
    return context


class Crowd:
    """The workers of one run below ``root``."""

    def __init__(self, context, root):
        self.context, self.root = context, root
        self.folder = root / "run"
        self.workers = []

    def start(self, folder=None, options=None, **settings):
        """One more."""
        args = (self.root, folder or self.folder, options or {}, settings)
        worker = self.context.Process(target=work, args=args, daemon=True)
        worker.start()
        self.workers.append(worker)
        return worker

    def together(self, count, options=None, **settings):
        """So many, which begin at the same moment."""
        started = [self.start(options={**(options or {}), "gate": True}, **settings) for _ in range(count)]
        time.sleep(0.2)
        (self.root / "go").touch()
        return started

    def diary(self):
        """Who began which slot, in order."""
        path = self.root / "diary"
        return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []

    def until(self, what, seconds=60):
        """Wait until the diary is as wished, and return it."""
        deadline = time.monotonic() + seconds
        while not what(self.diary()):
            assert time.monotonic() < deadline, (self.diary(), self.errors())
            time.sleep(0.01)
        return self.diary()

    def ended(self, seconds=90):
        """The exit codes, when all have ended."""
        deadline = time.monotonic() + seconds
        for worker in self.workers:
            worker.join(max(0, deadline - time.monotonic()))
        codes = [worker.exitcode for worker in self.workers]
        assert None not in codes, (codes, self.diary(), self.trials() if self.folder.exists() else None)
        return codes

    def errors(self):
        return [path.read_text() for path in self.root.glob("error-*")]

    def trials(self, folder=None):
        """Of each trial its slot, state and outcome."""
        frame = load_run(folder or self.folder).trials
        return list(frame[["slot", "state", "outcome"]].astype(object).itertuples(index=False, name=None))

    def used(self, folder=None):
        """How often each slot is used up."""
        outcomes = ("trained", "stopped", "failed")
        return Counter(int(slot) for slot, _, outcome in self.trials(folder) if outcome in outcomes)

    def end(self):
        """Nobody is left."""
        for worker in self.workers:
            if worker.exitcode is None:
                os.kill(worker.pid, signal.SIGKILL)
                worker.join()


def exactly(count):
    """Every slot of a budget once."""
    return dict.fromkeys(range(count), 1)
