"""A search space: an architecture with holes, what may fill them, and what every point must respect."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict
from pydantic import Field as PydanticField

from archsearch.architecture import Architecture, Image
from archsearch.counting import count_macs, count_params
from archsearch.errors import InfeasibleError
from archsearch.space.document import Table
from archsearch.space.grammar import Choice, Field, Listing, PartSpace, Reference, Value, label, written
from archsearch.space.size import count_architectures
from archsearch.trial import RandomTrial, Trial

MAX_DRAWS = 1_000


def total_macs(architecture: Architecture) -> int:
    """MACs for one image."""
    return count_macs(architecture).total


# How each objective that needs no device is counted.
COUNTERS: dict[str, Callable[[Architecture], int]] = {"params": count_params, "macs": total_macs}


class Published(BaseModel):
    """What others printed about a network, and where: amounts for one image, ``top1`` on ImageNet-1k in [0, 1]."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    source: str
    params: Annotated[int, PydanticField(ge=1)] | None = None
    macs: Annotated[int, PydanticField(ge=1)] | None = None
    top1: Annotated[float, PydanticField(gt=0, le=1)] | None = None


@dataclass(frozen=True)
class Space:
    """What may be built. A Space that was loaded can be sampled without errors.

    ``limits`` bounds ``params`` and ``macs``. ``references`` are points of it that a search evaluates first.
    ``published`` is what others say of the one network of an architecture file. ``study`` holds the file's
    own defaults for a search, unread.
    """

    name: str
    image: Image
    classes: int
    params: Mapping[str, Field]
    stem: PartSpace
    stages: tuple[PartSpace, ...]
    head: Mapping[str, Field]
    limits: Mapping[str, int]
    references: tuple[Architecture, ...] = ()
    published: Published | None = field(default=None, compare=False)
    study: Table | None = field(default=None, compare=False)

    @property
    def parts(self) -> tuple[PartSpace, ...]:
        """The stem, then the stages."""
        return (self.stem, *self.stages)

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits of the canonical space: comments, layout and the order of keys change nothing."""
        text = json.dumps(self.canonical(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def canonical(self) -> dict[str, Any]:
        """What may be built, as plain data: no comments, no layout, no name, no references, no study."""
        return {
            "image": self.image.model_dump(),
            "classes": self.classes,
            "params": {name: written(value) for name, value in self.params.items()},
            "parts": [part_as_written(part) for part in self.parts],
            "head": {name: written(value) for name, value in self.head.items()},
            "limits": dict(self.limits),
        }

    def open_fields(self) -> list[str]:
        """The parameters that can be drawn, named by their place in the file."""
        names: list[str] = []
        for part in self.parts:
            names += [f"{part.place}.kind"] if part.kind_is_open else []
            for kind in part.alternatives:
                names += [
                    n for _, place, value in part.fields(kind) for n in asked(place, value, self.params)
                ]
        names += [n for name, value in self.head.items() for n in asked(f"head.{name}", value, self.params)]
        return list(dict.fromkeys(names))

    def size(self) -> int:
        """The exact number of distinct architectures: a choice counts only where it means something."""
        return count_architectures(self.parts, self.head, self.params)

    def sample(self, trial: Trial) -> Architecture:
        """The architecture that ``trial`` chooses, asked for every open field that is active.

        ``stages.0.conv.kernel`` is the kernel of the first stage as a convolution. The result may be
        unbuildable (``Architecture.problems``) or beyond a limit (``violations``).
        """
        walk = Walk(self.params, trial)
        document = {
            "name": self.name,
            "image": self.image,
            "classes": self.classes,
            "stem": walk.part(self.stem),
            "stages": tuple(walk.part(stage) for stage in self.stages),
            "head": {name: walk.value(f"head.{name}", value) for name, value in self.head.items()},
        }
        return Architecture.model_validate(document)

    def draw(self, seed: int) -> Architecture:
        """One random buildable architecture within the limits; the same one for the same seed.

        Raises:
            InfeasibleError: none of 1,000 draws is feasible; says which limit failed how often.
        """
        failures: Counter[str] = Counter()
        for architecture in self.draws(seed, MAX_DRAWS):
            reasons_against = self.reasons_against(architecture)
            if not reasons_against:
                return architecture
            failures.update(reasons_against)
        reasons = ", ".join(f"{reason}: {count}" for reason, count in failures.most_common())
        raise InfeasibleError(
            f"{self.name}: none of {MAX_DRAWS} drawn architectures is feasible ({reasons}); "
            "raise the limit that fails most, or open smaller options"
        )

    def draws(self, seed: int, count: int) -> Iterator[Architecture]:
        """``count`` random points, feasible or not."""
        trial = RandomTrial(random.Random(seed))  # noqa: S311 - nothing secret is drawn
        return (self.sample(trial) for _ in range(count))

    def reasons_against(self, architecture: Architecture) -> list[str]:
        """Why a point is not feasible: it cannot be built, or exceeds limits; empty if it is."""
        return ["cannot be built"] if architecture.problems() else self.broken_limits(architecture)

    def violations(self, architecture: Architecture) -> dict[str, float]:
        """Cost minus limit for every limit, by name; above 0 means too much."""
        return {
            name: float(COUNTERS[name](architecture) - limit) for name, limit in sorted(self.limits.items())
        }

    def broken_limits(self, architecture: Architecture) -> list[str]:
        """The limits that ``architecture`` exceeds, as ``macs > 40,000,000``."""
        over = self.violations(architecture)
        return [f"{name} > {self.limits[name]:,}" for name, excess in over.items() if excess > 0]


class Walk:
    """One passage through a space: asks for what is open, and for each of ``params`` at most once."""

    def __init__(self, params: Mapping[str, Field], trial: Trial) -> None:
        self.params = params
        self.trial = trial
        self.drawn: dict[str, Value] = {}

    def part(self, part: PartSpace) -> dict[str, Value]:
        """Kind and fields of one stem or stage."""
        kind = next(iter(part.alternatives))
        if part.kind_is_open:
            kind = self.trial.suggest_categorical(f"{part.place}.kind", sorted(part.alternatives))
        # By name and not as written: files of one fingerprint ask the same questions in the same order.
        fields = sorted(part.fields(kind), key=lambda entry: entry[0])
        return {"kind": kind, **{name: self.value(place, value) for name, place, value in fields}}

    def value(self, place: str, field: Field) -> Value:
        """What stands in one field."""
        if isinstance(field, Choice):
            return self.choose(place, field)
        if isinstance(field, Listing):
            return tuple(self.value(f"{place}.{index}", item) for index, item in enumerate(field.items))
        if isinstance(field, Reference):
            if field.name not in self.drawn:
                self.drawn[field.name] = self.value(f"params.{field.name}", self.params[field.name])
            return self.drawn[field.name]
        return field

    def choose(self, place: str, choice: Choice) -> Value:
        """One option; lists travel as text, which is all that a study can store."""
        by_label = {label(option): option for option in choice.options}
        return by_label[self.trial.suggest_categorical(place, list(by_label))]


def asked(place: str, field: Field, params: Mapping[str, Field]) -> list[str]:
    """The parameters that one field asks for."""
    return [name for name, _ in open_choices(place, field, params)]


def open_choices(place: str, field: Field, params: Mapping[str, Field]) -> Iterator[tuple[str, Choice]]:
    """The choices that one field asks for, with their parameter names."""
    if isinstance(field, Choice):
        yield place, field
    elif isinstance(field, Reference):
        yield from open_choices(f"params.{field.name}", params[field.name], params)
    elif isinstance(field, Listing):
        for index, item in enumerate(field.items):
            yield from open_choices(f"{place}.{index}", item, params)


def part_as_written(part: PartSpace) -> dict[str, Any]:
    """A stem or stage as plain data."""
    return {
        "open": part.kind_is_open,
        "shared": {name: written(value) for name, value in part.shared.items()},
        "kinds": {k: {n: written(v) for n, v in fields.items()} for k, fields in part.alternatives.items()},
    }
