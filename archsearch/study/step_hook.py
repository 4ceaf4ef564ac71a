"""What happens after each training step of a network in a run: callbacks are called, and measurements go first."""

import time

from torch import Tensor

from archsearch.errors import FailedTrialError
from archsearch.study.callbacks import CallbackList
from archsearch.workers.device_lock import DeviceLock


class StepHook:
    """Passes each step on to the callbacks and waits while another worker measures, until the time is up.

    Attributes:
        spent: seconds that the training had taken when it was resumed.
    """

    def __init__(
        self, seconds: float | None, callbacks: CallbackList, device_lock: DeviceLock | None = None
    ) -> None:
        self.spent = 0.0
        self._limit, self._callbacks, self._device_lock = seconds, callbacks, device_lock
        self._start = time.monotonic()

    def __call__(self, done: int, steps: int, loss: Tensor) -> None:
        """Called after each step; FailedTrialError when the training has taken too long."""
        self._callbacks.call(lambda callback: callback.on_step(done, steps, loss))
        if self._device_lock is not None:
            self._device_lock.wait()
        taken = self.spent + time.monotonic() - self._start
        if self._limit is not None and taken > self._limit:
            reason = f"took {taken:.0f} s by step {done} of {steps}; candidate_seconds is {self._limit:g}"
            raise FailedTrialError("train", reason)
