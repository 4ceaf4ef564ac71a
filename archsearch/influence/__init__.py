"""What a trained network does with place: how far its mixers really reach, on its weights and on images."""

from archsearch.influence.attention import AttentionDistance, AttentionLayer, mean_attention_distance
from archsearch.influence.field import ReceptiveField, effective_receptive_field
from archsearch.influence.reach import RealisedGlobality, RealisedMixer, realised_globality

__all__ = [
    "AttentionDistance",
    "AttentionLayer",
    "RealisedGlobality",
    "RealisedMixer",
    "ReceptiveField",
    "effective_receptive_field",
    "mean_attention_distance",
    "realised_globality",
]
