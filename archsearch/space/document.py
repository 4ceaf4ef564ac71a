"""Reads a YAML file strictly into values that know their line; knows nothing of what a space is.

    file -> bytes -> text -> PyYAML's events -> Table of Table, Items and Scalar

PyYAML is asked for events and never for objects: a tag constructs nothing, an alias expands to nothing, and what a
plain word or number means is decided here. Where YAML 1.1 would surprise (``no`` is false, ``010`` is eight, ``1:30``
is ninety, the first of two equal keys is lost) the file is refused, with all its problems at once.
"""

import math
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from archsearch.errors import InputError, Problem, SpaceError, shown

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_NODES = 20_000
MAX_DIGITS = 18  # the longest that always fits 64 bits
MAX_KEY_LENGTH = 64
MAX_PLACE_LENGTH = 60

Value = bool | int | float | str | None
KeyPath = tuple[str, ...]
Event = Any  # one of yaml.Event; their stubs do not know that every event has a mark, and a node an anchor and tag


@dataclass(frozen=True)
class Scalar:
    """One value, and the line where it stands."""

    value: Value
    line: int


@dataclass(frozen=True)
class Items:
    """A list, and the line where it begins."""

    items: tuple["Node", ...]
    line: int


@dataclass(frozen=True)
class Table:
    """Keys with what they hold, the line of each key, and the line where the first one stands."""

    entries: Mapping[str, "Node"]
    key_lines: Mapping[str, int]
    line: int


Node = Scalar | Items | Table


def read_document(path: Path, error: type[InputError] = SpaceError) -> Table:
    """The tree of the one document in a file.

    Raises:
        InputError: as ``error``, with every problem that could be found; what hides the rest of a file ends the list.
    """
    problems: list[Problem] = []
    try:
        root = _EventReader(_decoded(_content(path)), problems).document()
    except _FaultError as fault:
        problems.append(fault.problem)
    if problems:
        raise error(str(path), problems)
    return root


def plain(node: Node) -> object:
    """The same tree as nested dict, list and values, without lines."""
    if isinstance(node, Table):
        return {key: plain(entry) for key, entry in node.entries.items()}
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    return node.value


class _FaultError(Exception):
    """A value, a key or (with its line) the whole file that cannot be read any further."""

    def __init__(self, what: str, remedy: str, line: int | None = None, key: str = "") -> None:
        self.problem = Problem(key, what, remedy, line)
        super().__init__(what)


_KINDS = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}

# What no editor shows: control characters, lone carriage returns, line ends that only YAML knows, writing directions,
# halves of characters.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_DIRECTIVE = re.compile(r"(?:[ \t]*(?:#.*)?\n)*+%")


