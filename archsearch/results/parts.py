"""An architecture part by part: what each one is, what leaves it, what it costs, how far it reaches."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

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
        place: its name in the file: ``stem``, ``stages.0``, ..., ``head``.
        kind: what it is; of a head, how it pools.
        mixing: ``local`` or ``global``; None for a head.
        depth: its blocks, one behind the other.
        fields: what else describes it, in words: ``kernel 3``.
        out: channels, height and width behind it; of a head, its logits.
        count: what it costs.
        share: its MACs as a share of the network's, in [0, 1].
        mixers: how many spatial mixers it has.
        reach: their mean reach, in [0, 1]; None if it has none.
    """

    place: str
    kind: str
    mixing: Literal["local", "global"] | None
    depth: int
    fields: tuple[str, ...]
    out: tuple[int, ...]
    count: "PartCount"
    share: float
    mixers: int
    reach: float | None

    @property
    def macs(self) -> int:
        """Multiply-adds for one image."""
        return self.count.macs

    @property
    def params(self) -> int:
        """Trainable parameters."""
        return self.count.params

    @property
    def output(self) -> str:
        """What leaves it, in words: ``64x8x8``, ``10 logits``."""
        return "x".join(map(str, self.out)) if len(self.out) > 1 else f"{self.out[0]} logits"


def read_description(description: "str | Mapping[str, Any] | Architecture") -> "Architecture":
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
    head, count = architecture.head, counts["head"]
    share = count.macs / total
    return [*rows, PartRow("head", head.pool, None, 1, (), (architecture.classes,), count, share, 0, None)]


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
        out=astuple(part.out_shape(shape)),
        count=count,
        share=count.macs / total,
        mixers=len(mixers),
        reach=mean_reach(mixers) if mixers else None,
    )


def cost_frames(descriptions: Mapping[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Parts (``label``, ``place``, ``kind``, ``mixing``, ``params``, ``macs``) and groups (``label``, ``group``, ``macs``).

    ``descriptions`` are architectures as JSON, by the label that their rows have. MACs are for one image.
    """
    parts = [
        (label, row) for label, text in descriptions.items() for row in part_rows(read_description(text))
    ]
    names = ("place", "kind", "mixing", "params", "macs")
    rows = [{"label": label, **{name: getattr(row, name) for name in names}} for label, row in parts]
    amounts = [
        {"label": label, "group": group, "macs": macs}
        for label, row in parts
        for group, macs in row.count.by_family.items()
        if macs
    ]
    groups = pd.DataFrame(amounts, columns=["label", "group", "macs"])
    totals = groups.groupby(["label", "group"], sort=False, as_index=False).sum()
    return pd.DataFrame(rows, columns=["label", *names]), totals


def fields_of(part: "Part") -> Iterator[str]:
    """Its telling fields as words."""
    unusual = part.canonical()
    for name, value in part.active().items():
        if name not in UNSAID and (name in part.summary_fields or name in unusual):
            yield describe_field(name, value)


def describe_field(name: str, value: object) -> str:
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
    rows = part_rows(read_description(description))
    macs, params = sum(row.macs for row in rows), sum(row.params for row in rows)
    total = ("**all**", "", "", "", "", f"**{macs:,}**", "", f"**{params:,}**", "")
    return "\n".join(markdown_rows([HEADER, tuple("---" for _ in HEADER), *map(part_cells, rows), total]))


def part_cells(row: PartRow) -> tuple[str, ...]:
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


def markdown_rows(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a Markdown table; a bar inside a cell stays one."""
    yield from ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
