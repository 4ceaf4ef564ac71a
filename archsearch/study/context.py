"""What candidates are judged with, and how their errors are told apart from the study's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from archsearch.architecture import Architecture
from archsearch.data import ImageData
from archsearch.errors import ArchsearchError, FailedTrialError
from archsearch.profiling import LatencyPredictor
from archsearch.proxy import Recipe
from archsearch.search import Reading
from archsearch.space import Space
from archsearch.storage.run_folder import RunFolder
from archsearch.study.callbacks import Callback
from archsearch.study.config import StudyConfig
from archsearch.workers.device_lock import DeviceLock


@dataclass(frozen=True)
class Budget:
    """How far a candidate is to be trained by whatever stands in for training.

    Attributes:
        recipe: the whole training.
        share: of it, up to a rung or to its end (1); a candidate that goes on from a rung has been asked for
            with a smaller share before.
        samples: training images shown by then.
        slot: the candidate's place in the study.
    """

    recipe: Recipe
    share: float
    samples: int
    slot: int


Evaluate = Callable[[Architecture, Budget], float | Reading]


@dataclass(frozen=True)
class TrialContext:
    """What candidates are judged with: the same for all of a run.

    ``evaluate`` stands in for training if it is given: a table, a cluster job, a user's own loop. It
    takes the architecture and a budget, and returns top-1 accuracy in [0, 1], or a ``Reading`` that has the
    training loss too. ``predictor`` spares candidates that cannot meet a limit of latency their
    measurement. ``checkpoints`` is the folder that keeps trainings between their rungs, if any does;
    ``device_lock`` keeps a measurement and the trainings of other workers apart.
    """

    space: Space
    config: StudyConfig
    device: torch.device
    data: ImageData | None
    evaluate: Evaluate | None
    watcher: Callback
    predictor: LatencyPredictor | None = None
    checkpoints: RunFolder | None = None
    device_lock: DeviceLock | None = None


@contextmanager
def phase(name: str) -> Iterator[None]:
    """An error in this phase costs this candidate, not the study."""
    try:
        yield
    except ArchsearchError:
        raise
    except Exception as error:
        reason: Any = f"{type(error).__name__}: {error}"
        raise FailedTrialError(name, str(reason).splitlines()[0][:300]) from error
