"""The events of a run: the command line shows them; a script may pass callbacks of its own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from archsearch.architecture import Architecture
from archsearch.errors import ArchsearchError, CallbackError
from archsearch.proxy import ProxyScore
from archsearch.space.swap import Swap
from archsearch.storage.trial_record import TrialRecord


class Callback:
    """Is called for what this process does in a run. Every method does nothing; a subclass overrides those it needs.

    A method that raises stops the run with a ``CallbackError``; the record is whole, and the same call resumes.
    Trainings on other machines (``study.engines.ray``) are reported when they end, not step by step.
    """

    def on_start(self, done: int, trials: int, best: float | None) -> None:
        """The run has opened its record: ``done`` of ``trials`` slots are used, with ``best`` top-1 so far."""

    def on_phase(self, slot: int, what: str) -> None:
        """Something begins that takes time, for instance ``training P-CMT``."""

    def on_step(self, done: int, total: int, loss: Tensor) -> None:
        """``done`` of ``total`` training steps of the current network are taken.

        ``loss`` is the training loss of this step in nats, a scalar on the training's device. Nothing has waited for
        it: ``float(loss)`` makes the host wait for a GPU, so read it rarely there.
        """

    def on_rung(self, reading: Mapping[str, float]) -> None:
        """The current network was evaluated at a rung: ``share`` of its training, ``samples``, ``top1``, ``val_loss``, ..."""

    def on_progress(self, done: int) -> None:
        """So many slots are used by now, by all workers; called before ``on_trial_end``."""

    def on_trial_end(self, number: int, record: TrialRecord) -> None:
        """A trial has been stored: trained, paused at a rung, infeasible or failed."""

    def on_swaps(self, swaps: Sequence[Swap]) -> None:
        """The swaps of a trial are matched, and will be trained."""

    def on_training_end(self, architecture: Architecture, seed: int, result: Mapping[str, Any]) -> None:
        """The training of a finalist or of a swap has been stored: accuracies, or an ``error``."""


class CallbackList:
    """Several callbacks, called in their order. What one raises becomes an error that names it."""

    def __init__(self, callbacks: Sequence[Callback] = ()) -> None:
        self.callbacks = tuple(callbacks)

    def call(self, event: Callable[[Callback], None]) -> None:
        """Pass an event to each: ``call(lambda callback: callback.on_progress(3))``.

        Raises:
            CallbackError: one of them raised.
        """
        for callback in self.callbacks:
            try:
                event(callback)
            except (ArchsearchError, BrokenPipeError, MemoryError):
                # Nobody reads what the command line prints; and memory that is lacking is the candidate's.
                raise
            except Exception as error:
                name, reason = type(callback).__qualname__, f"{type(error).__name__}: {error}"
                raise CallbackError(
                    f"callback {name}: {reason}; mend it and start the same call again"
                ) from error


def rung_reading(share: float, score: ProxyScore) -> dict[str, float]:
    """What is measured at a rung, as it is recorded and as callbacks get it."""
    return {
        "share": share,
        "samples": score.samples,
        "top1": score.top1,
        "val_loss": score.loss,
        "train_loss": score.train_loss,
        "seconds": score.seconds,
    }
