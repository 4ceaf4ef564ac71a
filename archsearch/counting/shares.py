"""How much of a network's cost lies in its spatial mixers, and how much of that in those that reach everywhere.

A mixer is an attention with its projections, a convolution wider than 1x1, or a soft split with the
projection behind it; 1x1 convolutions, channel MLPs, norms and the head are none. Of a T2T token layer the
attention counts; the soft split in front of it only copies, so that its weight is zero here.
"""

from dataclasses import dataclass

from archsearch.architecture import Architecture
from archsearch.counting.macs import part_counts
from archsearch.counting.meta_trace import MixerCosts


@dataclass(frozen=True)
class Shares:
    """How far a network is global by what it spends, all in [0, 1].

    Attributes:
        globality_macs: mean reach of the mixers, each weighted by its MACs; 0 for a network without any.
        global_macs: share of all MACs that global mixers take.
        global_params: share of the trainable parameters that they hold.
    """

    globality_macs: float
    global_macs: float
    global_params: float


def global_shares(architecture: Architecture) -> Shares:
    """What ``architecture`` spends on mixing globally; errors as in ``count_macs``."""
    counts = [count for _, count in part_counts(architecture)]
    mixed = sum((count.mixed for count in counts), start=MixerCosts())
    macs, params = sum(count.macs for count in counts), sum(count.params for count in counts)
    return Shares(
        mixed.reach_macs / mixed.macs if mixed.macs else 0.0,
        mixed.global_macs / macs if macs else 0.0,
        mixed.global_params / params if params else 0.0,
    )
