"""Crash points: every durable side effect of a run, a kill before each of them, and what it must not do.

An effect is a commit, the end of a connection to the record, or a file of the run folder that is opened for
writing, synchronised, renamed or removed. What a process that is killed before its K-th effect leaves, a copy
of the folder taken at that moment holds too: the kernel keeps all that was handed to it. Copies are cheaper.
"""

import csv
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool
from table_search import SHORT, TINY, blind, table

from archsearch.api import run_study
from archsearch.files import replacing
from archsearch.plots import pictures
from archsearch.profiling import Profile
from archsearch.profiling.latency import Latency
from archsearch.search import Reading
from archsearch.space import load_space
from archsearch.study import evaluate_candidate as objective
from archsearch.study.config import StudyConfig

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# What stands in the first two arguments of these audit events is a path.
PATHS = {"os.rename": 2, "os.remove": 1, "os.mkdir": 1, "os.rmdir": 1, "os.truncate": 1, "sqlite3.connect": 1}
USED = {"trained", "stopped", "failed"}
TIMES = {"seconds", "score_seconds", "train_seconds", "profile_seconds"}
MEASURED = {"latency_ms", "latency_iqr_ms", "latency_repeats", "latency_flags", "anchor_ms"}
LASTING = {"run.lock", "run.json", "study.db", "workers", "frontier", "trials.csv", "trials.parquet"}
LASTING |= {"stages.parquet", "frontier.csv", "proxies.csv", "frontier.png", "weights", "finalists.csv"}
LASTING |= {"measured_globality.csv", "map.csv", "families.csv"}


def rising(architecture, budget):
    """A table that is read on the way."""
    top1 = table(architecture, budget) * budget.share
    return Reading(top1, 1 - top1)


@dataclass(frozen=True)
class Case:
    """A small study that is killed again and again; ``evaluate`` is None for one that really trains."""

    text: str
    config: StudyConfig
    evaluate: Callable | None

    def run(self, folder):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "space.yaml"
            path.write_text(self.text)
            space = load_space(path)
        return run_study(space, self.config, folder, evaluate=self.evaluate)


# 2 x 3 = 6 architectures of one family, which compete at the rungs.
TOKENS = """\
name: tokens
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: patch, channels: {choice: [4, 8]}, size: 4}
stages:
  - {kind: mhsa, channels: {choice: [4, 8, 12]}, depth: 1, heads: 2, expansion: 0.5, position: none}
"""
CLIMB = {"rungs": (0.25, 0.5), "reduction_factor": 2, "recipe": SHORT, "device": "cpu"}
CASES = {
    "table": Case(TINY, blind(trials=3, device="cpu"), table),
    "rungs": Case(TOKENS, blind(trials=3, **CLIMB), rising),
    "trained": Case(TINY, blind(trials=3, recipe=SHORT, device="cpu"), None),
    "trained rungs": Case(TOKENS, blind(trials=3, **CLIMB), None),
}


class Effects:
    """Counts the durable effects on a folder, and acts before each."""

    heard_by = None

    def __init__(self, folder, act):
        self.folder = os.fspath(folder)
        self.act = act
        self.labels = []
        self.within = False

    def __enter__(self):
        if Effects.heard_by is None:
            # Neither can be taken back.
            sys.addaudithook(lambda name, values: Effects.heard_by and Effects.heard_by.audit(name, values))
            fsync = os.fsync
            os.fsync = lambda file: (Effects.heard_by and Effects.heard_by.effect("fsync"), fsync(file))[1]
            event.listen(Engine, "commit", lambda _: Effects.heard_by and Effects.heard_by.effect("commit"))
            event.listen(Pool, "close", lambda *_: Effects.heard_by and Effects.heard_by.effect("close"))
        Effects.heard_by = self
        return self

    def __exit__(self, *_):
        Effects.heard_by = False

    def audit(self, name, values):
        if self.within:
            return
        if name == "open" and isinstance(values[0], str | bytes) and (values[2] or 0) & WRITES:
            self.maybe("open", values[:1])
        elif name in PATHS:
            self.maybe(name, values[: PATHS[name]])

    def maybe(self, name, paths):
        """An effect, if it is one of this folder; what rmtree removes goes by names within it."""
        texts = [os.fsdecode(path) for path in paths if isinstance(path, str | bytes | os.PathLike)]
        if any(text.startswith(self.folder) or "/" not in text for text in texts):
            self.effect(f"{name} {Path(texts[-1]).name}")

    def effect(self, label):
        if self.within:
            return
        self.within = True
        self.labels.append(label)
        self.act(len(self.labels))
        self.within = False


@contextmanager
def stand_ins():
    """Profiles that take no time, and a picture that nobody draws: neither has an effect of its own."""

    def profiled(architecture, *, conditions, **_):
        latency = Latency(1.0, 1.0, 1.0, 11, anchor_ms=1.0)
        return Profile(0, None, 0, latency, None, None, conditions)

    def drawn(_figure, path):
        with replacing(path) as beside:
            beside.write_bytes(b"a picture")

    before = objective.profile_architecture, pictures.frontier_figure, pictures.save_figure
    objective.profile_architecture = profiled
    pictures.frontier_figure, pictures.save_figure = lambda *_: None, drawn
    try:
        yield
    finally:
        objective.profile_architecture, pictures.frontier_figure, pictures.save_figure = before


