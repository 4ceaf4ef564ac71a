"""Does a run survive everything that can stop it? See README.md.

python -m studies.crash_safety [--kills 200] [--rounds 20] [--only SECTION...]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TESTS = HERE.parents[1] / "tests" / "helpers"
sys.path.insert(0, str(TESTS))

from crash_points import CASES, facts  # noqa: E402 - tests and study share what they kill
from worker_crowd import Crowd, exactly, nursery  # noqa: E402

from studies.crash_safety.hunted import PHASES, SIGNALS, Hunt  # noqa: E402

# Of a hundred points: at how many a process is really killed, at how many its recovery is too (three times),
# and from how many a copy is resumed.
SWEEPS = {"table": (100, 8, 0), "rungs": (100, 8, 0), "trained": (6, 2, 8), "trained rungs": (6, 2, 8)}
SECTIONS = ("together", "struck", *SWEEPS)
RESULTS = HERE / "results.json"
# A run of these is struck four times.
HUNTED = ("table", "trained", "rungs", "trained rungs")
STRIKES = 4


def swept(root: Path, name: str) -> dict[str, Any]:
    """Every crash point of a case, in two processes."""
    folders = [root / str(share) for share in (0, 1)]
    for folder in folders:
        folder.mkdir()
    commands = [
        [sys.executable, TESTS / "crash_points.py", name, folder, str(share), "2", *map(str, SWEEPS[name])]
        for share, folder in enumerate(folders)
    ]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    return summed([json.loads(process.communicate()[0].splitlines()[-1]) for process in running])


def summed(halves: list[dict[str, Any]]) -> dict[str, Any]:
    """What two processes counted together; the points are the same for both, but for trainings' waits."""
    total = {"points": halves[0]["points"], "effects": halves[0]["labels"]}
    for what in ("kills", "recoveries", "points without a difference", "kills of recoveries"):
        total[what] = sum(half.get(what, 0) for half in halves)
    total["left behind"] = dict(sum((Counter(half["left"]) for half in halves), Counter()))
    total["violations"] = [violation for half in halves for violation in half["violations"]]
    return total


def struck(context: Any, root: Path, kills: int) -> dict[str, Any]:
    """Kills at drawn moments and in every phase, with one worker and with two."""
    hunt, wholes = Hunt(context, root), {}
    for name in HUNTED:
        folder = root / f"whole-{name.replace(' ', '-')}" / "run"
        folder.parent.mkdir()
        CASES[name].run(folder)
        wholes[name] = facts(folder)
    while sum(hunt.counts.values()) < kills:
        name = HUNTED[hunt.runs % len(HUNTED)]
        hunt.run(name, 1 + hunt.runs // len(HUNTED) % 2, STRIKES, wholes[name])
    table = {k.name: {p: hunt.struck[f"{k.name} {p}"] for p in (*PHASES, "between")} for k in SIGNALS}
    return {"kills": sum(hunt.counts.values()), "runs": hunt.runs, "struck": table, "violations": hunt.wrong}


def together(context: Any, root: Path, rounds: int) -> dict[str, Any]:
    """Four workers that begin at one moment on an empty folder."""
    codes: Counter[int] = Counter()
    off = 0
    for number in range(rounds):
        crowd = Crowd(context, root / f"together-{number}")
        crowd.root.mkdir()
        crowd.together(4, trials=6)
        codes.update(crowd.ended(300))
        off += crowd.used() != exactly(6)
    return {
        "rounds": rounds,
        "starts": 4 * rounds,
        "failed starts": sum(n for code, n in codes.items() if code),
        "budget off": off,
    }


def section(context: Any, name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """One part of the study, in a folder of its own."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        if name == "together":
            found = together(context, Path(folder), asked.rounds)
        elif name == "struck":
            found = struck(context, Path(folder), asked.kills)
        else:
            found = swept(Path(folder), name)
    return {**found, "minutes": round((time.monotonic() - start) / 60, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=SECTIONS)
    asked = parser.parse_args()
    context = nursery()
    for name in asked.only:
        found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        found[name] = section(context, name, asked)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{name}: {json.dumps(found[name])}", flush=True)
    report(json.loads(RESULTS.read_text()))


def report(found: dict[str, Any]) -> None:
    """The table of the README."""
    sweeps = {name: found[name] for name in SWEEPS if name in found}
    wrong = [violation for part in found.values() for violation in part.get("violations", ())]
    figures = {f"crash points of {name}": sweep["points"] for name, sweep in sweeps.items()}
    for what in ("kills", "recoveries", "kills of recoveries"):
        figures[f"sweeps: {what}"] = sum(sweep[what] for sweep in sweeps.values())
    for part, names in (
        ("struck", ("kills", "runs")),
        ("together", ("starts", "failed starts", "budget off")),
    ):
        figures |= {f"{part}: {name}": found[part][name] for name in names if part in found}
    for what in (
        "lost",
        "changed",
        "doubled",
        "left",
        "budget off",
        "not as if uninterrupted",
        "results differ",
    ):
        figures[f"violations: {what}"] = sum(what in violation for violation in wrong)
    figures |= {"violations in all": len(wrong), "minutes": sum(part["minutes"] for part in found.values())}
    print("\n".join(f"{name:36} {figure}" for name, figure in figures.items()))


if __name__ == "__main__":
    main()
