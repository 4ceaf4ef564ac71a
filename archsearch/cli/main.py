"""Exit codes and messages: every error of ours becomes lines and a code, anything else a bug report.

0  done                              4  environment (disk, lock, server); the same command resumes
1  a bug of ours                     5  the run folder is in use or belongs to something else
2  bad input, nothing written        130, 143, 129  stopped by SIGINT, SIGTERM, SIGHUP; 141 nobody reads
3  ran, but nothing feasible or finished
"""

import os
import signal
import sys
import traceback
from typing import Any

import typer

from archsearch.errors import ArchsearchError

DEBUG = "ARCHSEARCH_DEBUG"  # if this is set, errors say where they were raised
# Typer brings click as a package or as a copy of its own, by its release; this is the root of either's errors.
ClickException: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


def main() -> None:
    """Run the command line and leave with its exit code."""
    from archsearch.cli.app import app

    for stop in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, leave)
    try:
        # Typer hands an exit code back as a value: the one of an interrupt, for instance.
        sys.exit(app(standalone_mode=False) or 0)
    except ClickException as error:
        complain([f"{error.format_message().rstrip('.')}; see archsearch --help"])
        sys.exit(2)
    except ArchsearchError as error:
        if os.environ.get(DEBUG):
            traceback.print_exception(error)
        complain(error.lines())
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - whatever else is raised is a bug of ours
        traceback.print_exc()
        bug = f"this is a bug of archsearch: {type(error).__name__}: {error}"
        complain([f"{bug}; please report it with the lines above"])
        sys.exit(1)


def leave(signum: int, _frame: Any) -> None:
    """Turn a signal into an exception, so that the running trial is marked before the process ends."""
    raise SystemExit(128 + signum)


def complain(lines: list[str]) -> None:
    """One line a problem, on stderr."""
    for line in lines:
        sys.stderr.write(f"archsearch: error: {line}\n")
