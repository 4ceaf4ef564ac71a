"""What a trained network does with place: how far its mixers really reach, on its weights and on images."""

from archsearch.analysis.attention_distance import mean_attention_distance
from archsearch.analysis.measured_globality import MeasuredGlobality, measured_globality
from archsearch.analysis.receptive_field import effective_receptive_field

__all__ = ["MeasuredGlobality", "effective_receptive_field", "mean_attention_distance", "measured_globality"]
