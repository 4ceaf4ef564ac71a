"""Every error a user can meet, and the one place that formats one.

    ArchsearchError                 exit  base of all errors raised on purpose
      InputError                    2     something the user wrote cannot be used; lists every problem
        SpaceError                        a space or architecture file
        StudyFileError                    a study file or a flag of ``archsearch run``
        ArchitectureError                 an architecture that no network can be built from
        DataError                         images or labels that cannot be used
        WeightsError                      a file of weights, or tensors that are not a network's
      UncountedOperationError       2     a MAC count that would leave out real work
      InfeasibleError               3     nothing feasible was found, or nothing finished
      EnvironmentFaultError         4     disk, lock, server: the same command resumes later
      RunFolderError                5     the run folder is in use or belongs to something else
      CallbackError                 1     a callback that the caller brought raised; the same call resumes
      FailedTrialError              -     this candidate is lost; the study goes on

A line for the user reads ``FILE:LINE: KEY: what is wrong; what to do``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import ClassVar

MAX_PROBLEMS_SHOWN = 20
MAX_VALUE_SHOWN = 60


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where (``key``, dotted; ``line``, from 1), what, and what to write instead."""

    key: str
    what: str
    remedy: str
    line: int | None = None

    def under(self, prefix: str) -> "Problem":
        """The same problem seen from further out: ``kernel`` becomes ``stages.0.kernel``."""
        return replace(self, key=".".join(part for part in (prefix, self.key) if part))

    def at(self, source: str) -> str:
        """``FILE:LINE: KEY: what; remedy``, leaving out what is unknown."""
        place = f"{source}:{self.line}" if self.line is not None else source
        return ": ".join(part for part in (place, self.key, f"{self.what}; {self.remedy}") if part)


def shown(value: object) -> str:
    """A value as it may stand in a message: printable, on one line and short."""
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("unicode_escape").decode("ascii")
    return text if len(text) <= MAX_VALUE_SHOWN else text[: MAX_VALUE_SHOWN - 3] + "..."


def nearest(known: Sequence[str], written: str) -> str | None:
    """The known word that ``written`` is probably meant to be, if there is one."""
    return next(iter(get_close_matches(written.lower(), known, n=1, cutoff=0.6)), None)


def one_of(known: Sequence[str], written: str) -> str:
    """The remedy for a word that is not known: the nearest one, else the list."""
    listing = ", ".join(known)
    meant = nearest(known, written)
    return f"did you mean {meant}? (known: {listing})" if meant else f"use one of {listing}"


class ArchsearchError(Exception):
    """Base of all errors raised on purpose; catch it to catch them all."""

    exit_code: ClassVar[int] = 1

    def lines(self) -> list[str]:
        """What the command line prints, one line for each problem."""
        return str(self).splitlines()


class InputError(ArchsearchError):
    """Something the user wrote cannot be used. All its problems are reported at once."""

    exit_code = 2

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line a problem, in the order of the file; at most twenty."""
        ordered = sorted(self.problems, key=lambda problem: problem.line or 0)
        lines = [problem.at(self.source) for problem in ordered[:MAX_PROBLEMS_SHOWN]]
        hidden = len(ordered) - len(lines)
        more = f"{self.source}: and {hidden} more problem{'s' if hidden > 1 else ''}"
        return [*lines, more] if hidden else lines

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, tuple[Problem, ...]]]:
        """Errors travel between processes whole."""
        return type(self), (self.source, self.problems)


class SpaceError(InputError):
    """A space or architecture file that cannot be used."""


class StudyFileError(InputError):
    """A study file, or a flag of ``archsearch run``, that cannot be used."""


class ArchitectureError(InputError):
    """An architecture that no network can be built from: its numbers do not fit together."""


class DataError(InputError):
    """Images or labels that cannot be used as the space's data."""


class WeightsError(InputError):
    """A file that holds no weights, or tensors that are not those of the network."""


class UncountedOperationError(ArchsearchError):
    """A MAC count that would silently leave out work that the network really does."""

    exit_code = 2


class InfeasibleError(ArchsearchError):
    """The search ran and has nothing to show: no candidate within the limits, or none that finished."""

    exit_code = 3


class EnvironmentFaultError(ArchsearchError):
    """The disk, a lock or a server failed. Nothing recorded is lost and the same command resumes."""

    exit_code = 4


class RunFolderError(ArchsearchError):
    """The run folder is in use by another process, or belongs to another space, study or seed."""

    exit_code = 5


class CallbackError(ArchsearchError):
    """A callback that the caller brought raised an error. The record is whole and the same call resumes."""


class FailedTrialError(ArchsearchError):
    """One candidate is lost; the study records why and goes on.

    Attributes:
        phase: what was being done: ``build``, ``predict``, ``profile``, ``score``, ``train``,
            ``validate`` or ``evaluate``.
        reason: one line for the trial's record.
    """

    def __init__(self, phase: str, reason: str) -> None:
        self.phase = phase
        self.reason = reason
        super().__init__(f"{phase}: {reason}")

    def __reduce__(self) -> tuple[type["FailedTrialError"], tuple[str, str]]:
        """Errors travel between processes whole."""
        return type(self), (self.phase, self.reason)
