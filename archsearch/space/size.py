"""How many distinct architectures a space holds, exactly.

Alternatives add and fields multiply, with two corrections. A field that means nothing beside another
field's value (the expansion of a basic block) is not multiplied there. A parameter of ``params`` is one
choice for the whole file, so it multiplies once, and only where some active field uses it: counts are
therefore kept apart by the set of parameters that their architectures use, and multiplied at the end.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product
from math import prod

from archsearch.space.grammar import Field, Listing, PartSpace, Reference, Value, count_of, values_of
from archsearch.stages import Part

ANY = -1
# For each parameter in use, the one option it must have (its index), or ANY of them.
Uses = frozenset[tuple[str, int]]
Counts = Counter[Uses]
ONE: Counts = Counter({frozenset(): 1})


def count_architectures(
    parts: tuple[PartSpace, ...], head: Mapping[str, Field], params: Mapping[str, Field]
) -> int:
    """Distinct architectures over all parts."""
    total = ONE
    for part in parts:
        total = times(total, count_part(part, params))
    for field in head.values():
        total = times(total, count_field(field, params))
    return sum(n * prod(freedom(use, params) for use in uses) for uses, n in total.items())


def freedom(use: tuple[str, int], params: Mapping[str, Field]) -> int:
    """How many values a used parameter may still take."""
    name, option = use
    return count_of(params[name], params) if option == ANY else 1


def count_part(part: PartSpace, params: Mapping[str, Field]) -> Counts:
    """The alternatives of one stem or stage, added up."""
    total: Counts = Counter()
    for kind in part.alternatives:
        fields = {name: field for name, _, field in part.fields(kind)}
        total.update(count_fields(part.kinds[kind], fields, params))
    return total


def count_fields(spec: type[Part], fields: Mapping[str, Field], params: Mapping[str, Field]) -> Counts:
    """The fields of one alternative, multiplied for each setting of the fields that silence others."""
    deciding = sorted({rule.field for rule in spec.inactive_when.values()} & fields.keys())
    total: Counts = Counter()
    for setting in product(*(settings(fields[name], params) for name in deciding)):
        values = dict(zip(deciding, (value for value, _ in setting), strict=True))
        counts = ONE
        for _, used in setting:
            counts = times(counts, used)
        for name, field in fields.items():
            if name not in values and not is_silent(spec, name, values):
                counts = times(counts, count_field(field, params))
        total.update(counts)
    return total


def is_silent(spec: type[Part], name: str, values: Mapping[str, Value]) -> bool:
    """Whether the field ``name`` means nothing while its deciding field has its value."""
    rule = spec.inactive_when.get(name)
    if rule is None:
        return False
    return bool(values.get(rule.field, spec.model_fields[rule.field].default) in rule.at)


def settings(field: Field, params: Mapping[str, Field]) -> Iterator[tuple[Value, Counts]]:
    """Each value of a deciding field, with the one architecture-part that it stands for."""
    if isinstance(field, Reference):
        for index, value in enumerate(values_of(field, params)):
            yield value, Counter({frozenset({(field.name, index)}): 1})
    else:
        yield from ((value, ONE) for value in values_of(field, params))


def count_field(field: Field, params: Mapping[str, Field]) -> Counts:
    """The values of one field."""
    if isinstance(field, Reference):
        return Counter({frozenset({(field.name, ANY)}): 1})
    if isinstance(field, Listing):
        total = ONE
        for item in field.items:
            total = times(total, count_field(item, params))
        return total
    return Counter({frozenset(): count_of(field, params)})


def times(one: Counts, other: Counts) -> Counts:
    """All pairs whose demands on the parameters agree."""
    total: Counts = Counter()
    for (uses, n), (more, m) in product(one.items(), other.items()):
        merged = merge(uses, more)
        if merged is not None:
            total[merged] += n * m
    return total


def merge(uses: Uses, more: Uses) -> Uses | None:
    """Both demands at once: a fixed option is stronger than ANY; None if they contradict."""
    demands = dict(uses)
    for name, option in more:
        earlier = demands.get(name, ANY)
        if ANY not in (earlier, option) and earlier != option:
            return None
        demands[name] = max(earlier, option)
    return frozenset(demands.items())
