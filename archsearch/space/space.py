"""A search space: an architecture with holes, what may fill them, and what every point must respect."""

import hashlib
import json
import math
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
from archsearch.trial import MAX_DRAWS, RandomTrial, Trial


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
    limits: Mapping[str, float]
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
            names += [f"{part.path}.kind"] if part.kind_is_open else []
            for kind in part.alternatives:
                names += [n for _, path, value in part.fields(kind) for n in asked(path, value, self.params)]
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
        for architecture in self.draws(seed, MAX_DRAWS):
            if not self.violations(architecture):
                return architecture
        raise InfeasibleError(
            f"{self.name}: {self.explain_infeasible(seed)}; raise the limit that fails most, or open smaller options"
        )

    def draws(self, seed: int, count: int) -> Iterator[Architecture]:
        """``count`` random points, feasible or not."""
        trial = RandomTrial(random.Random(seed))  # noqa: S311 - nothing secret is drawn
        return (self.sample(trial) for _ in range(count))

    def violations(self, architecture: Architecture) -> list[str]:
        """Why a point is not feasible: ``cannot be built``, or limits such as ``macs > 40,000,000``; empty if it is."""
        if architecture.problems():
            return ["cannot be built"]
        over = self.excess(architecture)
        return [f"{name} > {self.limits[name]:,.15g}" for name, excess in over.items() if excess > 0]

    def excess(self, architecture: Architecture) -> dict[str, float]:
        """Cost minus limit for every limit, by name; above 0 means too much."""
        return {
            name: float(COUNTERS[name](architecture) - limit) for name, limit in sorted(self.limits.items())
        }

    def explain_infeasible(self, seed: int) -> str:
        """What 1,000 random points say of the limits: how many keep them, which is nearest, which limit fails most."""
        reasons: Counter[str] = Counter()
        nearest: tuple[float, str] = (math.inf, "")
        feasible = 0
        for architecture in self.draws(seed, MAX_DRAWS):
            against = self.violations(architecture)
            feasible += not against
            reasons.update(against)
            if against and against != ["cannot be built"]:
                nearest = min(nearest, self.distance(architecture))
        sentences = [f"{feasible:,} of {MAX_DRAWS:,} drawn candidates are feasible by what can be counted"]
        sentences += [f"nearest: {nearest[1]}"] if nearest[1] else []
        failed = ", ".join(f"{reason} ({count:,})" for reason, count in reasons.most_common())
        return "; ".join([*sentences, *([f"what failed most: {failed}"] if failed else [])])

    def distance(self, architecture: Architecture) -> tuple[float, str]:
        """By which factor an architecture is over its worst limit, and it in words."""
        costs = {name: COUNTERS[name](architecture) for name in sorted(self.limits)}
        worst = max(costs, key=lambda name: costs[name] / self.limits[name])
        said = f"{architecture.layout} with {costs[worst]:,} {worst} (limit {self.limits[worst]:,.15g})"
        return costs[worst] / self.limits[worst], said


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
            kind = self.trial.suggest_categorical(f"{part.path}.kind", sorted(part.alternatives))
        # By name and not as written: files of one fingerprint ask the same questions in the same order.
        fields = sorted(part.fields(kind), key=lambda entry: entry[0])
        return {"kind": kind, **{name: self.value(path, value) for name, path, value in fields}}

    def value(self, path: str, field: Field) -> Value:
        """What stands in one field."""
        if isinstance(field, Choice):
            return self.choose(path, field)
        if isinstance(field, Listing):
            return tuple(self.value(f"{path}.{index}", item) for index, item in enumerate(field.items))
        if isinstance(field, Reference):
            if field.name not in self.drawn:
                self.drawn[field.name] = self.value(f"params.{field.name}", self.params[field.name])
            return self.drawn[field.name]
        return field

    def choose(self, path: str, choice: Choice) -> Value:
        """One option; lists travel as text, which is all that a study can store."""
        by_label = {label(option): option for option in choice.options}
        return by_label[self.trial.suggest_categorical(path, list(by_label))]


def asked(path: str, field: Field, params: Mapping[str, Field]) -> list[str]:
    """The parameters that one field asks for."""
    return [name for name, _ in open_choices(path, field, params)]


def open_choices(path: str, field: Field, params: Mapping[str, Field]) -> Iterator[tuple[str, Choice]]:
    """The choices that one field asks for, with their parameter names."""
    if isinstance(field, Choice):
        yield path, field
    elif isinstance(field, Reference):
        yield from open_choices(f"params.{field.name}", params[field.name], params)
    elif isinstance(field, Listing):
        for index, item in enumerate(field.items):
            yield from open_choices(f"{path}.{index}", item, params)


def part_as_written(part: PartSpace) -> dict[str, Any]:
    """A stem or stage as plain data."""
    return {
        "open": part.kind_is_open,
        "shared": {name: written(value) for name, value in part.shared.items()},
        "kinds": {k: {n: written(v) for n, v in fields.items()} for k, fields in part.alternatives.items()},
    }