def copied(folder, to):
    """By another process: SQLite's locks would be lost with a second file that this one closes."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if Path(folder).exists():
        subprocess.run(["cp", "-a", folder, to], check=True)
    return to


def facts(folder):
    """Everything that the record holds of each trial, by its number, as it stands in the tables."""
    found = {}
    if not (folder / "study.db").exists():
        return found
    # Looking into a file that was left in the middle would tidy it up.
    with tempfile.TemporaryDirectory() as name:
        for path in folder.glob("study.db*"):
            shutil.copy(path, name)
        with closing(sqlite3.connect(Path(name) / "study.db")) as connection:
            tables = [
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            if "trials" not in tables:
                return found
            rows = connection.execute("SELECT trial_id, number, state FROM trials").fetchall()
            for identity, number, state in rows:
                found[number] = fact(connection, identity, state)
    return found


def fact(connection, identity, state):
    """One trial."""

    def rows(columns, where):
        return connection.execute(f"SELECT {columns} FROM {where} WHERE trial_id = ?", (identity,)).fetchall()

    return {
        "state": state,
        "attributes": {name: json.loads(v) for name, v in rows("key, value_json", "trial_user_attributes")},
        "constraints": dict(rows("key, value_json", "trial_system_attributes")),
        "params": dict(rows("param_name, param_value", "trial_params")),
        "values": dict(rows("objective, value", "trial_values")),
    }


def finished(found):
    """Those that can no longer change."""
    return {n: trial for n, trial in found.items() if trial["state"] not in ("RUNNING", "WAITING")}


def by_slot(found):
    """What each slot came to, but for times, names of workers and how many of them died; a slot that is used twice is seen."""
    slots = {}
    for trial in finished(found).values():
        if trial["attributes"].get("outcome") in USED:
            slots.setdefault(trial["attributes"]["slot"], []).append(lasting(trial))
    return slots


def lasting(trial):
    attributes = {
        n: v for n, v in trial["attributes"].items() if n not in TIMES | MEASURED | {"worker", "deaths"}
    }
    rungs = [{n: v for n, v in rung.items() if n != "seconds"} for rung in attributes.pop("rungs", ())]
    return {**trial, "attributes": attributes, "rungs": rungs}


def violations(folder, before, whole, budget=3):
    """What is wrong with a run that was killed and resumed; nothing should be.

    ``before`` are the facts at the kill, ``whole`` those of the run that nothing happened to, or None where
    several workers make another order.
    """
    after, wrong = facts(folder), []
    for number, trial in finished(before).items():
        if number not in after:
            wrong.append(f"lost: trial {number}")
        elif after[number] != trial:
            wrong.append(f"changed: trial {number}")
    wrong += [f"left {t['state']}: trial {n}" for n, t in after.items() if n not in finished(after)]
    slots = by_slot(after)
    wrong += [f"doubled: slot {slot}" for slot, trials in slots.items() if len(trials) > 1]
    if sorted(slots) != list(range(budget)):
        wrong.append(f"budget off: slots {sorted(slots)} of {budget}")
    if whole is not None and slots != by_slot(whole):
        wrong.append("not as if uninterrupted")
    return wrong + wrong_files(folder, after)


def wrong_files(folder, after):
    """Result files that differ from the record."""
    wrong = []
    with (folder / "trials.csv").open(newline="") as file:
        rows = {int(row["number"]): row for row in csv.DictReader(file)}
    said = {number: (row["state"], row["outcome"]) for number, row in rows.items()}
    if said != {n: (t["state"], t["attributes"].get("outcome", "")) for n, t in after.items()}:
        wrong.append("results differ: trials.csv")
    frame = pd.read_parquet(folder / "trials.parquet")
    if list(frame["number"]) != sorted(after) or list(frame["state"]) != [
        after[n]["state"] for n in sorted(after)
    ]:
        wrong.append("results differ: trials.parquet")
    best = set(pd.read_csv(folder / "frontier.csv")["architecture"])
    if {path.stem.rpartition("-")[2] for path in (folder / "frontier").iterdir()} != best:
        wrong.append("results differ: frontier")
    kept = {path.stem for path in folder.glob("weights/*.safetensors")}
    if kept and kept != best:
        wrong.append("results differ: weights")
    return wrong


def leftovers(folder):
    """Files that a run that nothing happened to does not leave."""
    names = {p.name for p in folder.iterdir()} - LASTING
    shared = ("measuring", "results")
    names |= {f"workers/{p.name}" for p in (folder / "workers").iterdir() if not p.name.startswith(shared)}
    names |= {f"{inner}/{p.name}" for inner in ("weights", "frontier") for p in folder.glob(f"{inner}/.*")}
    return {"workers/NAME.lock" if name.startswith("workers/") else kind(name) for name in names}


def kind(name):
    """A temporary file without the number of its process."""
    place, _, last = name.rpartition("/")
    temporary = last.split(".", 2)
    last = f".PID.{temporary[2]}" if last.startswith(".") and len(temporary) == 3 else last
    if last.endswith(".safetensors"):
        last = ".PID.ID.safetensors"
    return f"{place}/{last}" if place else last


def whole_run(case, root):
    """The run that nothing happened to: its facts and its effects, a copy of its folder before each."""
    folder, points = root / "whole" / "run", root / "points"
    folder.parent.mkdir(parents=True)
    with Effects(folder, lambda number: copied(folder, points / f"{number:04}")) as effects:
        case.run(folder)
    return facts(folder), effects.labels


def deaths(case, folder, points):
    """Run or resume in a child that dies before the first of these effects; how it ended."""
    child = os.fork()
    if child == 0:
        strike = lambda number: number in points and os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        code = 1
        try:
            with Effects(folder, strike):
                case.run(folder)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def state_of(folder):
    """What distinguishes a folder from another: the names, and all bytes that are no lock's and no clock's."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock" and not path.name.endswith("-shm")
    }


