"""The record as the search knows it: a recorded trial becomes a ``search.Observation``."""

import sys
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from archsearch.families import read_family
from archsearch.search.observations import Observation, Reading, State, features_of
from archsearch.storage.trial_record import ENDED


class ObservationCache:
    """What is known of the trials of one study; those that are finished are converted once."""

    def __init__(self, costs: tuple[str, ...]) -> None:
        self.costs = costs
        self.finished: dict[int, Observation | None] = {}
        self.distributions: dict[str, BaseDistribution] = {}
        # By the names of a trial's parameters: their distributions and their choices.
        self.shared: dict[
            tuple[str, ...], tuple[dict[str, BaseDistribution], dict[str, tuple[Any, ...]]]
        ] = {}

    def known(self, trials: Sequence[FrozenTrial]) -> list[Observation]:
        """All that stand for a candidate: neither interrupted nor put there by somebody else."""
        found = (self.of(trial) for trial in trials)
        return [known for known in found if known is not None]

    def of(self, trial: FrozenTrial) -> Observation | None:
        """The one of a trial, if it has any."""
        if trial.number in self.finished:
            return self.finished[trial.number]
        known = self.read(trial)
        if trial.state.is_finished():
            self.finished[trial.number] = known
        return known

    def read(self, trial: FrozenTrial) -> Observation | None:
        """A recorded trial, converted; None if it stands for no candidate."""
        attributes = trial.user_attrs
        state = state_of(trial)
        if state is None or "params" not in attributes:
            return None
        readings = [Reading(r["top1"], r.get("train_loss")) for r in attributes.get("rungs", ())]
        if state == "trained":
            readings.append(Reading(attributes["top1"], attributes.get("train_loss")))
        choices = self.share(trial)
        sizes = (attributes[name] for name in ("macs", "params", "activations", "globality"))
        return Observation(
            slot=attributes["slot"],
            identity=attributes["architecture"],
            answers=trial.params,
            choices=choices,
            family=rung_family(read_family(attributes["family"])),
            state=state,
            costs=tuple(attributes.get(name) for name in self.costs),
            readings=tuple(readings),
            excess=trial.constraints,
            features=features_of(*sizes),
        )

    def share(self, trial: FrozenTrial) -> dict[str, tuple[Any, ...]]:
        """The choices of a trial, in one place for all trials that have the same: each brings its own from the storage.

        Of ten thousand trials they, and the names, would take more memory than all else.
        """
        names = tuple(trial.params)
        if names not in self.shared:
            known = {name: self.distributions.setdefault(name, trial.distributions[name]) for name in names}
            self.shared[names] = known, {name: choices_of(name, d) for name, d in known.items()}
        trial.distributions, choices = self.shared[names]
        trial.params = {name: trial.params[name] for name in trial.distributions}
        trial.user_attrs = {sys.intern(name): value for name, value in trial.user_attrs.items()}
        return choices


def choices_of(name: str, distribution: BaseDistribution) -> tuple[Any, ...]:
    """The choices of a parameter."""
    if not isinstance(distribution, CategoricalDistribution):
        raise TypeError(f"{name} is recorded as {distribution}, and every choice is one of several")
    return tuple(distribution.choices)


def state_of(trial: FrozenTrial) -> State | None:
    """What a recorded trial is to the search; None for one that stands for no candidate."""
    outcome: Any = trial.user_attrs.get("outcome")
    if trial.state == TrialState.RUNNING:
        return "paused" if outcome == "paused" else "running"
    return outcome if outcome in ENDED else None


def rung_family(family: str) -> str:
    """The family within which candidates are compared at a rung: ``global-from`` for all ``global-from-K``."""
    return "global-from" if family.startswith("global-from") else family
