"""What an architecture costs and how global it is, exactly: no data, no device, no clock."""

from archsearch.counting.globality import family, global_depth, global_tokens, globality, mean_reach, reach
from archsearch.counting.macs import (
    Macs,
    PartCount,
    count_activations,
    count_frozen,
    count_macs,
    count_params,
    part_counts,
)
from archsearch.counting.shares import Shares, global_shares

__all__ = [
    "Macs",
    "PartCount",
    "Shares",
    "count_activations",
    "count_frozen",
    "count_macs",
    "count_params",
    "family",
    "global_depth",
    "global_shares",
    "global_tokens",
    "globality",
    "mean_reach",
    "part_counts",
    "reach",
]
