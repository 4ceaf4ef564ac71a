"""The record as the search knows it: a recorded trial becomes a ``search.Known``."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from archsearch.search import Known, Reading, State
from archsearch.study.searched import features_of

ENDED: Mapping[str, State] = {
    "trained": "trained",
    "stopped": "stopped",
    "infeasible": "infeasible",
    "failed": "failed",
}


class Memory:
    """What is known of the trials of one study; those that are finished are converted once."""

    def __init__(self, costs: tuple[str, ...]) -> None:
        self.costs = costs
        self.finished: dict[int, Known | None] = {}
        self.choices: dict[tuple[str, int], tuple[Any, ...]] = {}

    def known(self, trials: Sequence[FrozenTrial]) -> list[Known]:
        """All that stand for a candidate: neither interrupted nor put there by somebody else."""
        found = (self.of(trial) for trial in trials)
        return [known for known in found if known is not None]

    def of(self, trial: FrozenTrial) -> Known | None:
        """One of them."""
        if trial.number in self.finished:
            return self.finished[trial.number]
        known = self.read(trial)
        if trial.state.is_finished():
            self.finished[trial.number] = known
        return known

    def read(self, trial: FrozenTrial) -> Known | None:
        """Converted."""
        attributes = trial.user_attrs
        state = state_of(trial)
        if state is None or "params" not in attributes:
            return None
        readings = [Reading(r["top1"], r.get("train_loss")) for r in attributes.get("rungs", ())]
        if state == "trained":
            readings.append(Reading(attributes["top1"], attributes.get("train_loss")))
        sizes = (attributes[name] for name in ("macs", "params", "activations", "globality"))
        return Known(
            slot=attributes["slot"],
            identity=attributes["architecture"],
            answers=trial.params,
            choices={name: self.shared(name, trial.distributions[name]) for name in trial.params},
            stratum=stratum_of(attributes["family"]),
            state=state,
            costs=tuple(attributes.get(name) for name in self.costs),
            readings=tuple(readings),
            excess=trial.constraints,
            features=features_of(*sizes),
        )

    def shared(self, name: str, distribution: object) -> tuple[Any, ...]:
        """The choices of a parameter: one tuple for all trials, not one each."""
        if not isinstance(distribution, CategoricalDistribution):
            raise TypeError(f"{name} is recorded as {distribution}, and every choice is one of several")
        choices = tuple(distribution.choices)
        return self.choices.setdefault((name, hash(choices)), choices)


def state_of(trial: FrozenTrial) -> State | None:
    """What a recorded trial is to the search; None for one that stands for no candidate."""
    outcome = trial.user_attrs.get("outcome", "")
    if trial.state == TrialState.RUNNING:
        return "paused" if outcome == "paused" else "running"
    return ENDED.get(outcome)


def stratum_of(family: str) -> str:
    """The family within which candidates are compared at a rung: ``global-from`` for all ``global-from-K``."""
    return "global-from" if family.startswith("global-from") else family
