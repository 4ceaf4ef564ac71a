"""What a caller may bring in the place of the study's own training and images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch.utils.data import Dataset

from archsearch.architecture import Architecture
from archsearch.data import ImageData
from archsearch.proxy import Recipe
from archsearch.search import Reading


@dataclass(frozen=True)
class Budget:
    """How far a candidate is to be trained by whatever stands in for training.

    Attributes:
        recipe: the whole training.
        share: of it, up to a rung or to its end (1); a candidate that continues from a rung was evaluated
            with a smaller share before.
        samples: training images seen by then.
        slot: the candidate's place in the study.
    """

    recipe: Recipe
    share: float
    samples: int
    slot: int


Evaluate = Callable[[Architecture, Budget], float | Reading | Mapping[str, float]]
"""Stands in for training: a table, a cluster job, a user's own loop; see ``study.call_evaluate``."""

Images = ImageData | Dataset[Any] | Mapping[str, Dataset[Any]]
"""Images of the caller's own: ready, as a data set to be split, or as one for each of train, validation and test."""
