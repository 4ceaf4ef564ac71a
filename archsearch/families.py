"""Families of networks: how their stages mix, local to global. Their names, and how older records name them."""

import re
from collections.abc import Sequence

ALL_LOCAL, MIXED, ALL_GLOBAL, GLOBAL_FROM = "all-local", "mixed", "all-global", "global-from-"
# Before 0.1.0 the families bore the names of kinds.
OLD_NAMES = {"all-conv": ALL_LOCAL, "all-token": ALL_GLOBAL, "global-from-0": ALL_GLOBAL}


def family_of(is_global: Sequence[bool]) -> str:
    """The family of a network of which each stage, first to last, is global or not."""
    if not any(is_global):
        return ALL_LOCAL
    first = list(is_global).index(True)
    if not all(is_global[first:]):
        return MIXED
    return f"{GLOBAL_FROM}{first}" if first else ALL_GLOBAL


MEANINGS = {
    ALL_LOCAL: "every stage mixes locally",
    MIXED: "a local stage comes after a global one",
    ALL_GLOBAL: "every stage mixes globally",
}


def describe_family(name: str) -> str:
    """Which networks a family has, in words; stages count from 0, and the stem decides nothing."""
    first = name.removeprefix(GLOBAL_FROM)
    if first == name:
        return MEANINGS[name]
    return f"stages before stage {first} mix locally, the others globally"


def read_family(name: str) -> str:
    """The family that a record names, in today's words."""
    return OLD_NAMES.get(name, name)


def family_order(name: str) -> tuple[int, int, str]:
    """What sorts families from local to global: all-local, global-from-K by K, mixed, all-global."""
    later = re.fullmatch(rf"{GLOBAL_FROM}(\d+)", name)
    rank = {ALL_LOCAL: 0, MIXED: 2, ALL_GLOBAL: 3}.get(name, 1)
    return rank, int(later[1]) if later else 0, name
