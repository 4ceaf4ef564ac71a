"""Where an architecture stands in a space: the choices that lead to it, or the first field that differs."""

from collections.abc import Sequence
from typing import Any

from archsearch.architecture import Architecture
from archsearch.errors import ArchitectureError, Problem, shown
from archsearch.space.grammar import (
    Choice,
    Field,
    Listing,
    PartSpace,
    Reference,
    Value,
    label,
    same,
    values_of,
)
from archsearch.space.space import Space, open_choices
from archsearch.stages import Part

MAX_VALUES_SHOWN = 8


def choices_for(space: Space, architecture: Architecture) -> dict[str, Any]:
    """What a trial has to choose so that ``space.sample`` gives ``architecture``, by parameter name.

    Image and classes belong to the data and are not compared.

    Raises:
        ArchitectureError: it is no point of the space; names the first field that differs.
    """
    return Comparison(space, architecture).choices()


class Comparison:
    """One passage through an architecture, beside the space that may hold it."""

    def __init__(self, space: Space, architecture: Architecture) -> None:
        self.space = space
        self.architecture = architecture
        self.chosen: dict[str, Any] = {}
        self.drawn: dict[str, Value] = {}

    def choices(self) -> dict[str, Any]:
        """Part by part, from the stem to the head."""
        paths = [path for path, _ in self.architecture.parts]
        wanted = [part.path for part in self.space.parts]
        if len(paths) != len(wanted):
            raise self.differs("stages", f"are {len(paths) - 1}", [f"{len(wanted) - 1} stages"])
        for part, (_, described) in zip(self.space.parts, self.architecture.parts, strict=True):
            self.compare_part(part, described)
        for name, value in self.architecture.head.model_dump().items():
            default = type(self.architecture.head).model_fields[name].default
            self.compare(f"head.{name}", f"head.{name}", self.space.head.get(name, default), value)
        self.fill()
        return self.chosen

    def compare_part(self, part: PartSpace, described: Part) -> None:
        """The kind, then its fields in the order of its description."""
        kind = described.kind
        if kind not in part.alternatives:
            raise self.differs(f"{part.path}.kind", f"is {kind}", list(part.alternatives))
        if part.kind_is_open:
            self.chosen[f"{part.path}.kind"] = kind
        written = {name: (path, field) for name, path, field in part.fields(kind)}
        active = described.active()
        for name, spec in type(described).model_fields.items():
            if name in active and name != "kind":
                path, field = written.get(name, (f"{part.path}.{name}", spec.default))
                self.compare(path, f"{part.path}.{name}", field, active[name])

    def compare(self, path: str, key: str, field: Field, value: Value) -> None:
        """One field: what the architecture has there must be what the space says, or one of its options."""
        if isinstance(field, Reference):
            name = field.name
            if name in self.drawn and not same(self.drawn[name], value):
                raise self.differs(key, f"is {shown(label(value))}", [f"{label(self.drawn[name])} (${name})"])
            self.compare(f"params.{name}", key, self.space.params[name], value)
            self.drawn[name] = value
        elif isinstance(field, Choice):
            option = next((option for option in field.options if same(option, value)), None)
            if option is None:
                raise self.differs(key, f"is {shown(label(value))}", field.options)
            self.chosen[path] = label(option)
        elif isinstance(field, Listing) and isinstance(value, tuple) and len(field.items) == len(value):
            for index, (item, inner) in enumerate(zip(field.items, value, strict=True)):
                self.compare(f"{path}.{index}", f"{key}.{index}", item, inner)
        elif isinstance(field, Listing) or not same(field, value):
            raise self.differs(key, f"is {shown(label(value))}", list(values_of(field, self.space.params)))

    def fill(self) -> None:
        """Whatever is asked on the way and means nothing here: its first option."""
        for part, (_, described) in zip(self.space.parts, self.architecture.parts, strict=True):
            for _, path, field in part.fields(described.kind):
                for name, choice in open_choices(path, field, self.space.params):
                    self.chosen.setdefault(name, label(choice.options[0]))

    def differs(self, key: str, has: str, options: Sequence[object]) -> ArchitectureError:
        """The first difference, as an error."""
        some = [str(label(o) if isinstance(o, tuple) else o) for o in options[:MAX_VALUES_SHOWN]]
        more = ", ..." if len(options) > MAX_VALUES_SHOWN else ""
        what = f"{has}, and {self.space.name} has {', '.join(some)}{more}"
        problem = Problem(key, what, "open the space to it, or leave it out")
        return ArchitectureError(shown(self.architecture.name), [problem])