def _content(path: Path) -> bytes:
    """The bytes of a regular file; a pipe is never opened, because that could wait for ever."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
        content = _first_bytes(path) if kind == stat.S_IFREG else b""
    except FileNotFoundError:
        what = "the link leads to no file" if path.is_symlink() else "there is no such file"
        raise _FaultError(what, "check the path") from None
    except (OSError, ValueError) as error:
        what = f"the file cannot be read ({getattr(error, 'strerror', None) or error})"
        raise _FaultError(what, "check the path and its permissions") from None
    if kind != stat.S_IFREG:
        raise _FaultError(f"this is {_KINDS.get(kind, 'a device')}", "name a regular file")
    if len(content) > MAX_BYTES:
        raise _FaultError(f"the file is larger than {MAX_BYTES:,} bytes", "write a smaller one")
    return content


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _decoded(content: bytes) -> str:
    """The text of a file: one kind of line end, nothing unseen, no directive."""
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        # `error.object`, not `content`: the codec counts from behind the byte order mark.
        byte, line = error.object[error.start], 1 + error.object.count(b"\n", 0, error.start)
        raise _FaultError(f"byte 0x{byte:02x} is not UTF-8", "save the file as UTF-8", line) from None
    if found := _UNSEEN.search(text):
        line = 1 + text.count("\n", 0, found.start())
        what = f"character {shown(found[0])} cannot be seen"
        raise _FaultError(what, "remove it, or save the file as text", line)
    if found := _DIRECTIVE.match(text):
        line = 1 + found[0].count("\n")
        raise _FaultError("a line that begins with % is a directive to YAML", "leave it out", line)
    return text


_WORD = re.compile(rf"[A-Za-z_][A-Za-z0-9_-]{{0,{MAX_KEY_LENGTH - 1}}}")
_EMPTY = ("the file is empty", "write at least one `key: value`")


class _EventReader:
    """Turns the events of one document into nodes, and writes down every problem on the way."""

    def __init__(self, text: str, problems: list[Problem]) -> None:
        self.problems = problems
        self.loader: Any = yaml.SafeLoader(text)
        self.anchors: set[str] = set()
        self.nodes = 0

    def document(self) -> Table:
        self.next()  # the start of the stream
        if isinstance(self.next(), yaml.StreamEndEvent):
            raise _FaultError(*_EMPTY)
        root = self.root(self.next())
        self.next()  # the end of the document
        if not isinstance(event := self.next(), yaml.StreamEndEvent):
            self.report(event, (), "a second document begins", "keep one document, and no `---` behind it")
        return root

    def next(self) -> Event:
        try:
            event: Event = self.loader.get_event()
        except yaml.MarkedYAMLError as error:
            raise _syntax_problem(error) from None
        except (ValueError, OverflowError):
            # PyYAML gives the number behind \U to chr() as it stands.
            what = "a character code too large for any character"
            raise _FaultError(what, "write the character itself", self.loader.line + 1) from None
        self.nodes += isinstance(event, yaml.NodeEvent)
        if self.nodes > MAX_NODES:
            raise _FaultError(f"more than {MAX_NODES:,} keys and values", "write fewer", _line(event))
        return event

    def root(self, event: Event) -> Table:
        if isinstance(event, yaml.ScalarEvent) and not (event.value or event.style or event.tag):
            raise _FaultError(*_EMPTY)
        root = self.node(event, ())
        if not isinstance(root, Table):
            kind = "a list" if isinstance(root, Items) else "a single value"
            raise _FaultError(f"the file holds {kind}, not keys", "write `key: value` lines", root.line)
        return root

    def node(self, event: Event, path: KeyPath) -> Node:
        self.refuse_anchor_and_tag(event, path)
        if isinstance(event, yaml.AliasEvent):
            return Scalar(None, _line(event))
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(self.value(event, path), _line(event))
        if len(path) >= MAX_DEPTH:
            what = f"deeper than {MAX_DEPTH} levels"
            raise _FaultError(what, "write it flatter", _line(event), _dotted(path))
        collect = self.table if isinstance(event, yaml.MappingStartEvent) else self.items
        return collect(event, path)

    def items(self, start: Event, path: KeyPath) -> Items:
        items: list[Node] = []
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            items.append(self.node(event, (*path, str(len(items)))))
        return Items(tuple(items), _line(start))

    def table(self, start: Event, path: KeyPath) -> Table:
        entries: dict[str, Node] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            key = self.key(event, path, lines)
            lines.setdefault(key, _line(event))
            entries[key] = self.node(self.next(), (*path, key))
        return Table(entries, lines, _line(start))

    def key(self, event: Event, path: KeyPath, lines: Mapping[str, int]) -> str:
        """The name of a key, or what stands for it in messages if it cannot be one."""
        name = _key_name(event)
        if isinstance(event, yaml.ScalarEvent):
            self.refuse_anchor_and_tag(event, (*path, name))
        else:
            self.node(event, (*path, name))
        try:
            _refuse_key(event, name, lines)
        except _FaultError as fault:
            self.report(event, (*path, name), fault.problem.what, fault.problem.remedy)
        return name

    def value(self, event: Event, path: KeyPath) -> Value:
        if event.tag is not None:  # reported already, and it would change what the value means
            return None
        try:
            return _plain_value(event.value) if event.style is None else _quoted_value(event.value)
        except _FaultError as fault:
            self.report(event, path, fault.problem.what, fault.problem.remedy)
            return None

    def refuse_anchor_and_tag(self, event: Event, path: KeyPath) -> None:
        remedy = "write the value out, or use params and $name"
        if isinstance(event, yaml.AliasEvent):
            reason = "is not allowed" if event.anchor in self.anchors else "stands for nothing"
            self.report(event, path, f"the alias *{shown(event.anchor)} {reason}", remedy)
            return
        if event.anchor is not None:
            self.anchors.add(event.anchor)
            self.report(event, path, f"the anchor &{shown(event.anchor)} is not allowed", remedy)
        if event.tag is not None:
            tag = shown(event.tag.replace("tag:yaml.org,2002:", "!!", 1))
            self.report(event, path, f"the tag {tag} is not allowed", "leave it out")

    def report(self, event: Event, path: KeyPath, what: str, remedy: str) -> None:
        self.problems.append(Problem(_dotted(path), what, remedy, _line(event)))


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _dotted(path: KeyPath) -> str:
    """``stages.0.kernel``; of a very long place the end."""
    dotted = ".".join(path)
    return dotted if len(dotted) <= MAX_PLACE_LENGTH else "..." + dotted[3 - MAX_PLACE_LENGTH :]


def _key_name(event: Event) -> str:
    name = event.value if isinstance(event, yaml.ScalarEvent) else "?"
    return name if _WORD.fullmatch(name) else shown(name)


def _refuse_key(event: Event, name: str, lines: Mapping[str, int]) -> None:
    """A key is a word that stands once: no number, no list, not null, true or false, and not YAML's ``<<``."""
    if not isinstance(event, yaml.ScalarEvent):
        raise _FaultError("keys are words, and this is none", "write a word before the colon")
    if event.value == "<<":
        raise _FaultError("YAML's merge key is not allowed", "write the keys out, or use params and $name")
    if event.style is None and not isinstance(_plain_value(event.value), str):
        raise _FaultError("keys are words, not numbers, null, true or false", "write a word before the colon")
    if not _WORD.fullmatch(event.value):
        raise _FaultError("keys are words, and this is none", _remedy_of_key(event.value))
    if name in lines:
        raise _FaultError(f"written twice, in lines {lines[name]} and {_line(event)}", "keep one of them")


