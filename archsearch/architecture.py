"""An architecture: the frozen description of one backbone, its identity, and the network it builds."""

import hashlib
import json
import math
from collections.abc import Iterator
from typing import Annotated, Any

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from archsearch.errors import ArchitectureError, Problem, shown
from archsearch.shapes import FeatureShape
from archsearch.stages import HEAD_READS, Head, Mixer, Part, TaggedStage, TaggedStem, kinds_with

Size = Annotated[int, Field(ge=1, le=4_096)]


class Image(BaseModel):
    """What arrives: ``channels`` colours at ``height`` x ``width`` pixels, never assumed square."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    channels: Annotated[int, Field(ge=1, le=64)]
    height: Size
    width: Size

    @property
    def shape(self) -> FeatureShape:
        """The image as a feature map."""
        return FeatureShape(self.channels, self.height, self.width)


class Architecture(BaseModel):
    """One point of a space: everything needed to build one network, and nothing about how it was found.

    ``name`` is a label and no part of the identity.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = "architecture"
    image: Image
    classes: Annotated[int, Field(ge=2, le=1_000_000)]
    stem: TaggedStem
    stages: Annotated[tuple[TaggedStage, ...], Field(min_length=1, max_length=64)]
    head: Head = Head()

    @property
    def id(self) -> str:
        """Twelve hex digits of the SHA-256 of the canonical JSON: equal descriptions share it everywhere."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def parts(self) -> tuple[tuple[str, Part], ...]:
        """Stem and stages with their place in the file: ``stem``, ``stages.0``, ..."""
        return (("stem", self.stem), *((f"stages.{i}", stage) for i, stage in enumerate(self.stages)))

    @property
    def layout(self) -> str:
        """The letter of each part, stem first: ``P-CMT`` is patch, then conv, mhsa, token_transformer."""
        first, *rest = (part.letter for _, part in self.parts)
        return f"{first}-{''.join(rest)}"

    def canonical(self) -> dict[str, Any]:
        """What identity is made of: no name, no inactive field, no field at its default."""
        return {
            "image": self.image.model_dump(),
            "classes": self.classes,
            "stem": self.stem.canonical(),
            "stages": [stage.canonical() for stage in self.stages],
            "head": self.head.canonical(),
        }

    def document(self) -> dict[str, Any]:
        """The architecture as plain data, active fields only: what an architecture file holds."""
        document = {
            "name": self.name,
            "image": self.image.model_dump(),
            "classes": self.classes,
            "stem": self.stem.active(),
            "stages": [stage.active() for stage in self.stages],
            "head": self.head.model_dump(),
        }
        plain: dict[str, Any] = json.loads(json.dumps(document))
        return plain

    def to_yaml(self) -> str:
        """The architecture as a file that ``load_architecture`` reads back to the same id."""
        # The name in quotes: as a bare word it might be read as a number or a truth value.
        document = self.document()
        name = yaml.safe_dump(document.pop("name"), default_style='"', width=math.inf)
        parts = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=110)
        return f"name: {name}{parts}"

    def problems(self) -> tuple[Problem, ...]:
        """Why no network can be built from it, by arithmetic alone; empty if one can."""
        found: list[Problem] = []
        shape = self.image.shape
        for place, part in self.parts:
            found += [problem.under(place) for problem in part.problems(shape)]
            if found:
                return tuple(found)
            shape = part.out_shape(shape)
        return tuple(self._token_problems())

    def shapes(self) -> list[FeatureShape]:
        """The image, then the map behind the stem and behind each stage; ArchitectureError if it cannot be."""
        problems = self.problems()
        if problems:
            raise ArchitectureError(shown(self.name), problems)
        shapes = [self.image.shape]
        for _, part in self.parts:
            shapes.append(part.out_shape(shapes[-1]))
        return shapes

    def placed(self) -> Iterator[tuple[str, Part, FeatureShape]]:
        """Each part with its place in the file and the map that arrives there."""
        for (place, part), shape in zip(self.parts, self.shapes(), strict=False):
            yield place, part, shape

    def mixers(self) -> list[tuple[str, Mixer]]:
        """Every spatial mixer of the network in order, with the place of its part."""
        return [(place, mixer) for place, part, shape in self.placed() for mixer in part.mixers(shape)]

    def build(self) -> "Network":
        """A fresh network with random weights, drawn from torch's global generator."""
        return Network(self)

    def _token_problems(self) -> Iterator[Problem]:
        """Tokens of a stage's own are for the head alone, and the head reads what the last stage carries."""
        for index, stage in enumerate(self.stages[:-1]):
            for field in stage.token_fields:
                if getattr(stage, field):
                    what = "a stage follows that has no use for it"
                    yield Problem(f"stages.{index}.{field}", what, "write false here")
        token = HEAD_READS.get(self.head.pool)
        if token is not None and not getattr(self.stages[-1], token, False):
            what = f"the last stage carries no {token.replace('_', ' ')}"
            remedy = f"write pool: mean, or end on {kinds_with(token)} with {token}: true"
            yield Problem("head.pool", what, remedy)


def seeded_network(architecture: Architecture, seed: int) -> "Network":
    """A network whose initial weights depend on ``seed`` alone; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return architecture.build()


class Network(nn.Module):
    """The network that an Architecture builds: images ``(B, C, H, W)`` to logits ``(B, classes)``."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        stem, *stages = (part.build(shape) for _, part, shape in architecture.placed())
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.head = architecture.head.build(architecture.stages[-1].channels, architecture.classes)

    def forward(self, images: Tensor) -> Tensor:
        """Stem, stages, head."""
        features = self.stem(images)
        for stage in self.stages:
            features = stage(features)
        logits: Tensor = self.head(features)
        return logits
