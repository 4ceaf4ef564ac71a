"""The contract of a part: a frozen description that checks, measures and builds its own module."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from archsearch.errors import Problem
from archsearch.shapes import FeatureShape, split_padding
from archsearch.stages.mixers import Mixer

Mixing = Literal["local", "global"]
Channels = Annotated[int, Field(ge=1, le=16_384)]
Depth = Annotated[int, Field(ge=1, le=256)]
Kernel = Annotated[int, Field(ge=1, le=255)]
Stride = Annotated[int, Field(ge=1, le=64)]
Heads = Annotated[int, Field(ge=1, le=256)]
Ratio = Annotated[float, Field(gt=0, le=16)]
Epsilon = Annotated[float, Field(gt=0, le=1e-2)]

# The published networks use 3x3 convolutions, padded by one, and stride by 2 on maps down to 1x1.
ALWAYS_FITS = 3
ALWAYS_STRIDES = 2
# One head's attention weights for one image at this many tokens fill 1 GiB in float32.
MAX_TOKENS = 16_384


@dataclass(frozen=True)
class InactiveWhen:
    """A field says nothing while ``field`` has one of the values ``at``: it is no part of the identity then."""

    field: str
    at: tuple[object, ...]


class CostTerm(NamedTuple):
    """A part behind a map, counted ``times`` times; below zero where it stands for what another one lacks."""

    part: "Part"
    shape: FeatureShape
    times: int


@dataclass(frozen=True)
class SwapRules:
    """What a matched swap knows of a kind; see ``space.swap``.

    Attributes:
        alike: fields that mean the same in every kind that names them here, beside channels, depth and stride.
        inner_width: the field that sets the inner width, as a ratio to the channels.
        halved: the field that is halved where no width is near enough.
    """

    alike: tuple[str, ...] = ()
    inner_width: str | None = None
    halved: str | None = None


class ModuleCall(NamedTuple):
    """What a part builds: a class or a function of torch alone, and what it is called with.

    The arguments are plain: numbers, strings, tuples, and frozen specs whose ``repr`` is their call. A standalone
    file holds the same call, and the source of what it names.
    """

    make: Callable[..., nn.Module]
    arguments: Mapping[str, Any]


class MapAndTokens(NamedTuple):
    """What a last stage with tokens of its own returns: the map ``(B, C, H, W)``, its tokens ``(B, T, C)``.

    The class token is the first one; a distillation token the second.
    """

    map: Tensor
    tokens: Tensor


class Part(BaseModel, ABC):
    """A stem or a stage of a backbone.

    A new kind is one new file with one subclass, and its name in ``stages/__init__.py``; with an example in
    ``tests/examples.py`` every contract test checks it.

    Attributes:
        letter: the kind in a layout; stems and stages have letters of their own.
        summary_fields: what a table or a drawing says even where it has its usual value.
        mark: colour and shape of the kind in pictures.
        token_fields: truth values that put a token of the stage's own beside those of the map, for the head.
        inactive_when: fields that say nothing while another one has some value.
        swap_rules: what a matched swap may do with it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: str
    letter: ClassVar[str]
    summary_fields: ClassVar[tuple[str, ...]] = ()
    mark: ClassVar[tuple[str, str]] = ("0.4", "D")
    token_fields: ClassVar[tuple[str, ...]] = ()
    inactive_when: ClassVar[Mapping[str, InactiveWhen]] = {}
    swap_rules: ClassVar[SwapRules] = SwapRules()

    @abstractmethod
    def problems(self, shape: FeatureShape) -> list[Problem]:
        """Why this part cannot follow a map of ``shape``, by arithmetic alone; empty if it can."""

    @abstractmethod
    def out_shape(self, shape: FeatureShape) -> FeatureShape:
        """The map that this part returns for one of ``shape``; agrees with ``build``."""

    @abstractmethod
    def module(self, shape: FeatureShape) -> ModuleCall:
        """What makes the module that maps ``(B, *shape)`` to ``(B, *self.out_shape(shape))``."""

    @abstractmethod
    def mixers(self, shape: FeatureShape) -> list[Mixer]:
        """Its spatial mixers in order, for an input of ``shape``; 1x1 convolutions and MLPs are none."""

    @classmethod
    def fields_at_stride(cls, stride: int) -> dict[str, Any]:  # noqa: ARG003 - a kind may need it
        """Fields whose usual value depends on the stride, with that value."""
        return {}

    def mixing(self, shape: FeatureShape) -> Mixing:
        """Global if one of its mixers is, on the map that it has behind an input of ``shape``."""
        return "global" if any(mixer.is_global for mixer in self.mixers(shape)) else "local"

    def build(self, shape: FeatureShape) -> nn.Module:
        """A fresh module: ``(B, *shape)`` to ``(B, *self.out_shape(shape))``."""
        make, arguments = self.module(shape)
        return make(**arguments)

    def cost_terms(self, shape: FeatureShape) -> list["CostTerm"]:
        """Simpler parts whose costs, each so many times, add up to this one's behind a map of ``shape``.

        The fewer distinct pieces the parts of a space have, the less there is to count or to time.
        """
        return [CostTerm(self, shape, 1)]

    def active(self) -> dict[str, Any]:
        """The fields that mean something here, ``kind`` first."""
        fields = self.model_dump()
        silent = {name for name, rule in self.inactive_when.items() if fields[rule.field] in rule.at}
        return {name: value for name, value in fields.items() if name not in silent}

    def canonical(self) -> dict[str, Any]:
        """The active fields that differ from their defaults, and ``kind``: what identity is made of.

        A field added later, with a default that keeps the old meaning, so keeps every old id.
        """
        fields = type(self).model_fields
        return {n: v for n, v in self.active().items() if n == "kind" or v != fields[n].default}


