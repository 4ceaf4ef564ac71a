"""What a field of a space may say: a value, or what may be put there.

64                                     a value
{choice: [64, 96]}                     one of these
{range: [1, 3]}                        low, low + step, ..., high; the step is 1 if not given
{range: [16, 256], step: 2, log: true} low, low * step, ..., high; the factor is 2 if not given
$name                                  whatever ``params`` draws for ``name``, once for the whole file
[{choice: [3, 7]}, 3]                  a list whose items may be left open one by one
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from archsearch.errors import Problem, one_of, shown
from archsearch.space.document import Items, Node, Scalar, Table, plain
from archsearch.stages import STAGE_KINDS, STEM_KINDS, Part

Value = bool | int | float | str | tuple[Any, ...]
MAX_OPTIONS = 1_000
RANGE_KEYS = ("range", "step", "log")


@dataclass(frozen=True)
class Choice:
    """A field left open: exactly one of ``options`` is taken."""

    options: tuple[Value, ...]


@dataclass(frozen=True)
class Reference:
    """A field that takes what ``params`` draws for ``name``."""

    name: str


@dataclass(frozen=True)
class Listing:
    """A list of which at least one item is left open."""

    items: tuple["Field", ...]


Field = Value | Choice | Reference | Listing


@dataclass(frozen=True)
class PartSpace:
    """A stem or stage: fields that all alternatives share, and the fields of each alternative kind.

    ``kind_is_open`` tells a mapping of alternatives (whose names carry the kind, and which are drawn
    from) from a fixed word.
    """

    path: str
    shared: Mapping[str, Field]
    alternatives: Mapping[str, Mapping[str, Field]]
    kind_is_open: bool

    @property
    def kinds(self) -> Mapping[str, type[Part]]:
        """Every kind that can stand here, by name: those of a stem, or those of a stage."""
        return STEM_KINDS if self.path == "stem" else STAGE_KINDS

    def fields(self, kind: str) -> Iterator[tuple[str, str, Field]]:
        """Name, parameter name and content of every written field of one alternative."""
        for name, field in self.shared.items():
            yield name, f"{self.path}.{name}", field
        own = f"{self.path}.{kind}" if self.kind_is_open else self.path
        for name, field in self.alternatives[kind].items():
            yield name, f"{own}.{name}", field


class Unreadable(Exception):  # noqa: N818 - it never leaves the room: the loader collects its problem
    """A node that is no field; carries its problem."""

    def __init__(self, key: str, what: str, remedy: str, node: Node) -> None:
        super().__init__(what)
        self.problem = Problem(key, what, remedy, node.line)


def read_field(node: Node, key: str) -> Field:
    """The field that ``node`` says; raises Unreadable."""
    if isinstance(node, Items):
        return read_list(node, key)
    if isinstance(node, Table):
        return read_open(node, key)
    if node.value is None:
        raise Unreadable(
            key, "null is no value here", "leave the key out for its default, or write a value", node
        )
    if isinstance(node.value, str) and node.value.startswith("$"):
        return Reference(node.value[1:])
    return node.value


def read_list(node: Items, key: str) -> Field:
    """A tuple of values, or a Listing if an item is open."""
    items = tuple(read_field(item, f"{key}.{index}") for index, item in enumerate(node.items))
    if any(isinstance(item, Choice | Reference | Listing) for item in items):
        return Listing(items)
    return items


def read_open(node: Table, key: str) -> Choice:
    """``{choice: [...]}`` or ``{range: [...]}``."""
    if "choice" in node.entries:
        refuse_other_keys(node, key, ("choice",))
        return read_choice(node.entries["choice"], key)
    if "range" in node.entries:
        refuse_other_keys(node, key, RANGE_KEYS)
        return read_range(node, key)
    written = next(iter(node.entries), "")
    remedy = "write a value, {choice: [...]} or {range: [low, high]}"
    what = f"{shown(written)} opens no field" if written else "an empty mapping is no value"
    raise Unreadable(key, what, remedy, node)


def refuse_other_keys(node: Table, key: str, known: tuple[str, ...]) -> None:
    """An open field says how it is open, and nothing else."""
    for word in node.entries:
        if word not in known:
            raise Unreadable(f"{key}.{word}", "has no meaning here", one_of(known, word), node)


def read_choice(node: Node, key: str) -> Choice:
    """At least one option, all different, none open."""
    if not isinstance(node, Items) or not node.items:
        what = "the choice is empty" if isinstance(node, Items) else "a choice is a list"
        raise Unreadable(key, what, "write at least one option: {choice: [a, b]}", node)
    options = tuple(read_option(item, f"{key}.choice.{index}") for index, item in enumerate(node.items))
    if len(options) > MAX_OPTIONS:
        raise Unreadable(key, f"{len(options)} options", f"write at most {MAX_OPTIONS}", node)
    for index, option in enumerate(options):
        if any(same(option, earlier) for earlier in options[:index]):
            raise Unreadable(key, f"the option {shown(label(option))} stands twice", "write it once", node)
    return Choice(options)


def read_option(node: Node, key: str) -> Value:
    """One option of a choice: a value or a list of values."""
    option = read_field(node, key)
    if isinstance(option, Choice | Reference | Listing):
        raise Unreadable(key, "an option cannot be open itself", "write every option out", node)
    return option


def read_range(node: Table, key: str) -> Choice:
    """The grid of a range as a choice: a study draws from finitely many values."""
    ends = plain(node.entries["range"])
    if not (isinstance(ends, list) and len(ends) == 2 and all(map(is_number, ends))):
        raise Unreadable(key, "a range has two numbers", "write {range: [low, high]}", node)
    low, high = ends
    log = setting(node, "log", key, default=False)
    step = setting(node, "step", key, default=2 if log else 1)
    if not isinstance(log, bool) or not is_number(step):
        raise Unreadable(key, "step is a number and log is true or false", "mend the range", node)
    if isinstance(low, float) and "step" not in node.entries:
        raise Unreadable(key, "a range of decimal numbers has no natural step", "add step: ...", node)
    return Choice(grid(low, high, step, log=log, key=key, node=node))


def setting(node: Table, word: str, key: str, default: bool | float) -> object:  # noqa: FBT001 - a scalar is one of both
    """One optional setting of a range."""
    written = node.entries.get(word, Scalar(default, node.line))
    if not isinstance(written, Scalar):
        raise Unreadable(f"{key}.{word}", "is one value", f"write {word}: {json.dumps(default)}", node)
    return written.value


def grid(low: Any, high: Any, step: Any, *, log: bool, key: str, node: Node) -> tuple[Value, ...]:
    """``low`` to ``high`` by adding ``step``, or by multiplying with it; ``high`` has to be met."""
    if low >= high:
        raise Unreadable(key, f"the range ends at {high} and begins at {low}", "write [low, high]", node)
    if step <= (1 if log else 0) or (log and low <= 0):
        what = f"{low} to {high} by {'factors' if log else 'steps'} of {step} leads nowhere"
        raise Unreadable(key, what, "use a step above 0, or above 1 and a low above 0 with log: true", node)
    values = [low]
    while values[-1] < high and len(values) <= MAX_OPTIONS:
        values.append(rounded(values[-1] * step if log else low + len(values) * step))
    if len(values) > MAX_OPTIONS:
        raise Unreadable(key, f"more than {MAX_OPTIONS} values", f"use at most {MAX_OPTIONS} values", node)
    if values[-1] != high:
        what = f"{high} is not met from {low} by {'factors' if log else 'steps'} of {step}"
        raise Unreadable(key, what, f"end it at {values[-1]}", node)
    return tuple(values)


def rounded(number: Any) -> Any:
    """A grid value without the dust of binary fractions: 0.1 + 0.2 is meant as 0.3."""
    return round(number, 12) if isinstance(number, float) else number


def is_number(value: object) -> bool:
    """An int or a float; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(one: Value, other: Value) -> bool:
    """Equal and of one nature: 1 and 1.0 are the same option, 1 and true are not."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def label(value: Value) -> bool | int | float | str:
    """How a value stands in Optuna, in tables and in messages: lists as text such as ``[7, 3, 3]``."""
    return json.dumps(value) if isinstance(value, tuple) else value


def values_of(field: Field, params: Mapping[str, Field]) -> Iterator[Value]:
    """Every value that a field can take; one that refers to an unknown parameter takes none."""
    if isinstance(field, Choice):
        yield from field.options
    elif isinstance(field, Reference):
        yield from values_of(params[field.name], params) if field.name in params else ()
    elif isinstance(field, Listing):
        yield from product(*(tuple(values_of(item, params)) for item in field.items))
    else:
        yield field


def count_of(field: Field, params: Mapping[str, Field]) -> int:
    """How many values a field can take."""
    if isinstance(field, Choice):
        return len(field.options)
    if isinstance(field, Reference):
        return count_of(params[field.name], params) if field.name in params else 0
    if isinstance(field, Listing):
        return prod(count_of(item, params) for item in field.items)
    return 1


def written(field: Field) -> Any:
    """The field as plain data, the way the file says it; what a space's fingerprint is made of."""
    if isinstance(field, Choice):
        return {"choice": [written(option) for option in field.options]}
    if isinstance(field, Reference):
        return f"${field.name}"
    if isinstance(field, Listing | tuple):
        return [written(item) for item in (field.items if isinstance(field, Listing) else field)]
    return field
