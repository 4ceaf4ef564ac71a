"""How much an accuracy owes to the seed: what trainings of one architecture from several seeds differ by."""

import math
from dataclasses import dataclass

import pandas as pd

from archsearch.stats.intervals import half_interval


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
