"""The one table of what can be optimised: unit, direction, where its value comes from, and how it is written.

To add an objective: a row here, a field of the same name in ``storage.trial_record.TrialRecord``, and what measures it
(a field of ``profiling.Profile``). A name that is not in the table is an objective of the user's own: see
``objective_of``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from archsearch.formatting import amount

Direction = Literal["maximize", "minimize"]
# Read at the end of a training, counted exactly without a device, or measured on a device, whose kind it depends on.
Source = Literal["trained", "counted", "measured"]


@dataclass(frozen=True)
class Objective:
    """A quantity that can be optimised.

    Attributes:
        name: of its field in the record, of its column in a table, and in a study file.
        unit: what stands behind an amount of it; empty for a share.
        direction: ``maximize`` a share in [0, 1], or ``minimize`` a cost above 0.
        label: how an axis is labelled.
        short: what it is called in a sentence.
        source: ``trained``, ``counted`` or ``measured``.
        needs_gpu: whether only a GPU tells it.
    """

    name: str
    unit: str
    direction: Direction
    label: str
    short: str
    source: Source
    needs_gpu: bool = False

    @property
    def counted(self) -> bool:
        """Whether it is a whole number that is counted exactly: 1,200,000 is then written as 1.2M."""
        return self.source == "counted"

    def write(self, value: float) -> str:
        """An amount of it with three figures, without its unit: ``6.84``, ``2.7M``."""
        return amount(value) if self.counted else format(float(value), ".3g")

    def write_with_unit(self, value: float) -> str:
        """An amount of it as one reads it: ``6.84 ms``, ``2.7M MACs``."""
        return f"{self.write(value)} {self.unit}".rstrip()


TABLE = (
    Objective("top1", "", "maximize", "top-1 accuracy (validation)", "accuracy", "trained"),
    Objective("latency_ms", "ms", "minimize", "latency (ms)", "latency", "measured"),
    Objective("macs", "MACs", "minimize", "MACs", "MACs", "counted"),
    Objective("params", "parameters", "minimize", "parameters", "parameters", "counted"),
    Objective(
        "peak_memory_mib", "MiB", "minimize", "peak memory (MiB)", "peak memory", "measured", needs_gpu=True
    ),
)
OBJECTIVES: Mapping[str, Objective] = {objective.name: objective for objective in TABLE}
COSTS = tuple(name for name, objective in OBJECTIVES.items() if objective.direction == "minimize")
COUNTED = tuple(name for name, objective in OBJECTIVES.items() if objective.counted)
MEASURED = tuple(name for name, objective in OBJECTIVES.items() if objective.source == "measured")


def objective_of(name: str) -> Objective:
    """The row of the table; of another name, an objective of the user's own: a cost above 0, by its name alone."""
    return OBJECTIVES.get(name) or Objective(name, "", "minimize", name, name, "measured")


def measured_among(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that depend on the kind of device, in the order of the alphabet."""
    return sorted({name for name in names if objective_of(name).source == "measured"})
