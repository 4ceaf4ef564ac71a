"""Slot after slot, a proposal is judged and recorded, until the budget is used up.

An own loop over Optuna's ask and tell: ``Study.optimize`` hides storage errors behind its own.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from archsearch.errors import FailedTrialError, InfeasibleError
from archsearch.study.bench import Bench
from archsearch.study.folder import RunFolder
from archsearch.study.objective import Candidate, counted, judge
from archsearch.study.propose import Given, Proposal, infeasible_in, propose
from archsearch.study.record import TrialRecord
from archsearch.study.signals import undisturbed
from archsearch.study.storage import finished
from archsearch.study.weights import save_weights

MAX_FAILURES_IN_A_ROW = 10
MAX_INFEASIBLE_IN_A_SLOT = 50


@dataclass(frozen=True)
class Ending:
    """How a search ended: slots used up, and whether the space had nothing more to offer."""

    used: int
    exhausted: bool


class Loop:
    """One process's passage through the budget."""

    def __init__(self, study: optuna.Study, folder: RunFolder, bench: Bench) -> None:
        self.study = study
        self.folder = folder
        self.bench = bench
        self.failures: list[str] = []

    def run(self) -> Ending:
        """Use up every slot that is free."""
        interrupt_orphans(self.study)
        trials = self.bench.config.trials
        done = finished(self.study)
        best = max((t.user_attrs["top1"] for t in done if "top1" in t.user_attrs), default=None)
        self.bench.watcher.started(len(done), trials, best)
        while (slot := free_slot(self.study, trials)) is not None:
            record = self.study.get_trials(deepcopy=False)
            proposal = propose(self.bench.space, self.bench.config, record, slot)
            if proposal is None or infeasible_in(record, slot) >= MAX_INFEASIBLE_IN_A_SLOT:
                return self.exhausted()
            self.run_trial(proposal, slot)
        # Every slot is used up: no training is waiting to go on.
        shutil.rmtree(self.folder.checkpoints, ignore_errors=True)
        return Ending(len(finished(self.study)), exhausted=False)

    def exhausted(self) -> Ending:
        """Nothing new within the limits is found: the end of a small space, or of one that is too narrow."""
        used = len(finished(self.study))
        if used:
            return Ending(used, exhausted=True)
        space = self.bench.space
        over = nearest_excess(self.study.get_trials(deepcopy=False))
        if not over:
            space.draw(self.bench.config.seed)
        reasons = ", ".join(f"{name} is exceeded by {excess:.4g} or more" for name, excess in over.items())
        raise InfeasibleError(f"{space.name}: no candidate is within the limits; raise them ({reasons})")

    def run_trial(self, proposal: Proposal, slot: int) -> None:
        """One candidate from question to record; stopped in the middle, it is marked and run again later."""
        with undisturbed():
            trial = self.ask(proposal, slot)
        try:
            candidate = judge(proposal.architecture, slot, self.bench)
        except FailedTrialError as error:
            record = replace(
                counted(proposal.architecture, slot, self.bench.space), outcome="failed", error=str(error)
            )
            with undisturbed():
                self.store(trial, record, {}, TrialState.FAIL)
            self.count_failure(str(error))
        except BaseException:
            with undisturbed():
                trial.set_user_attr("outcome", "interrupted")
                self.study.tell(trial, state=TrialState.FAIL)
            raise
        else:
            with undisturbed():
                self.tell(trial, candidate)

    def ask(self, proposal: Proposal, slot: int) -> Trial:
        """A running trial in the record, with the proposal's answers as its parameters."""
        self.study.sampler = Given(proposal.params)
        trial = self.study.ask()
        trial.set_user_attr("slot", slot)
        self.bench.space.sample(trial)
        return trial

    def tell(self, trial: Trial, candidate: Candidate) -> None:
        """Trained candidates are complete, their weights on the disk before the record says so."""
        record = candidate.record
        if record.outcome != "trained":
            self.store(trial, record, candidate.constraints, TrialState.PRUNED)
            return
        self.failures.clear()
        if candidate.network is not None:
            save_weights(candidate.network, self.folder.weights_of(record.architecture))
        self.store(trial, record, candidate.constraints, TrialState.COMPLETE)
        self.keep_frontier_weights()

    def store(
        self, trial: Trial, record: TrialRecord, constraints: dict[str, float], state: TrialState
    ) -> None:
        """Attributes and constraints first: nothing can be added to a trial that is told."""
        for name, value in record.attributes().items():
            trial.set_user_attr(name, value)
        for name, excess in sorted(constraints.items()):
            trial.set_constraint(name, excess)
        values = (
            [record.value(o) for o in self.bench.config.objectives] if state == TrialState.COMPLETE else None
        )
        self.study.tell(trial, values, state)
        self.folder.checkpoint_of(record.architecture).unlink(missing_ok=True)
        self.bench.watcher.recorded(trial.number, record)

    def count_failure(self, reason: str) -> None:
        """Ten failures in a row are no accident."""
        self.failures.append(reason)
        if len(self.failures) >= MAX_FAILURES_IN_A_ROW:
            raise InfeasibleError(
                f"the last {len(self.failures)} candidates failed, the last one with: {reason}"
            )

    def keep_frontier_weights(self) -> None:
        """Weights of candidates that are dominated by now are let go."""
        wanted = {t.user_attrs["architecture"] for t in self.study.best_trials}
        for path in self.folder.weights.glob("*.safetensors"):
            if path.stem not in wanted:
                path.unlink()


def interrupt_orphans(study: optuna.Study) -> None:
    """Trials of a process that is gone, since this one owns the folder: their slots are free again."""
    storage = study._storage  # noqa: SLF001 - a trial of another process can only be marked through the storage
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING)):
        storage.set_trial_user_attr(trial._trial_id, "outcome", "interrupted")  # noqa: SLF001
        storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)  # noqa: SLF001


def nearest_excess(record: Sequence[FrozenTrial]) -> dict[str, float]:
    """For each limit that was exceeded, by how little at the best."""
    excesses: dict[str, float] = {}
    for trial in record:
        for name, excess in trial.constraints.items():
            if excess > 0:
                excesses[name] = min(excess, excesses.get(name, excess))
    return excesses


def free_slot(study: optuna.Study, trials: int) -> int | None:
    """The first slot of the budget that no finished trial has used up."""
    used = {trial.user_attrs["slot"] for trial in finished(study)}
    return next((slot for slot in range(trials) if slot not in used), None)
