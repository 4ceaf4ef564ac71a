"""The kinds of stem and of stage. To add one: write its file, import its class here, add it to the union."""

from typing import Annotated, get_args

from pydantic import Field

from archsearch.stages.base import MapAndTokens, ModuleCall, Part, registry
from archsearch.stages.conv import ConvStage
from archsearch.stages.conv_stem import ConvStem
from archsearch.stages.head import HEAD_READS, Head
from archsearch.stages.mhsa import MHSAStage
from archsearch.stages.mixers import Mixer, SpatialMixer
from archsearch.stages.patch_stem import PatchStem
from archsearch.stages.t2t_stem import T2TStem
from archsearch.stages.token_transformer import TokenTransformerStage

AnyStem = ConvStem | PatchStem | T2TStem
AnyStage = ConvStage | MHSAStage | TokenTransformerStage

TaggedStem = Annotated[AnyStem, Field(discriminator="kind")]
TaggedStage = Annotated[AnyStage, Field(discriminator="kind")]

STEM_KINDS = registry(get_args(AnyStem))
STAGE_KINDS = registry(get_args(AnyStage))


def kinds_with(token: str) -> str:
    """The kinds of stage that can carry a token of this name, as a remedy calls them: ``a token_transformer``."""
    return " or ".join(f"a {name}" for name, kind in STAGE_KINDS.items() if token in kind.token_fields)


__all__ = [
    "HEAD_READS",
    "STAGE_KINDS",
    "STEM_KINDS",
    "ConvStage",
    "ConvStem",
    "Head",
    "MHSAStage",
    "MapAndTokens",
    "Mixer",
    "ModuleCall",
    "Part",
    "PatchStem",
    "SpatialMixer",
    "T2TStem",
    "TaggedStage",
    "TaggedStem",
    "TokenTransformerStage",
    "kinds_with",
]
