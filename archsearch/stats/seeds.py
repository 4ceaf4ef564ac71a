"""How much an accuracy owes to the seed: what trainings of one architecture from several seeds came to."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from scipy.special import stdtrit

from archsearch.storage.trial_record import FINAL, SWAP_TRAINING

COLUMNS = {
    "architecture": "string",
    "seed": "Int64",
    "samples": "Int64",
    "top1": "Float64",
    "test_top1": "Float64",
    "source": "string",
}
CONFIDENCE = 0.95
# The keys of the record, ``final:ARCHITECTURE:SEED`` and ``swap_training:ARCHITECTURE:SAMPLES:SEED``.
SOURCES = {FINAL: "finals", SWAP_TRAINING: "swaps"}


def repeats_frame(attributes: Mapping[str, Any]) -> pd.DataFrame:
    """One row for each finished training beside the search: of finalists, and of swapped networks.

    ``architecture``, ``seed`` (0, 1, ...), ``samples`` (training images shown), ``top1`` (validation),
    ``test_top1``, ``source`` (``finals`` or ``swaps``).
    """
    frame = pd.DataFrame(list(repeats(attributes)), columns=list(COLUMNS)).astype(COLUMNS)
    order = ["architecture", "samples", "seed", "source"]
    return frame.sort_values(order, kind="stable").reset_index(drop=True)


def repeats(attributes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The trainings that came to an accuracy."""
    for key, entry in attributes.items():
        kind, *names = key.split(":")
        if kind not in SOURCES or "top1" not in entry:
            continue
        yield {
            "architecture": names[0],
            "seed": int(names[-1]),
            "source": SOURCES[kind],
            **{name: entry.get(name) for name in ("samples", "top1", "test_top1")},
        }


def half_interval(deviation: float, degrees: int, count: int) -> float:
    """Half the 95 % interval of a mean of ``count`` values, by Student's t with the degrees that ``deviation`` has."""
    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2)) * deviation / math.sqrt(count)


@dataclass(frozen=True)
class SeedSpread:
    """The deviation of validation accuracy over seeds, pooled over the architectures trained more than once.

    Attributes:
        deviation: standard deviation of one training (n - 1 of each architecture).
        degrees: of freedom.
        samples: training images of those trainings; fewer or more than the search's is the nearest there is.
    """

    deviation: float
    degrees: int
    samples: int

    def margin(self, trainings: int = 1) -> float:
        """Half the 95 % interval of a mean of so many trainings, by Student's t."""
        return half_interval(self.deviation, self.degrees, trainings)

    def margin_between(self) -> float:
        """Half the 95 % interval of the difference of two single trainings."""
        return math.sqrt(2) * self.margin()


def seed_spread(repeats: pd.DataFrame, samples: int | None) -> SeedSpread | None:
    """The spread at a budget of ``samples`` images, or at the nearest one that has any; None if no seed was repeated."""
    unique = repeats.drop_duplicates(["architecture", "samples", "seed"])
    groups = unique.groupby(["samples", "architecture"], observed=True)["top1"]
    sums = pd.DataFrame(
        {
            "squares": groups.apply(lambda column: float(((column - column.mean()) ** 2).sum())),
            "degrees": groups.size() - 1,
        }
    )
    pooled = sums[sums["degrees"] > 0].groupby("samples").sum()
    if pooled.empty:
        return None
    wanted = samples if samples is not None else int(pooled.index[0])
    nearest = min((int(budget) for budget in pooled.index), key=lambda budget: abs(math.log(budget / wanted)))
    squares, degrees = pooled["squares"].loc[nearest], pooled["degrees"].loc[nearest]
    return SeedSpread(math.sqrt(squares / degrees), int(degrees), nearest)
