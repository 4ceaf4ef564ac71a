"""What a run tells while it goes on; the command line shows it, a script may ignore it."""

from archsearch.storage.trial_record import TrialRecord


class Callback:
    """Hears what a run does. This one is silent; a subclass overrides what it wants to hear."""

    def started(self, done: int, trials: int, best: float | None) -> None:
        """The run has opened its record: ``done`` of ``trials`` slots are used, with ``best`` top-1 so far."""

    def phase(self, slot: int, what: str) -> None:
        """Something begins that takes time, for instance ``training P-CMT``."""

    def step(self, done: int, total: int) -> None:
        """``done`` of ``total`` training steps of the current candidate."""

    def recorded(self, number: int, record: TrialRecord) -> None:
        """A trial has been stored."""

    def standing(self, done: int) -> None:
        """So many slots are used up now, by all workers; told before ``recorded``."""