class Sweep:
    """Kills at many points, each followed by a recovery that is judged."""

    def __init__(self, case, root):
        self.case, self.root = case, root
        self.counts, self.wrong, self.left = Counter(), [], Counter()

    def judged(self, folder, before, whole, label):
        """Recover and say what is wrong."""
        try:
            self.case.run(folder)
            found = violations(folder, before, whole)
            self.left.update(leftovers(folder))
        except Exception as error:  # noqa: BLE001 - it is what is looked for
            found = [f"not resumed: {type(error).__name__}: {error}"]
        self.counts["recoveries"] += 1
        self.wrong += [f"{label}: {violation}" for violation in found]
        shutil.rmtree(folder, ignore_errors=True)

    def copies(self, whole, labels, points):
        """Resume from the copies taken before these points."""
        for number in points:
            point = self.root / "points" / f"{number:04}"
            if state_of(point) == state_of(point.with_name(f"{number - 1:04}")):
                self.counts["points without a difference"] += 1
                continue
            folder = copied(point, self.root / "copy" / "run")
            self.judged(folder, facts(folder), whole, f"copy {number} ({labels[number - 1]})")

    def kills(self, whole, labels, points):
        """A child is killed at each of these points."""
        for number in points:
            folder = self.root / "killed" / "run"
            folder.parent.mkdir(exist_ok=True)
            died = deaths(self.case, folder, {number})
            if died != -signal.SIGKILL:
                self.wrong.append(f"kill {number} ({labels[number - 1]}): ended with {died}")
            self.counts["kills"] += 1
            self.judged(folder, facts(folder), whole, f"kill {number} ({labels[number - 1]})")

    def recoveries(self, whole, labels, points, chance):
        """The recovery from each of these points is killed in its turn, three times at drawn moments."""
        for number in points:
            folder = copied(self.root / "points" / f"{number:04}", self.root / "again" / "run")
            before = facts(folder)
            for _ in range(3):
                moment = chance.randint(1, max(20, len(labels) - number))
                self.counts["kills of recoveries"] += deaths(self.case, folder, {moment}) == -signal.SIGKILL
                now = facts(folder)
                self.wrong += [
                    f"recovery of {number}: lost or changed {n}"
                    for n in finished(before)
                    if now.get(n) != before[n]
                ]
                before = now
            self.judged(folder, before, whole, f"recovery of {number} ({labels[number - 1]})")


def sweep(name, root, share, of, kills, recoveries, copies=100):
    """One of ``of`` processes that sweep a case together: what it counted, as data.

    Of a hundred points, ``copies`` are resumed from by their copies; at ``kills`` a child is really killed, and
    at ``recoveries`` the recovery is killed too.
    """
    torch.set_num_threads(1)
    case, root, chance = CASES[name], Path(root), random.Random(share)
    with stand_ins():
        case.run(root / "warm")
        whole, labels = whole_run(case, root)
        mine = range(1 + share, len(labels) + 1, of)
        swept = Sweep(case, root)
        swept.copies(whole, labels, [n for n in mine if chance.random() * 100 < copies])
        swept.kills(whole, labels, [n for n in mine if chance.random() * 100 < kills])
        swept.recoveries(whole, labels, [n for n in mine if chance.random() * 100 < recoveries], chance)
    return {
        "points": len(labels),
        "labels": dict(Counter(label.split()[0] for label in labels)),
        **swept.counts,
        "violations": swept.wrong,
        "left": dict(swept.left),
    }


def main(name, root, *numbers):
    """``python crash_points.py CASE ROOT SHARE OF KILLS RECOVERIES [COPIES]``: prints what was counted, as JSON."""
    print(json.dumps(sweep(name, root, *map(int, numbers))))


if __name__ == "__main__":
    main(*sys.argv[1:])
