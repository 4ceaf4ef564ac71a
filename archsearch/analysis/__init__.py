"""What a trained network does with place: how far its mixers really reach, on its weights and on images."""

from archsearch.analysis.attention_distance import AttentionDistance, AttentionLayer, mean_attention_distance
from archsearch.analysis.measured_globality import MeasuredGlobality, MeasuredMixer, measured_globality
from archsearch.analysis.receptive_field import ReceptiveField, effective_receptive_field

__all__ = [
    "AttentionDistance",
    "AttentionLayer",
    "MeasuredGlobality",
    "MeasuredMixer",
    "ReceptiveField",
    "effective_receptive_field",
    "mean_attention_distance",
    "measured_globality",
]
