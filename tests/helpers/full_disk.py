"""A disk that is full in the middle of a run, and has room again: ``python full_disk.py HOW FOLDER WHOLE``.

HOW is ``limit`` (no file may grow beyond so many bytes) or ``mount`` (FOLDER becomes a small disk of its own,
which needs a mount namespace: ``unshare -rm``); WHOLE is a run that nothing happened to. Prints what the run said,
and what is wrong once it resumed.
"""

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from crash_points import CASES, facts, finished, stand_ins, violations

from archsearch.errors import ArchsearchError

SMALL = {"limit": 250_000, "mount": 450_000}


def mountable():
    """Whether this user may mount a disk in a namespace of its own."""
    tried = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return (
        bool(shutil.which("unshare"))
        and subprocess.run(tried, capture_output=True, check=False).returncode == 0
    )


def fill(how, folder):
    if how == "mount":
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL[how]}", "small", folder], check=True)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL[how], resource.RLIM_INFINITY))


def make_room(how, folder):
    if how == "mount":
        subprocess.run(["mount", "-o", "remount,size=50m", folder], check=True)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def main(how, folder, whole):
    case, run = CASES["table"], Path(folder) / "run"
    with stand_ins():
        fill(how, folder)
        code, said = 0, ""
        try:
            case.run(run)
        except ArchsearchError as error:
            code, said = error.exit_code, str(error)
        before = facts(run)
        make_room(how, folder)
        case.run(run)
    wrong = violations(run, before, facts(Path(whole)))
    burned = [n for n, t in finished(before).items() if t["attributes"].get("outcome") == "failed"]
    print(json.dumps({"code": code, "said": said, "trials": len(before), "burned": burned, "wrong": wrong}))


if __name__ == "__main__":
    main(*sys.argv[1:])