def registry(kinds: Iterable[type[Part]]) -> dict[str, type[Part]]:
    """The kinds by their names.

    Raises:
        ValueError: two of them have one name, or one letter.
    """
    by_name: dict[str, type[Part]] = {}
    by_letter: dict[str, type[Part]] = {}
    for kind in kinds:
        name = kind.model_fields["kind"].default
        for what, key, known in (("name", name, by_name), ("letter", kind.letter, by_letter)):
            if key in known:
                raise ValueError(f"{known[key].__name__} and {kind.__name__} have one {what}: {key!r}")
            known[key] = kind
    return by_name


def too_large(field: str, size: int, largest: int, shape: FeatureShape) -> list[Problem]:
    """A window or a step may have at most ``largest`` places on a map of ``shape``."""
    if size <= largest:
        return []
    what = f"{size} is larger than the {shape.height}x{shape.width} map that arrives here"
    return [Problem(field, what, f"use at most {largest}, or stride less before it")]


def kernel_problems(kernel: int, shape: FeatureShape, field: str, always: int = ALWAYS_FITS) -> list[Problem]:
    """A window must fit into the map that it slides over; one of up to ``always`` is never refused."""
    return too_large(field, kernel, max(min(shape.height, shape.width), always), shape)


def centred_problems(kernel: int, shape: FeatureShape) -> list[Problem]:
    """The kernel of a convolution that keeps its place: it fits the map, and has a centre."""
    if kernel % 2 == 0:
        return [Problem("kernel", f"{kernel} is even and has no centre", f"use {kernel - 1} or {kernel + 1}")]
    largest = max(min(shape.height, shape.width), ALWAYS_FITS)
    largest -= largest % 2 == 0
    problems = kernel_problems(kernel, shape, "kernel")
    return [replace(p, remedy=f"use an odd one up to {largest}, or stride less before it") for p in problems]


def stride_problems(stride: int, shape: FeatureShape) -> list[Problem]:
    """A stride fits into the larger side of the map; one of up to ``ALWAYS_STRIDES`` is never refused."""
    return too_large("stride", stride, max(shape.height, shape.width, ALWAYS_STRIDES), shape)


def split_problems(kernel: int, stride: int, shape: FeatureShape, field: str) -> list[Problem]:
    """The windows of a soft split fit the map, and overlap or touch: none may leave pixels out between them."""
    if found := kernel_problems(kernel, shape, field):
        return found
    if kernel < stride:
        what = f"windows of {kernel} at stride {stride} leave pixels out between them"
        return [Problem(field, what, f"use a kernel of at least {stride}, or a smaller stride")]
    if kernel > min(shape.height, shape.width) + 2 * split_padding(kernel, stride):
        what = f"no window of {kernel} at stride {stride} fits into the {shape.height}x{shape.width} map"
        return [Problem(field, what, "use a smaller kernel, or stride less, here or before it")]
    return []


def sharing_problems(field: str, parts: int, width: int, meaning: str) -> list[Problem]:
    """Heads or groups share a width equally."""
    if width % parts == 0:
        return []
    what = f"{parts} {field} do not divide {meaning} of {width}"
    return [Problem(field, what, f"use {field} that divide it, or another width")]


def attention_problems(shape: FeatureShape, field: str, most: int = MAX_TOKENS) -> list[Problem]:
    """Attention weights grow with the square of the tokens; beyond ``most`` nothing should be built."""
    if shape.tokens <= most:
        return []
    what = f"attention over the {shape.height}x{shape.width} map would compare {shape.tokens} tokens"
    return [Problem(field, what, f"stride more before it: at most {most} tokens are built")]


def whole_width(channels: int, ratio: float) -> int:
    """``channels * ratio`` where that is a whole number of at least 1, else 0."""
    width = channels * ratio
    return round(width) if abs(width - round(width)) < 1e-6 else 0


def ratio_problems(field: str, channels: int, ratio: float) -> list[Problem]:
    """An inner width, ``ratio`` times the channels, is a whole number of at least 1."""
    if whole_width(channels, ratio):
        return []
    what = f"{ratio:g} of {channels} channels is no whole number"
    return [Problem(field, what, f"use another {field}, or channels that it divides evenly")]
