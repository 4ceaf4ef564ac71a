"""Parameters, multiply-accumulates and activations of an architecture, for one image.

Double the MACs to compare with a paper that counts a multiply and an add apart. Each distinct block is
counted once and remembered, in memory and in ``counting/cache.py``'s file.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from archsearch.architecture import Architecture
from archsearch.counting.cache import remembered
from archsearch.counting.meta_trace import MixerCosts, OpCosts, trace_costs
from archsearch.counting.op_counters import FAMILIES
from archsearch.shapes import FeatureShape
from archsearch.stages import Head, Mixer, Part

PACKAGE = Path(__file__).parent.parent
NO_WORK = OpCosts()
NO_MIXERS = MixerCosts()


@dataclass(frozen=True)
class PartCount:
    """What one part costs: trainable parameters, frozen ones, its work by group of operators, its mixers'."""

    params: int
    frozen: int
    work: Mapping[str, OpCosts]
    mixed: MixerCosts = NO_MIXERS

    @property
    def by_family(self) -> dict[str, int]:
        """MACs by operator family."""
        return {family: self._total(groups, "macs") for family, groups in FAMILIES.items()}

    @property
    def activations_by_family(self) -> dict[str, int]:
        """Elements that convolutions, linear layers and matrix products write, by operator family."""
        written = {family: groups for family, groups in FAMILIES.items() if family != "other"}
        return {family: self._total(groups, "elements") for family, groups in written.items()}

    @property
    def macs(self) -> int:
        """MACs over all families."""
        return sum(work.macs for work in self.work.values())

    def _total(self, groups: Sequence[str], amount: str) -> int:
        return sum(getattr(self.work[group], amount) for group in groups if group in self.work)

    @property
    def activations(self) -> int:
        """Activations over all families."""
        return sum(self.activations_by_family.values())

    def as_data(self) -> list[Any]:
        """The count as JSON holds it."""
        work = {group: astuple(costs) for group, costs in self.work.items()}
        return [self.params, self.frozen, work, astuple(self.mixed)]

    @classmethod
    def from_data(cls, data: list[Any]) -> "PartCount":
        """The count that ``as_data`` gave."""
        params, frozen, by_group, mixed = data
        work = {group: OpCosts(*amounts) for group, amounts in by_group.items()}
        return cls(params, frozen, work, MixerCosts(*mixed))

    def __add__(self, other: "PartCount") -> "PartCount":
        both = {g: self.work.get(g, NO_WORK) + other.work.get(g, NO_WORK) for g in (*self.work, *other.work)}
        work = {group: costs for group, costs in both.items() if costs != NO_WORK}
        params, frozen = self.params + other.params, self.frozen + other.frozen
        return PartCount(params, frozen, work, self.mixed + other.mixed)

    def __mul__(self, times: int) -> "PartCount":
        work = {group: work * times for group, work in self.work.items()}
        return PartCount(self.params * times, self.frozen * times, work, self.mixed * times)


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of one forward pass for one image.

    ``by_stage`` is keyed by place in the file (``stem``, ``stages.0``, ..., ``head``); ``by_family`` by
    ``convolution``, ``projection``, ``attention product``, ``MLP``, ``soft split`` and ``other`` (norms).
    """

    total: int
    by_stage: Mapping[str, int]
    by_family: Mapping[str, int]

    @property
    def without_norms(self) -> int:
        """Convolutions, linear layers and attention products alone: what papers count."""
        return self.total - self.by_family["other"]


def count_macs(architecture: Architecture) -> Macs:
    """MACs of ``architecture`` for one image.

    Raises:
        ArchitectureError: no network can be built from it.
        UncountedOperationError: it contains an operator that has no counter and is not negligible.
    """
    parts = dict(part_counts(architecture))
    by_stage = {place: part.macs for place, part in parts.items()}
    return Macs(sum(by_stage.values()), by_stage, summed(part.by_family for part in parts.values()))


def count_params(architecture: Architecture) -> int:
    """Trainable parameters of ``architecture``."""
    return sum(count.params for _, count in part_counts(architecture))


def count_activations(architecture: Architecture) -> int:
    """Elements that convolutions, linear layers and matrix products write for one image."""
    return sum(count.activations for _, count in part_counts(architecture))


def count_frozen(architecture: Architecture) -> int:
    """Parameters that are never trained: sinusoidal positions, the random directions of performers.

    Published counts include them, or leave them out.
    """
    return sum(count.frozen for _, count in part_counts(architecture))


def summed(amounts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Amounts by name, added up."""
    total: Counter[str] = Counter()
    for some in amounts:
        total.update(some)
    return dict(total)


def part_counts(architecture: Architecture) -> Iterator[tuple[str, PartCount]]:
    """What each part and the head cost, with their places; each distinct part is counted once."""
    for place, part, shape in architecture.placed():
        yield place, count_part(part, shape)
    yield "head", count_head(architecture.head, architecture.shapes()[-1], architecture.classes)


@lru_cache(maxsize=16_384)
def count_part(part: Part, shape: FeatureShape) -> PartCount:
    """The cost of one part behind a map of ``shape``, by its pieces; remembered."""
    return sum(
        (count_built(piece.part, piece.shape) * piece.times for piece in part.cost_terms(shape)),
        start=PartCount(0, 0, {}),
    )


@lru_cache(maxsize=16_384)
def count_built(part: Part, shape: FeatureShape) -> PartCount:
    """The cost of one part, built as a whole; remembered, on the disk too where its code is known."""
    source = user_source(type(part))
    if source is None:
        return counted_part(part, shape)
    text = f"{part.model_dump_json()} {shape}{source}"
    return PartCount.from_data(remembered(text, lambda: counted_part(part, shape).as_data()))


@lru_cache(maxsize=256)
def user_source(kind: type[Part]) -> str | None:
    """The file of a user's kind, whose code is in no fingerprint; empty for our kinds, None if there is no file."""
    try:
        file = Path(inspect.getfile(kind))
        return "" if file.is_relative_to(PACKAGE) else file.read_text(encoding="utf-8")
    except (TypeError, OSError):  # written in a notebook
        return None


def counted_part(part: Part, shape: FeatureShape) -> PartCount:
    """The cost of one part, whose module must have the mixers that it promises."""
    return count(lambda: part.build(shape), shape, part.mixers(shape))


@lru_cache(maxsize=1_024)
def count_head(head: Head, shape: FeatureShape, classes: int) -> PartCount:
    """The cost of a head behind a map of ``shape``; remembered."""
    return count(lambda: head.build(shape.channels, classes), shape)


def count(
    build: Callable[[], nn.Module], shape: FeatureShape, promised: Sequence[Mixer] | None = None
) -> PartCount:
    """Parameters and work of the module that ``build`` makes, for one map of ``shape``; errors as in ``trace_costs``."""
    module, work, mixed = trace_costs(build, shape, promised)
    params: Counter[bool] = Counter()
    for parameter in module.parameters():
        params[parameter.requires_grad] += parameter.numel()
    return PartCount(params[True], params[False], work, mixed)
