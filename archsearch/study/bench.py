"""What candidates are judged with, and how their errors are told apart from the study's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from archsearch.architecture import Architecture
from archsearch.errors import ArchsearchError, FailedTrialError
from archsearch.profiling import LatencyPredictor
from archsearch.proxy import ImageData, Recipe
from archsearch.space import Space
from archsearch.study.config import StudyConfig
from archsearch.study.folder import RunFolder
from archsearch.study.watch import Watcher

Evaluate = Callable[[Architecture, Recipe], float]


@dataclass(frozen=True)
class Bench:
    """What candidates are judged with: the same for all of a run.

    ``evaluate`` stands in for training if it is given: a table, a cluster job, a user's own loop. It
    takes the architecture and the recipe, and returns top-1 accuracy in [0, 1]. ``predictor`` spares
    candidates that cannot meet a limit of latency their measurement. ``checkpoints`` is the folder
    that keeps trainings between their rungs, if any does.
    """

    space: Space
    config: StudyConfig
    device: torch.device
    data: ImageData | None
    evaluate: Evaluate | None
    watcher: Watcher
    predictor: LatencyPredictor | None = None
    checkpoints: RunFolder | None = None


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
