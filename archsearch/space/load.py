"""YAML to Space or Architecture; everything that is wrong with a file is reported at once."""

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

from pydantic import BaseModel

from archsearch.architecture import Architecture, Image
from archsearch.errors import Problem, SpaceError, one_of, shown
from archsearch.objectives import MEASURED
from archsearch.space.buildable import dead_ends
from archsearch.space.check_fields import field_problems, part_problems, required_fields
from archsearch.space.document import Items, Node, Scalar, Table, plain, read_document
from archsearch.space.grammar import Field, Listing, PartSpace, Reference, Unreadable, read_field
from archsearch.space.references import read_references
from archsearch.space.space import COUNTERS, Published, Space
from archsearch.stages import STAGE_KINDS, STEM_KINDS, Head, Part

TOP_KEYS = tuple(field.name for field in fields(Space))
REQUIRED = ("name", "image", "classes", "stem", "stages")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
COUNT = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*([kMGT]?)")
FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def load_space(path: str | Path) -> Space:
    """The search space written in ``path``; an architecture file is a space with one point.

    Raises:
        SpaceError: with every problem of the file, each with its line, its key and its remedy.
    """
    return read_space(path)[0]


def load_architecture(path: str | Path) -> Architecture:
    """The architecture written in ``path``.

    Raises:
        SpaceError: with every problem of the file; a field left open is one.
    """
    space, document = read_alone(path)
    what, remedy = "left open, and an architecture is one point", "write one value"
    problems = [Problem(name, what, remedy) for name in space.open_fields()]
    if "references" in document.entries:
        problems.append(Problem("references", "an architecture has none", "remove them"))
    architecture = next(space.draws(seed=0, count=1))
    broken = space.violations(architecture) if not problems else []
    if broken:
        what, remedy = f"the architecture is beyond them: {', '.join(broken)}", "raise or remove the limit"
        problems = [Problem("limits", what, remedy)]
    if problems:
        raise SpaceError(str(path), [located(problem, document) for problem in problems])
    return architecture


def read_space(path: str | Path) -> tuple[Space, Table]:
    """The space in ``path``, its references read and found in it, and the document that says it."""
    space, document = read_alone(path)
    node = document.entries.get("references")
    if node is None:
        return space, document
    found = list(read_references(node, Path(path).parent, space, load_architecture))
    problems = [problem for problem in found if isinstance(problem, Problem)]
    if problems:
        raise SpaceError(str(path), problems)
    return replace(space, references=tuple(a for a in found if isinstance(a, Architecture))), document


def read_alone(path: str | Path) -> tuple[Space, Table]:
    """The space in ``path`` without its references, and the document that says it."""
    document = read_document(Path(path))
    reader = Reader(document)
    space = reader.space()
    if space.published is not None and space.open_fields():
        reader.problem("published", "belongs to one network, and values are left open here", "remove it")
    problems = reader.problems or dead_ends(space)
    if problems:
        raise SpaceError(str(path), [located(problem, document) for problem in problems])
    return space, document