def _remedy_of_key(key: str) -> str:
    if key.startswith("-"):
        return "write a blank after the dash of a list item"
    if " " in key:
        return "write `key: value` with a colon, and _ for a blank"
    return f"use at most {MAX_KEY_LENGTH} letters a-z, digits, _ and -, a letter first"


_WORDS: Mapping[str, Value] = {"true": True, "false": False, "null": None, "~": None}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")

# What YAML 1.1, YAML 1.2 and people read differently, why, and what to write. All of them match in linear time.
_SURPRISES = (
    ("(?i:yes|no|on|off|y|n|true|false)", "is text to some, true or false to others", "write true or false"),
    ("(?i:null)", "is text to some and nothing to others", "write null"),
    (
        r"[-+]?0[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?",
        "is octal to some, decimal to others",
        "write no leading 0",
    ),
    ("[-+]?0[xXoObB][0-9a-fA-F_]+", "is text to some and a number to others", "write it in decimal"),
    (r"[-+]?\.?[0-9][0-9.]*_[0-9._]*([eE][-+]?[0-9]+)?", "is text to some, a number to others", "write no _"),
    (r"[-+]?[0-9][0-9_]*(:[0-9_]+)+(\.[0-9_]*)?", "is a number to base 60 to some", "write it in decimal"),
    (
        r"(?s:[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?)",
        "is text to some, a date to others",
        "write no date",
    ),
    (r"(?i:[-+]?\.(inf|nan))", "is no finite number", "write a number"),
)


def _plain_value(text: str) -> Value:
    """What a value without quotes means: a word of YAML, a number, or text."""
    if not text:
        raise _FaultError("nothing is written here", "write a value, or null if none is meant")
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(_short(text))
    if _FLOAT.fullmatch(text):
        return _float(text)
    for pattern, reason, remedy in _SURPRISES:
        if re.fullmatch(pattern, text):
            raise _FaultError(f"{shown(text)} {reason}", f"{remedy}, or put it in quotes")
    return text


def _short(digits: str) -> str:
    length = len(digits.lstrip("+-"))
    if length > MAX_DIGITS:
        raise _FaultError(f"a number of {length} digits", f"write at most {MAX_DIGITS} digits")
    return digits


def _float(text: str) -> float:
    """The number meant, if a float is near it: never infinity, and zero only where zero is written."""
    number = float(text)
    if math.isinf(number) or (number == 0 and re.search("[1-9]", re.split("[eE]", text)[0])):
        what = f"{shown(text)} is too {'small' if number == 0 else 'large'} for a float"
        raise _FaultError(what, "write 0 or a number between 1e-300 and 1e300")
    return number


def _quoted_value(text: str) -> str:
    """Quoted text as it is; its escapes may not bring in what the file itself may not hold."""
    if odd := _UNSEEN.search(text):
        raise _FaultError(f"the text holds {shown(odd[0])}, which cannot be seen", "leave it out")
    return text


# What PyYAML's words hold, what they mean, and what to do; the first that fits counts.
_SYNTAX = (
    ("tag handle", "a word with ! before it is a tag", "leave it out, or put the text in quotes"),
    ("character '\\t'", "a tab stands here", "indent with blanks, and write no tabs between values"),
    ("mapping values are", "this `:` belongs to no key", "indent neighbours alike, and quote text with `: `"),
    ("could not find expected ':'", "a key without a colon stands above", "write `key: value`"),
    ("expected ',' or", "a comma or closing bracket is missing", "close the bracket or write the comma"),
    ("found unexpected", "a quote is never closed", "close it with the quote it begins with"),
    ("escape", "this is no known escape in double quotes", "use single quotes, or write \\\\ for \\"),
    ("expected <block end>", "this does not go on with what stands above", "indent it like its neighbours"),
    (
        "expected the node content",
        "a value is missing before this sign",
        "write the value or remove the sign",
    ),
    ("sequence entries are", "a list item begins within a line", "begin each `- ` on a line of its own"),
    ("expected alphabetic or", "a * or & without a name", "put text that begins with * or & in quotes"),
    ("expected '<document start>'", "this stands behind the end", "indent it like what stands above"),
)


def _syntax_problem(error: yaml.MarkedYAMLError) -> _FaultError:
    """PyYAML's complaint in simple words, with its line and the line where the matter began."""
    what, remedy = _in_simple_words(error.problem or "it stops here")
    begun = error.context_mark
    mark = error.problem_mark or begun
    if mark and begun and begun.line != mark.line:
        what = f"{what} (in what began in line {begun.line + 1})"
    return _FaultError(what, remedy, mark.line + 1 if mark else None)


def _in_simple_words(words: str) -> tuple[str, str]:
    for part, what, remedy in _SYNTAX:
        if part in words:
            return what, remedy
    if sign := re.match(r"found character '(.)' that cannot start", words):
        return f"a value cannot begin with {sign[1]}", "put it in quotes"
    return f"this is no YAML ({shown(words)})", "compare the line with its neighbours"
