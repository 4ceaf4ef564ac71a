"""Python expressions as they are written in a file: calls of blocks, over several lines where one is too short."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Room is left for the name of an argument and a comma.
LINE = 100
INDENT = "    "


@dataclass(frozen=True)
class Word:
    """Something that stands for itself, such as ``nn.ReLU`` or ``8**-0.5``."""

    text: str


@dataclass(frozen=True)
class Call:
    """A call, its arguments by position and by name; ``note`` is a comment above it."""

    name: str
    positional: Sequence[Any] = ()
    named: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Several:
    """The same call ``times`` times: a list of its own, or ``spread`` among the entries of another."""

    call: Call
    times: int
    spread: bool = False


@dataclass(frozen=True)
class Star:
    """What a call returns, spread among arguments."""

    call: Call


def call(block: Callable[..., Any], *positional: Any, named: Mapping[str, Any] | None = None) -> Call:
    """A call of one of the blocks; arguments that are its defaults are left out."""
    defaults = {name: p.default for name, p in inspect.signature(block).parameters.items()}
    differing = {n: v for n, v in (named or {}).items() if written(v, 0) != written(word_of(defaults[n]), 0)}
    return Call(block.__name__, positional, differing)


def word_of(value: Any) -> Any:
    """A module's class as it is written in a file; anything else as it is."""
    return Word(f"nn.{value.__name__}") if isinstance(value, type) else value


def written(value: Any, depth: int) -> str:
    """An expression as text, on one line if it fits there behind ``depth`` indents."""
    short = one_line(value)
    if short is not None and len(short) + depth * len(INDENT) < LINE:
        return short
    return over_lines(value, depth)


def one_line(value: Any) -> str | None:
    """An expression on one line; None if a comment stands in it."""
    match value:
        case Call():
            parts = [one_line(part) for part in value.positional]
            parts += [none_or(f"{name}=", one_line(part)) for name, part in value.named.items()]
            text = none_or(f"{value.name}(", joined(parts), ")")
            return None if value.note else text
        case Several():
            opening, closing = brackets(value)
            return none_or(opening, one_line(value.call), f" for _ in range({value.times}){closing}")
        case Star():
            return none_or("*", one_line(value.call))
        case list():
            return none_or("[", joined([one_line(part) for part in value]), "]")
        case str():
            return json.dumps(value)
    return value.text if isinstance(value, Word) else repr(value)


def joined(parts: Sequence[str | None]) -> str | None:
    """The parts in a row; None if one of them is."""
    present = [part for part in parts if part is not None]
    return ", ".join(present) if len(present) == len(parts) else None


def none_or(before: str, text: str | None, after: str = "") -> str | None:
    """The text between the others, if there is any."""
    return None if text is None else f"{before}{text}{after}"


def brackets(several: Several) -> tuple[str, str]:
    """Around a list, or around what is spread."""
    return ("*(", ")") if several.spread else ("[", "]")


def over_lines(value: Any, depth: int) -> str:
    """An expression with each of its parts on lines of their own."""
    inner, outer = INDENT * (depth + 1), INDENT * depth
    match value:
        case Call():
            parts = [("", part) for part in value.positional]
            parts += [(f"{name}=", part) for name, part in value.named.items()]
            return f"{value.name}(\n{entries(parts, depth + 1)}{outer})"
        case list():
            return f"[\n{entries([('', part) for part in value], depth + 1)}{outer}]"
        case Several():
            opening, closing = brackets(value)
            body = f"{inner}{written(value.call, depth + 1)}\n{inner}for _ in range({value.times})\n"
            return f"{opening}\n{body}{outer}{closing}"
        case Star():
            return f"*{over_lines(value.call, depth)}"
    return repr(value)


def entries(parts: Sequence[tuple[str, Any]], depth: int) -> str:
    """One part behind the other, each ending on a comma, its comment above it."""
    indent = INDENT * depth
    lines = []
    for name, part in parts:
        note = getattr(part, "note", "")
        lines += [f"{indent}# {note}\n"] if note else []
        lines.append(f"{indent}{name}{written(part, depth)},\n")
    return "".join(lines)
