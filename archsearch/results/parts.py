"""An architecture part by part: what each one is, what leaves it, what it costs, how far it reaches."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from archsearch.architecture import Architecture
    from archsearch.counting import PartCount
    from archsearch.shapes import FeatureShape
    from archsearch.stages import Part

# Said elsewhere, or of no interest to a reader.
UNSAID = ("kind", "channels", "depth", "norm_eps")
HEADER = ("part", "kind", "mixing", "fields", "output", "MACs", "share", "parameters", "reach")


@dataclass(frozen=True)
class PartRow:
    """One part of an architecture, or its head.

    Attributes:
        place: where it stands in the file: ``stem``, ``stages.0``, ..., ``head``.
        kind: what it is; of a head, how it pools.
        mixing: ``local`` or ``global``; None for a head.
        depth: its blocks, one behind the other.
        fields: what else describes it, in words: ``kernel 3``.
        output: channels x height x width behind it; of a head, its logits.
        macs: multiply-adds for one image.
        share: ``macs`` as a share of the network's, in [0, 1].
        params: trainable parameters.
        reach: mean reach of its spatial mixers, in [0, 1]; None if it has none.
    """

    place: str
    kind: str
    mixing: Literal["local", "global"] | None
    depth: int
    fields: tuple[str, ...]
    output: str
    macs: int
    share: float
    params: int
    reach: float | None


def described(description: "str | Mapping[str, Any] | Architecture") -> "Architecture":
    """The architecture that a record's JSON, the same as data, or an architecture itself describes."""
    from archsearch.architecture import Architecture  # noqa: PLC0415 - torch, only when a part is described

    if isinstance(description, Architecture):
        return description
    text = description if isinstance(description, str) else json.dumps(description)
    return Architecture.model_validate_json(text)


def part_rows(architecture: "Architecture") -> list[PartRow]:
    """Stem, stages and head in order; errors as in ``counting.count_macs``."""
    from archsearch.counting import part_counts  # noqa: PLC0415 - torch

    counts = dict(part_counts(architecture))
    total = sum(count.macs for count in counts.values())
    rows = [
        part_row(place, part, shape, counts[place], total) for place, part, shape in architecture.placed()
    ]
    return [*rows, head_row(architecture, counts["head"], total)]


def part_row(place: str, part: "Part", shape: "FeatureShape", count: "PartCount", total: int) -> PartRow:
    """A stem or a stage behind a map of ``shape``, in a network of ``total`` MACs."""
    from archsearch.counting import mean_reach  # noqa: PLC0415 - torch

    mixers = part.mixers(shape)
    return PartRow(
        place=place,
        kind=part.kind,
        mixing=part.mixing(shape),
        depth=getattr(part, "depth", 1),
        fields=tuple(fields_of(part)),
        output=str(part.out_shape(shape)),
        macs=count.macs,
        share=count.macs / total,
        params=count.params,
        reach=mean_reach(mixers) if mixers else None,
    )


def head_row(architecture: "Architecture", count: "PartCount", total: int) -> PartRow:
    """The head: it pools what it reads and classifies."""
    return PartRow(
        place="head",
        kind=architecture.head.pool,
        mixing=None,
        depth=1,
        fields=(),
        output=f"{architecture.classes} logits",
        macs=count.macs,
        share=count.macs / total,
        params=count.params,
        reach=None,
    )


def fields_of(part: "Part") -> Iterator[str]:
    """Its telling fields as words."""
    unusual = part.canonical()
    for name, value in part.active().items():
        if name not in UNSAID and (name in part.summary_fields or name in unusual):
            yield words(name, value)


def words(name: str, value: object) -> str:
    """A field as one reads it: ``split kernel 3``, ``class token``, ``no qkv bias``, ``kernels 7, 3, 3``."""
    title = name.replace("_", " ")
    if isinstance(value, bool):
        return title if value else f"no {title}"
    if isinstance(value, (list, tuple)):
        return f"{title} {', '.join(map(str, value)) or 'none'}"
    return f"{title} {value:g}" if isinstance(value, float) else f"{title} {value}"


def architecture_table(description: "str | Mapping[str, Any] | Architecture") -> str:
    """The parts as a Markdown table, the whole network in its last row.

    Columns: place, kind with its depth, mixing, telling fields, output (C x H x W), MACs for one image and
    their share, trainable parameters, mean reach of the mixers (0 nothing, 1 the whole map).
    """
    rows = part_rows(described(description))
    macs, params = sum(row.macs for row in rows), sum(row.params for row in rows)
    total = ("**all**", "", "", "", "", f"**{macs:,}**", "", f"**{params:,}**", "")
    return "\n".join(markdown([HEADER, tuple("---" for _ in HEADER), *map(cells, rows), total]))


def cells(row: PartRow) -> tuple[str, ...]:
    """One part as the table shows it."""
    return (
        row.place,
        row.kind if row.depth == 1 else f"{row.kind} x {row.depth}",
        row.mixing or "",
        ", ".join(row.fields),
        row.output,
        f"{row.macs:,}",
        f"{row.share:.0%}",
        f"{row.params:,}",
        "" if row.reach is None else f"{row.reach:.2f}",
    )


def markdown(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a Markdown table; a bar inside a cell stays one."""
    yield from ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