def parse_count(value: object) -> int | None:
    """``5M`` or 5000000 as an integer of at least 1, else None."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value > 0 else None
    match = COUNT.fullmatch(value) if isinstance(value, str) else None
    count = round(float(match[1]) * FACTORS[match[2]]) if match else 0
    return count or None


class Reader:
    """Reads one document, collecting every problem it meets."""

    def __init__(self, document: Table) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.params: dict[str, Field] = {}
        self.used: set[str] = set()
        self.unreadable: set[str] = set()

    def space(self) -> Space:
        """The space, as far as it can be read; whole if there are no problems."""
        self.check_keys()
        entries = self.document.entries
        self.params = self.read_params(entries.get("params"))
        stem = self.read_part("stem", entries.get("stem"), STEM_KINDS)
        stages = self.read_stages(entries.get("stages"))
        space = Space(
            name=self.read_name(entries.get("name")),
            image=self.read_image(entries.get("image")),
            classes=self.read_classes(entries.get("classes")),
            params=self.params,
            stem=stem,
            stages=stages,
            head=self.read_head(entries.get("head")),
            limits=self.read_limits(entries.get("limits")),
            published=self.read_published(entries.get("published")),
            study=self.read_study(entries.get("study")),
        )
        self.check_params()
        return space

    def problem(self, key: str, what: str, remedy: str, node: Node | None = None) -> None:
        """Note a problem; without a node, its line is found by its key."""
        self.problems.append(Problem(key, what, remedy, node.line if node else None))

    def check_keys(self) -> None:
        """The file has the keys of a space, and all that it must have."""
        for key in self.document.entries:
            if key not in TOP_KEYS:
                self.problem(key, "is no part of a space", one_of(TOP_KEYS, key))
        for key in REQUIRED:
            if key not in self.document.entries:
                self.problem(key, "missing", f"write {key}: ...", self.document)

    def read_name(self, node: Node | None) -> str:
        """A word that can name a folder."""
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, str) and NAME.fullmatch(value):
            return value
        if node is not None:
            remedy = "use up to 64 letters, digits, '.', '_' and '-', the first a letter or digit"
            self.problem("name", f"{shown(plain(node))} cannot name a folder", remedy, node)
        return "unnamed"

    def read_image(self, node: Node | None) -> Image:
        """Channels, height and width; the data decides them, so they cannot be left open."""
        fields = self.read_fields("image", node)
        self.check_spec("image", "an image", Image, fields)
        if node is None or any(problem.key.startswith("image") for problem in self.problems):
            return Image(channels=1, height=1, width=1)
        return Image.model_validate(fields)

    def read_classes(self, node: Node | None) -> int:
        """How many classes the data has; it cannot be left open."""
        if node is None:
            return 2
        field = self.read_value("classes", node)
        if field is None or self.refuse_open("", {"classes": field}):
            return 2
        found = list(field_problems(Architecture, {"classes": ("classes", field)}, {}, "a space"))
        self.problems += found
        return field if isinstance(field, int) and not found else 2

    def read_params(self, node: Node | None) -> dict[str, Field]:
        """Values drawn once for the whole file."""
        params = self.read_fields("params", node)
        for name, field in params.items():
            if isinstance(field, Reference | Listing):
                what = "a parameter holds a value or a choice, nothing that is open inside"
                self.problem(f"params.{name}", what, "write {choice: [...]} over whole values")
                self.unreadable.add(f"params.{name}")
        return {n: f for n, f in params.items() if not isinstance(f, Reference | Listing)}

    def read_stages(self, node: Node | None) -> tuple[PartSpace, ...]:
        """At least one stage, each with its alternatives."""
        if node is None:
            return ()
        if not isinstance(node, Items) or not 1 <= len(node.items) <= 64:
            self.problem("stages", "is a list of 1 to 64 stages", "write - kind: ... for each stage", node)
            return ()
        return tuple(
            self.read_part(f"stages.{index}", item, STAGE_KINDS) for index, item in enumerate(node.items)
        )

    def read_part(self, path: str, node: Node | None, kinds: Mapping[str, type[Part]]) -> PartSpace:
        """A stem or stage: shared fields, and a kind as a word or as a mapping of alternatives."""
        nothing = PartSpace(path, {}, {}, kind_is_open=False)
        if node is None:
            return nothing
        if not isinstance(node, Table):
            self.problem(path, "is a mapping with a kind", "write {kind: conv, ...}", node)
            return nothing
        kind = node.entries.get("kind")
        if kind is None:
            self.problem(f"{path}.kind", "missing", f"write kind: and one of {', '.join(kinds)}", node)
            return nothing
        own = Table({k: v for k, v in node.entries.items() if k != "kind"}, node.key_lines, node.line)
        fields = self.read_fields(path, own)
        part = self.with_alternatives(path, kind, fields, kinds)
        self.problems += dict.fromkeys(part_problems(part, self.params, self.unreadable))
        return part

    def with_alternatives(
        self, path: str, kind: Node, fields: dict[str, Field], kinds: Mapping[str, type[Part]]
    ) -> PartSpace:
        """The part, its kind read."""
        if isinstance(kind, Scalar) and isinstance(kind.value, str):
            known = self.check_kind(f"{path}.kind", kind.value, kinds, kind)
            return PartSpace(path, {}, {kind.value: fields} if known else {}, kind_is_open=False)
        if not isinstance(kind, Table) or not kind.entries or "choice" in kind.entries:
            remedy = f"write one of {', '.join(kinds)}, or a mapping of alternatives: {{conv: {{...}}, ...}}"
            self.problem(f"{path}.kind", "is a word or a mapping of alternatives", remedy, kind)
            return PartSpace(path, {}, {}, kind_is_open=False)
        alternatives = {
            word: self.read_fields(f"{path}.{word}", node)
            for word, node in kind.entries.items()
            if self.check_kind(f"{path}.kind.{word}", word, kinds, node)
        }
        for word, own in alternatives.items():
            for name in own.keys() & fields.keys():
                what = f"is given for all alternatives already ({path}.{name})"
                self.problem(f"{path}.{word}.{name}", what, "write it in one of the two places")
        return PartSpace(path, fields, alternatives, kind_is_open=True)

    def check_kind(self, key: str, word: str, kinds: Mapping[str, type[Part]], node: Node) -> bool:
        """Whether ``word`` is a kind; if not, it is noted."""
        if word not in kinds:
            self.problem(key, f"{shown(word)} is no kind", one_of(list(kinds), word), node)
        return word in kinds

    def read_head(self, node: Node | None) -> dict[str, Field]:
        """The head's fields."""
        fields = self.read_fields("head", node)
        self.check_spec("head", "a head", Head, fields, may_be_open=True)
        return fields

    def read_limits(self, node: Node | None) -> dict[str, int]:
        """Upper bounds on what can be counted without a device."""
        limits: dict[str, int] = {}
        fields = self.read_fields("limits", node)
        if self.refuse_open("limits.", fields, "a limit is one amount"):
            return limits
        for name, field in fields.items():
            if name not in COUNTERS:
                remedy = one_of(tuple(COUNTERS), name)
                if name in MEASURED:
                    remedy = "it depends on the device: write it under study: limits:"
                self.problem(f"limits.{name}", "is no limit of a space", remedy)
                continue
            count = parse_count(field)
            if count is None:
                self.problem(f"limits.{name}", f"{shown(field)} is no amount above 0", "write 5000000 or 5M")
            else:
                limits[name] = count
        return limits

    def read_published(self, node: Node | None) -> Published | None:
        """What others printed about a network; a space of many has no such figures."""
        written = self.read_fields("published", node)
        amounts = {n: parse_count(field) or field for n, field in written.items() if n in COUNTERS}
        fields = {**written, **amounts}
        self.check_spec("published", "a published network", Published, fields)
        if node is None or any(problem.key.startswith("published") for problem in self.problems):
            return None
        return Published.model_validate(fields)

    def read_study(self, node: Node | None) -> Table | None:
        """The file's own defaults for a search; ``archsearch.study`` reads what they say."""
        if node is None or isinstance(node, Table):
            return node
        self.problem("study", "is a mapping", "write {data: digits, trials: 24}", node)
        return None

    def read_fields(self, path: str, node: Node | None) -> dict[str, Field]:
        """The entries of a mapping as fields."""
        if node is None:
            return {}
        if not isinstance(node, Table):
            self.problem(path, f"{shown(plain(node))} is no mapping", "write {key: value, ...}", node)
            return {}
        fields = {name: self.read_value(f"{path}.{name}", entry) for name, entry in node.entries.items()}
        return {name: field for name, field in fields.items() if field is not None}

    def read_value(self, path: str, node: Node) -> Field | None:
        """One field, or None with its problem noted."""
        try:
            field = read_field(node, path)
        except Unreadable as error:
            self.problems.append(error.problem)
            self.unreadable.add(path)
            return None
        self.check_references(path, field, node)
        return field

    def check_references(self, path: str, field: Field, node: Node) -> None:
        """Every ``$name`` is one of ``params``."""
        if isinstance(field, Listing):
            for index, item in enumerate(field.items):
                self.check_references(f"{path}.{index}", item, node)
        elif isinstance(field, Reference):
            self.used.add(field.name)
            known = field.name in self.params or f"params.{field.name}" in self.unreadable
            if not known and not path.startswith("params."):
                remedy = one_of(list(self.params), field.name) if self.params else "write it under params:"
                self.problem(path, f"${shown(field.name)} is not among params", remedy, node)

    def check_params(self) -> None:
        """A parameter that nothing uses is a slip of the pen."""
        for name in [name for name in self.params if name not in self.used]:
            self.problem(
                f"params.{name}", "is used nowhere", f"write ${name} where it is meant, or remove it"
            )

    def check_spec(
        self,
        path: str,
        role: str,
        spec: type[BaseModel],
        fields: Mapping[str, Field],
        *,
        may_be_open: bool = False,
    ) -> None:
        """``fields`` are what ``spec`` has, complete, and closed unless they may be open."""
        if not may_be_open and self.refuse_open(f"{path}.", fields):
            return
        named = {name: (f"{path}.{name}", field) for name, field in fields.items()}
        self.problems += dict.fromkeys(field_problems(spec, named, self.params, role))
        for name in required_fields(spec) if path in self.document.entries else ():
            if name not in fields and f"{path}.{name}" not in self.unreadable:
                self.problem(f"{path}.{name}", "missing", f"write {name}: ...")

    def refuse_open(self, prefix: str, fields: Mapping[str, Field], why: str = "the data decides it") -> bool:
        """Whether any field is open; each is noted."""
        found = [n for n, f in fields.items() if not isinstance(f, bool | int | float | str | tuple)]
        for name in found:
            self.problem(f"{prefix}{name}", f"cannot be left open: {why}", "write one value")
        return bool(found)


def located(problem: Problem, document: Table) -> Problem:
    """The problem with the line of the deepest part of its key that the file has."""
    if problem.line is not None:
        return problem
    return Problem(problem.key, problem.what, problem.remedy, line_of(problem.key.split("."), document))


def line_of(steps: list[str], node: Node) -> int:
    """The line of a dotted place; a kind's name in a place stands under ``kind`` in the file."""
    if not steps:
        return node.line
    step, *rest = steps
    if isinstance(node, Items) and step.isdigit() and int(step) < len(node.items):
        return line_of(rest, node.items[int(step)])
    if isinstance(node, Table) and step in node.entries:
        return line_of(rest, node.entries[step]) if rest else node.key_lines[step]
    kind = node.entries.get("kind") if isinstance(node, Table) else None
    if isinstance(kind, Table) and step in kind.entries:
        return line_of(steps, kind)
    return node.line
