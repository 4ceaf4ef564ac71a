"""Amounts and times as one reads them."""

from collections.abc import Iterable

PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def amount(value: float) -> str:
    """An amount as one reads it: 12.3M, 640, 0.482."""
    rounded = float(f"{float(value):.3g}")
    for factor, letter in PREFIXES:
        if rounded >= factor:
            return f"{rounded / factor:.3g}{letter}"
    return f"{rounded:.3g}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def listed(words: Iterable[str]) -> str:
    """``a, b and c``."""
    *first, last = list(words) or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def as_sentence(line: str) -> str:
    """A line with a capital letter and a full stop."""
    return f"{line[0].upper()}{line[1:].removesuffix('.')}."
