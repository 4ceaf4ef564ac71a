"""Every option of every field, tried on its own: what a part's description says about its values."""

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from archsearch.errors import Problem, nearest, one_of, shown
from archsearch.space.grammar import Field, Listing, PartSpace, Value, label, values_of

NATURES = {bool: "a truth value", int: "an integer", float: "a decimal number", str: "text", tuple: "a list"}
EXPECTED = {
    "int_type": "write an integer",
    "float_type": "write a number",
    "bool_type": "write true or false",
    "string_type": "write a word",
    "tuple_type": "write a list such as [3, 3]",
}
BOUNDS = {
    "greater_than_equal": ("ge", "too small", "at least"),
    "greater_than": ("gt", "too small", "more than"),
    "less_than": ("lt", "too large", "less than"),
    "less_than_equal": ("le", "too large", "at most"),
}


def part_problems(
    part: PartSpace, params: Mapping[str, Field], unreadable: Collection[str]
) -> Iterator[Problem]:
    """Unknown, missing and impossible fields of every alternative of one stem or stage.

    ``unreadable`` are places that were written and could not be read: they are not missing too.
    """
    common = list(dict.fromkeys(n for kind in part.alternatives for n in field_names(part.kinds[kind])))
    strangers = [name for name in part.shared if name not in common]
    for name in strangers if part.alternatives else ():
        yield Problem(f"{part.path}.{name}", "no kind written here has such a field", one_of(common, name))
    for kind in part.alternatives:
        fields = {name: (path, f) for name, path, f in part.fields(kind) if name not in strangers}
        yield from field_problems(part.kinds[kind], fields, params, role_of(part, kind))
        yield from missing_fields(part, kind, unreadable)


def missing_fields(part: PartSpace, kind: str, unreadable: Collection[str]) -> Iterator[Problem]:
    """Fields that one alternative needs and that were not written, nor meant by a misspelt one."""
    spec = part.kinds[kind]
    written = [name for name, _, _ in part.fields(kind)]
    own = f"{part.path}.{kind}" if part.kind_is_open else part.path
    meant = {nearest(field_names(spec), name) for name in written if name not in spec.model_fields}
    for name in required_fields(spec):
        paths = {f"{part.path}.{name}", f"{own}.{name}"}
        if name not in written and name not in meant and not paths & set(unreadable):
            what = f"missing: {role_of(part, kind)} needs it"
            yield Problem(f"{own}.{name}", what, "write a value or {choice: [...]}")


def role_of(part: PartSpace, kind: str) -> str:
    """What a message calls an alternative: ``a conv stage``."""
    return f"a {kind} {part.path.split('.', maxsplit=1)[0].removesuffix('s')}"


def field_names(spec: type[BaseModel]) -> list[str]:
    """The fields that a file may write, apart from the kind itself."""
    return [name for name in spec.model_fields if name != "kind"]


def field_problems(
    spec: type[BaseModel],
    fields: Mapping[str, tuple[str, Field]],
    params: Mapping[str, Field],
    role: str,
) -> Iterator[Problem]:
    """Fields that ``spec`` does not have, and options that it does not take."""
    known = field_names(spec)
    for name, (path, field) in fields.items():
        if name not in known:
            yield Problem(path, f"{role} has no such field", one_of(known, name))
            continue
        for option in each_option(field, params):
            yield from option_problems(spec, name, option, path)


def required_fields(spec: type[BaseModel]) -> list[str]:
    """Fields without a default."""
    return [name for name, field in spec.model_fields.items() if field.is_required()]


def each_option(field: Field, params: Mapping[str, Field]) -> Iterator[Value]:
    """Values in which every option stands at least once; of a list, few instead of all combinations."""
    if not isinstance(field, Listing):
        yield from values_of(field, params)
        return
    by_item = [list(values_of(item, params)) for item in field.items]
    if all(by_item):
        for row in range(max(map(len, by_item))):
            yield tuple(values[min(row, len(values) - 1)] for values in by_item)


def option_problems(spec: type[BaseModel], name: str, option: Value, path: str) -> Iterator[Problem]:
    """What is wrong with one value of one field."""
    try:
        adapter(spec, name).validate_python(option)
    except ValidationError as error:
        details = error.errors()
        # A list with a bad item is also called too short by pydantic, which drops the item first.
        for detail in [d for d in details if d["loc"]] or details:
            index = "".join(f".{step}" for step in detail["loc"] if isinstance(step, int))
            what, remedy = explain(detail, spec, name)
            yield Problem(path + index, what, remedy)


@lru_cache(maxsize=256)
def adapter(spec: type[BaseModel], name: str) -> TypeAdapter[Any]:
    """A validator for one field, as strict as the whole description."""
    return TypeAdapter(field_type(spec, name), config=ConfigDict(strict=True))


def plain_number(bound: float) -> str:
    """A bound as one would write it: 1 for 1.0, and no exponent for a count."""
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def field_type(spec: type[BaseModel], name: str) -> Any:
    """The annotation of a field with its bounds."""
    field = spec.model_fields[name]
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def explain(detail: ErrorDetails, spec: type[BaseModel], name: str) -> tuple[str, str]:
    """What pydantic found, in the words of this file: what is wrong, and what to write."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    text = shown(label(value))
    if kind == "literal_error":
        return f"{text} is unknown", one_of(
            [str(word) for word in get_args(field_type(spec, name))], str(value)
        )
    if kind == "unknown_word":
        return f"{text} is unknown", one_of(context["known"].split(", "), str(value))
    if kind in BOUNDS:
        bound, fault, word = BOUNDS[kind]
        return f"{text} is {fault}", f"write {word} {plain_number(context[bound])}"
    if kind in ("too_short", "too_long"):
        limit = context.get("min_length", context.get("max_length"))
        return (
            f"{text} has {context['actual_length']} items",
            f"write {'at least' if kind == 'too_short' else 'at most'} {limit}",
        )
    return f"{text} is {NATURES.get(type(value), 'no value')}", EXPECTED.get(kind, detail["msg"].lower())
