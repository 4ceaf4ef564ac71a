"""Everything an architecture costs: counted exactly, measured with its conditions."""

from dataclasses import dataclass

import torch

from archsearch.architecture import Architecture
from archsearch.counting import Macs, count_activations, count_macs, count_params
from archsearch.profiling.conditions import Conditions, conditions_of
from archsearch.profiling.latency import Latency, measure_latency
from archsearch.profiling.memory import inference_memory_mib, training_memory_mib
from archsearch.profiling.shares import global_latency_share


@dataclass(frozen=True)
class Profile:
    """Costs of one forward pass. ``params``, ``macs`` and ``activations`` are for one image, the rest for the batch.

    ``peak_memory_mib`` (inference) and ``training_memory_mib`` (one step of AdamW) are None on a CPU, whose
    allocator does not tell, and the latter where it was not asked for. ``global_latency_share`` is the share of
    a pass that global mixers take, in [0, 1]; None where it was not asked for.
    """

    params: int
    macs: Macs
    activations: int
    latency: Latency
    peak_memory_mib: float | None
    training_memory_mib: float | None
    conditions: Conditions
    global_latency_share: float | None = None

    @property
    def latency_ms(self) -> float:
        """Median milliseconds."""
        return self.latency.median_ms

    def objective(self, name: str) -> float:
        """The cost that a study may use as an objective or limit, by its name.

        Raises:
            KeyError: no cost has this name.
            TypeError: it was not measured.
        """
        return float({**vars(self), "macs": self.macs.total, "latency_ms": self.latency_ms}[name])


def profile_architecture(
    architecture: Architecture,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 1,
    seconds: float = 0.5,
    conditions: Conditions | None = None,
    training: bool = True,
    shares: bool = True,
) -> Profile:
    """Count and measure ``architecture`` on ``device``; latency takes about ``seconds``.

    ``conditions`` (``profiling.conditions_of``) say more than the device and the batch, and then stand for them.
    ``training=False`` leaves out the memory of a training step, ``shares=False`` the time in global mixers.

    Raises:
        ArchitectureError: no network can be built from it.
        UncountedOperationError: its MACs cannot be counted in full.
    """
    conditions = conditions or conditions_of(device, batch_size=batch_size)
    macs = count_macs(architecture)
    with torch.random.fork_rng(devices=[]):
        network = architecture.build()
    image = architecture.image.shape
    return Profile(
        params=count_params(architecture),
        macs=macs,
        activations=count_activations(architecture),
        latency=measure_latency(network, image, conditions, seconds=seconds),
        peak_memory_mib=inference_memory_mib(network, image, conditions),
        training_memory_mib=(
            training_memory_mib(network, image, architecture.classes, conditions) if training else None
        ),
        conditions=conditions,
        global_latency_share=global_latency_share(network, image, conditions) if shares else None,
    )
