"""The record of a study, as a worker reads and writes it: every method belongs under its lock.

A kill in the middle leaves a record that the next worker can mend (``recover_orphans``): a trial is claimed in one
transaction, and what says that it has a result is written last.
"""

from collections.abc import Callable, Mapping
from itertools import compress
from operator import itemgetter
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from archsearch.architecture import Architecture
from archsearch.search import Observation
from archsearch.stats.pareto import is_efficient
from archsearch.storage.observation_cache import ObservationCache
from archsearch.storage.trial_record import USED, TrialRecord
from archsearch.trial import Proposal

NOBODY = ""
# Workers that may die at one candidate, for whatever reason, before it is taken for the reason.
MAX_DEATHS = 5
# How a trial ends in Optuna's words, by the outcome of its candidate.
ENDS = {"trained": TrialState.COMPLETE, "infeasible": TrialState.PRUNED, "failed": TrialState.FAIL}


class TrialStore:
    """What one worker does in the record of ``study``."""

    def __init__(self, study: optuna.Study, objectives: tuple[str, ...], worker: str) -> None:
        self.study = study
        self.objectives = objectives
        self.worker = worker
        self.memory = ObservationCache(objectives[1:])
        self.storage: Any = study._storage  # noqa: SLF001 - a trial of another worker is reached through the storage alone

    def trials(self) -> list[FrozenTrial]:
        """Every trial, in the order of their numbers."""
        return self.study.get_trials(deepcopy=False)

    def known(self) -> list[Observation]:
        """What the search goes by."""
        return self.memory.known(self.trials())

    def claim(self, proposal: Proposal, record: TrialRecord) -> int:
        """A new trial of this worker's, whole from the first moment; its number in the storage."""
        distributions = {name: CategoricalDistribution(c) for name, c in proposal.choices.items()}
        trial = create_trial(
            state=TrialState.RUNNING,
            params=proposal.params,
            distributions=dict(distributions),
            user_attrs={**record.attributes(), "outcome": "running", "worker": self.worker},
        )
        created: int = self.storage.create_new_trial(self.study._study_id, template_trial=trial)  # noqa: SLF001
        return created

    def take(self, slot: int, *, audit: bool) -> FrozenTrial:
        """The paused trial of ``slot`` is this worker's from now on."""
        trial = next(t for t in self.trials() if is_paused(t) and t.user_attrs["slot"] == slot)
        self.write(trial, {"worker": self.worker, **({"audit": True} if audit else {}), "outcome": "running"})
        return trial

    def mine(self, trial_id: int) -> FrozenTrial | None:
        """The running trial, if it is still this worker's."""
        trial: FrozenTrial = self.storage.get_trial(trial_id)
        running = trial.state == TrialState.RUNNING and trial.user_attrs.get("worker") == self.worker
        return trial if running else None

    def pause(self, trial: FrozenTrial, record: TrialRecord, constraints: Mapping[str, float]) -> None:
        """Its readings, then that it waits at its rung."""
        self.put(trial, record, constraints)
        self.write(trial, {"outcome": "paused", "worker": NOBODY})

    def end(self, trial: FrozenTrial, record: TrialRecord, constraints: Mapping[str, float]) -> None:
        """Attributes and constraints first: nothing can be added to a trial that has ended."""
        self.put(trial, record, constraints)
        state = ENDS[record.outcome]
        values = [record.value(o) for o in self.objectives] if state == TrialState.COMPLETE else None
        self.storage.set_trial_state_values(trial._trial_id, state, values)  # noqa: SLF001

    def put(self, trial: FrozenTrial, record: TrialRecord, constraints: Mapping[str, float]) -> None:
        """What is new of a record; the rungs behind all that belongs to them, the outcome at the very end."""
        running = optuna.trial.Trial(self.study, trial._trial_id)  # noqa: SLF001
        for name, excess in sorted(constraints.items()):
            if name not in trial.constraints:
                running.set_constraint(name, excess)
        attributes = record.attributes()
        behind = ("rungs", "outcome")
        first = {name: value for name, value in attributes.items() if name not in behind}
        self.write(trial, first | {name: attributes[name] for name in behind if name in attributes})

    def write(self, trial: FrozenTrial, attributes: Mapping[str, Any]) -> None:
        """The attributes that differ from what is recorded."""
        for name, value in attributes.items():
            if name not in trial.user_attrs or trial.user_attrs[name] != value:
                self.storage.set_trial_user_attr(trial._trial_id, name, value)  # noqa: SLF001

    def end_without_values(
        self, trial: FrozenTrial, state: TrialState, attributes: Mapping[str, Any]
    ) -> None:
        """The end of a trial that has no result; what says why is written first."""
        self.write(trial, attributes)
        self.storage.set_trial_state_values(trial._trial_id, state)  # noqa: SLF001

    def stop_paused(self) -> None:
        """The paused trials stay at their rung for good."""
        for trial in filter(is_paused, self.trials()):
            self.end_without_values(trial, TrialState.PRUNED, {"outcome": "stopped"})

    def recover_orphans(self, alive: Callable[[str], bool], busy: set[int], *, resumable: bool) -> None:
        """Trials whose worker is gone: paused again if they have reached a rung, else their slot is free.

        ``busy`` are those that this worker works on. ``resumable`` says whether trials wait at rungs in this
        study. A trial that somebody queued by hand has no slot and is marked alike. A candidate at which
        five workers have died is not tried again: that is its own fault.
        """
        for trial in self.trials():
            if trial.state.is_finished() or is_paused(trial):
                continue
            worker = trial.user_attrs.get("worker", NOBODY)
            own = worker == self.worker
            if trial._trial_id in busy or (worker and not own and alive(worker)):  # noqa: SLF001
                continue
            if worker and not own:
                self.write(trial, {"deaths": self.deaths_at(trial) + 1})
            if self.deaths_at(trial) >= MAX_DEATHS:
                reason = f"train: {MAX_DEATHS} workers died at it; probably out of memory, or a crash of an operator"
                self.end_without_values(trial, TrialState.FAIL, {"error": reason, "outcome": "failed"})
            elif resumable and trial.user_attrs.get("rungs"):
                self.write(trial, {"outcome": "paused", "worker": NOBODY})
            else:
                self.end_without_values(trial, TrialState.FAIL, {"outcome": "interrupted"})

    def deaths_at(self, trial: FrozenTrial) -> int:
        """How many workers have died at this candidate in this slot."""
        key = itemgetter("slot", "architecture")
        if not {"slot", "architecture"} <= trial.user_attrs.keys():
            return 0
        same = (t.user_attrs for t in self.trials() if "deaths" in t.user_attrs)
        return max((a["deaths"] for a in same if key(a) == key(trial.user_attrs)), default=0)

    def used(self) -> list[FrozenTrial]:
        """Trials that used up a slot: trained, stopped or paused at a rung, or failed by their own fault."""
        return [trial for trial in self.trials() if used(trial)]

    def free_slot(self, budget: int) -> int | None:
        """The first slot of the budget that no candidate has used up or occupies."""
        taken = {t.user_attrs["slot"] for t in self.trials() if used(t) or t.state == TrialState.RUNNING}
        return next((slot for slot in range(budget) if slot not in taken), None)

    def infeasible_in(self, slot: int) -> int:
        """Candidates for this slot that turned out to be over a limit."""
        outcomes = (t.user_attrs for t in self.trials() if t.state == TrialState.PRUNED)
        return sum(a.get("slot") == slot and a.get("outcome") == "infeasible" for a in outcomes)


def frontier_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trained trials within all limits on the study's Pareto front, in the order of their numbers."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    trained = [
        trial
        for trial in complete
        if trial.user_attrs.get("outcome") == "trained"
        and all(excess <= 0 for excess in trial.constraints.values())
    ]
    signs = [-1 if direction == StudyDirection.MAXIMIZE else 1 for direction in study.directions]
    costs = np.array([trial.values for trial in trained], dtype=float).reshape(-1, len(signs)) * signs
    return list(compress(trained, is_efficient(costs)))


def architecture_of(trial: FrozenTrial) -> Architecture:
    """The architecture of a trial, from its record."""
    return Architecture.model_validate_json(trial.user_attrs["description"])


def used(trial: FrozenTrial) -> bool:
    """Whether a trial has used up its slot."""
    return is_paused(trial) or (trial.state.is_finished() and trial.user_attrs.get("outcome") in USED)


def is_paused(trial: FrozenTrial) -> bool:
    """Whether a trial waits at a rung."""
    return trial.state == TrialState.RUNNING and trial.user_attrs.get("outcome") == "paused"
