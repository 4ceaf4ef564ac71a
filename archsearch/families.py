"""Families of networks: how their stages mix, local to global. Their names, and how older records name them."""

import re
from collections.abc import Sequence

ALL_LOCAL, MIXED, ALL_GLOBAL = "all-local", "mixed", "all-global"
# Before 0.1.0 the families bore the names of kinds.
OLD_NAMES = {"all-conv": ALL_LOCAL, "all-token": ALL_GLOBAL, "global-from-0": ALL_GLOBAL}


def family_of(is_global: Sequence[bool]) -> str:
    """The family of a network of which each stage, first to last, is global or not."""
    if not any(is_global):
        return ALL_LOCAL
    first = list(is_global).index(True)
    if not all(is_global[first:]):
        return MIXED
    return f"global-from-{first}" if first else ALL_GLOBAL


def read_family(name: str) -> str:
    """The family that a record names, in today's words."""
    return OLD_NAMES.get(name, name)


def family_order(name: str) -> tuple[int, int, str]:
    """What sorts families from local to global: all-local, global-from-K by K, mixed, all-global."""
    later = re.fullmatch(r"global-from-(\d+)", name)
    rank = {ALL_LOCAL: 0, MIXED: 2, ALL_GLOBAL: 3}.get(name, 1)
    return rank, int(later[1]) if later else 0, name
