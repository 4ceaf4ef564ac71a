"""A worker that shows what it is at, so that it can be struck there; and one that is struck."""

import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from crash_points import CASES, facts, finished, violations

from archsearch import api
from archsearch.errors import ArchsearchError
from archsearch.storage.trial_store import TrialStore
from archsearch.study import evaluate_candidate as objective
from archsearch.study import next_job

PHASES = ("proposing", "profiling", "training", "writing", "exporting")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
EXITS = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130}


def marked(place: Any, name: str, number: int, shown: Any) -> None:
    """The function ``name`` of ``place`` shows its number while it is at work."""
    inner = getattr(place, name)

    def outer(*args: Any, **named: Any) -> Any:
        before, shown.value = shown.value, number
        try:
            return inner(*args, **named)
        finally:
            shown.value = before

    setattr(place, name, outer)


def hunted(name: str, folder: Path, shown: Any, errors: Path) -> None:
    """One worker of a case."""
    for stop in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, lambda number, _frame: sys.exit(128 + number))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    places = ((next_job, "propose"), (objective, "profile_architecture"), (objective, "train_candidate"))
    places += ((TrialStore, "put"), (api, "write_all"))
    for number, (place, function) in enumerate(places, 1):
        marked(place, function, number, shown)
    try:
        CASES[name].run(folder)
    except ArchsearchError as error:
        errors.write_text(traceback.format_exc())
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        errors.write_text(traceback.format_exc())
        raise


class Hunt:
    """Runs that are struck several times each, resumed after each time, and judged at their end."""

    def __init__(self, context: Any, root: Path, seed: int = 0) -> None:
        self.context, self.root, self.chance = context, root, random.Random(seed)
        self.struck, self.wrong, self.counts, self.runs = Counter(), [], Counter(), 0

    def worker(self, name: str, folder: Path) -> tuple[Any, Any]:
        shown = self.context.Value("i", 0)
        args = (name, folder, shown, folder.parent / f"error-{self.runs}-{time.monotonic_ns()}")
        process = self.context.Process(target=hunted, args=args, daemon=True)
        process.start()
        return process, shown

    def strike(self, workers: list[tuple[Any, Any]], kind: signal.Signals) -> None:
        """One worker, in a phase or at any moment; nothing if it has ended before."""
        process, shown = workers[0]
        phase = self.chance.choice([*range(1, len(PHASES) + 1), None])
        if phase is None:
            time.sleep(self.chance.random() * 1.5)
        while phase is not None and process.exitcode is None and shown.value != phase:
            time.sleep(0.0005)
        if phase not in (None, 1, 2):
            time.sleep(self.chance.random() * 0.01)
        at = shown.value
        if process.exitcode is not None:
            return
        os.kill(process.pid, kind)
        process.join(30)
        if process.exitcode == 0:
            return
        self.struck[f"{kind.name} {PHASES[at - 1] if at else 'between'}"] += 1
        self.counts[kind.name] += 1
        if process.exitcode != EXITS[kind]:
            self.wrong.append(f"{kind.name} while {at}: ended with {process.exitcode}")

    def run(self, name: str, workers: int, strikes: int, whole: dict[int, Any]) -> None:
        """One run; what is wrong with it."""
        self.runs += 1
        folder = self.root / f"hunt-{self.runs}" / "run"
        folder.parent.mkdir(parents=True)
        before, wrong = {}, []
        for kind in [self.chance.choice(SIGNALS) for _ in range(strikes)]:
            crowd = [self.worker(name, folder) for _ in range(workers)]
            self.strike(crowd, kind)
            for process, _ in crowd[1:]:
                wrong += self.joined(process, "beside one that was struck")
            now = facts(folder)
            wrong += [f"lost or changed: {n}" for n in finished(before) if now.get(n) != before[n]]
            if workers == 1 and kind != signal.SIGKILL:
                wrong += [f"left RUNNING by {kind.name}" for t in now.values() if running(t)]
            before = now
            if len(finished(now)) >= 3:
                break
        for process, _ in [self.worker(name, folder) for _ in range(workers)]:
            wrong += self.joined(process, "at the end")
        errors = [path.read_text().splitlines()[-1] for path in folder.parent.glob("error-*")]
        wrong += [f"error: {error}" for error in errors]
        wrong += violations(folder, before, whole if workers == 1 else None)
        self.wrong += [f"{name}, {workers} workers: {violation}" for violation in wrong]
        shutil.rmtree(folder.parent)

    def joined(self, process: Any, when: str) -> list[str]:
        process.join(60)
        if process.exitcode == 0:
            return []
        process.kill()
        return [f"a worker {when} ended with {process.exitcode}"]


def running(trial: dict[str, Any]) -> bool:
    return trial["state"] == "RUNNING" and trial["attributes"].get("outcome") != "paused"
