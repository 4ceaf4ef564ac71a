"""What candidates are evaluated with, and how their errors are told apart from the study's."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from archsearch.data import DataSource, ImageData
from archsearch.errors import ArchsearchError, FailedTrialError
from archsearch.profiling import LatencyPredictor
from archsearch.search import Sampler
from archsearch.space import Space
from archsearch.storage.run_folder import RunFolder
from archsearch.study.callbacks import CallbackList
from archsearch.study.config import StudyConfig
from archsearch.study.inputs import Evaluate
from archsearch.workers.device_lock import DeviceLock


@dataclass(frozen=True)
class TrialContext:
    """What candidates are evaluated with: the same for all of a run.

    Attributes:
        data: training and validation images; None if ``evaluate`` stands in for training.
        evaluate: what stands in for training, if anything does.
        source: what the images are of: a name, or a data set of the caller's; None if there are none to test on.
        sampler: proposes candidates in the place of the study's own sampler.
        predictor: spares candidates that cannot meet a limit of latency their measurement.
        checkpoints: the folder that keeps trainings between their rungs, if any does.
        device_lock: keeps a measurement and the trainings of other workers apart.
    """

    space: Space
    config: StudyConfig
    device: torch.device
    data: ImageData | None = None
    evaluate: Evaluate | None = None
    callbacks: CallbackList = field(default_factory=CallbackList)
    source: str | DataSource | None = None
    sampler: Sampler | None = None
    predictor: LatencyPredictor | None = None
    checkpoints: RunFolder | None = None
    device_lock: DeviceLock | None = None

    @property
    def images(self) -> ImageData:
        """The training and validation images of a run that has some."""
        if self.data is None:
            raise ValueError("a study without evaluate needs data")
        return self.data

    def announce(self, slot: int, what: str) -> None:
        """Tell the callbacks what begins."""
        self.callbacks.call(lambda callback: callback.on_phase(slot, what))


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
