"""Move after move, a candidate is started or goes on from its rung, is judged and recorded, until the budget is used up.

An own loop over Optuna's storage: ``Study.optimize`` hides storage errors behind its own, and knows nothing of
pausing. All that several workers share is the record, and they read and write it in turns.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from optuna.trial import TrialState

from archsearch.architecture import Architecture
from archsearch.errors import ArchsearchError, InfeasibleError
from archsearch.search import Observation, ProposalSeed, next_promotion, propose
from archsearch.space import choices_for
from archsearch.storage.faults import retry_while_down
from archsearch.storage.run_folder import RunFolder
from archsearch.storage.trial_record import TrialRecord
from archsearch.storage.trial_store import TrialStore, frontier_trials, used
from archsearch.storage.weights import save_weights
from archsearch.study.context import TrialContext
from archsearch.study.evaluate_candidate import Candidate, evaluate_candidate, new_record
from archsearch.study.feasible_space import FeasibleSpace
from archsearch.trial import FixedTrial, Proposal, proposal_of
from archsearch.workers.locks import Locks
from archsearch.workers.signals import defer_signals

MAX_FAILURES_IN_A_ROW = 10
MAX_INFEASIBLE_IN_A_SLOT = 50
# How often a worker that has nothing to do looks whether that has changed.
POLL_S = 0.5

Result = TypeVar("Result")
ENDS = {"trained": TrialState.COMPLETE, "infeasible": TrialState.PRUNED, "failed": TrialState.FAIL}


@dataclass(frozen=True)
class Ending:
    """How a search ended: slots used up, and whether the space had nothing more to offer."""

    used: int
    exhausted: bool


@dataclass(frozen=True)
class Job:
    """A trial that is this worker's: what is known of it, and what is to be trained."""

    trial_id: int
    record: TrialRecord
    architecture: Architecture


@dataclass(frozen=True)
class Wait:
    """Nothing to do for now: what others are at may change that."""


def with_lock(locks: Locks, action: Callable[[], Result]) -> Result:
    """Do something to the record while nobody else does; a request to stop waits until it is done."""

    def once() -> Result:
        with locks.turn(), defer_signals():
            return action()

    return retry_while_down(once)


class Loop:
    """One worker's passage through the budget."""

    def __init__(self, store: TrialStore, folder: RunFolder, context: TrialContext, locks: Locks) -> None:
        self.store = store
        self.folder = folder
        self.context = context
        self.locks = locks
        self.searched = FeasibleSpace(context.space, context.config)
        self.failures: list[str] = []
        self.busy: set[int] = set()
        # How many candidates were known when nothing new could be proposed; more to know may change that.
        self.exhausted_at: int | None = None

    def run(self) -> Ending:
        """Use up every slot that is free, and wait for those that others are at."""
        self.begin()
        try:
            while (move := self.claimed()) is not None:
                if isinstance(move, Wait):
                    time.sleep(POLL_S)
                else:
                    self.settle(move, evaluate_candidate(move.record, move.architecture, self.context))
        except BaseException:
            self.release()
            raise
        return self.ending()

    def begin(self) -> None:
        """Tell where the run stands."""
        done = self.turn(self.store.used)
        best = max((t.user_attrs["top1"] for t in done if "top1" in t.user_attrs), default=None)
        self.context.watcher.started(len(done), self.context.config.slots, best)

    def ending(self) -> Ending:
        """What came of it."""
        count = len(self.turn(self.store.used))
        return Ending(count, exhausted=count < self.context.config.slots)

    def turn(self, action: Callable[[], Result]) -> Result:
        """Do something to the record while nobody else does; see ``with_lock``."""
        return with_lock(self.locks, action)

    def claimed(self) -> Job | Wait | None:
        """The next move; one whose turn broke off was nobody's, and the turn that repeats it reaps it."""
        move = self.turn(self.next_move)
        if isinstance(move, Job):
            self.busy.add(move.trial_id)
        return move

    def next_move(self) -> Job | Wait | None:
        """Claim what is to be done next; None when the budget is used up and nobody is at anything."""
        self.store.recover_orphans(self.locks.alive, self.busy, resumable=self.context.config.promotes)
        known = self.store.known()
        slot = self.store.free_slot(self.context.config.slots)
        exhausted = self.exhausted_at == len(known)
        if slot is not None and not exhausted:
            job = self.promotion(known, more_to_come=True) or self.start(known, slot)
            if job is not None:
                return job
        job = self.promotion(known, more_to_come=False)
        if job is not None:
            return job
        if any(k.state == "running" for k in known):
            return Wait()
        self.close()
        return None

    def promotion(self, known: list[Observation], *, more_to_come: bool) -> Job | None:
        """The next candidate that goes on from its rung."""
        halving = self.context.config.halving
        choice = next_promotion(known, halving, more_to_come=more_to_come) if halving is not None else None
        if choice is None:
            return None
        slot, by_chance = choice
        trial = self.store.take(slot, audit=by_chance)
        record = TrialRecord.of({**trial.user_attrs, **({"audit": True} if by_chance else {})})
        architecture = Architecture.model_validate_json(record.description)
        return Job(trial._trial_id, record, architecture)  # noqa: SLF001 - the storage's name for it

    def start(self, known: list[Observation], slot: int) -> Job | None:
        """A new candidate for a slot; None if there is none to be had."""
        config, attempt = self.context.config, self.store.infeasible_in(slot)
        place = ProposalSeed(config.seed, slot, attempt)
        proposal = None
        if attempt < MAX_INFEASIBLE_IN_A_SLOT:
            proposal = propose(self.searched, config.sampler_of(slot), known, place, self.references())
        if proposal is None:
            self.exhausted_at = len(known)
            return None
        record = new_record(proposal.architecture, slot, self.context.space)
        return Job(self.store.claim(proposal, record), record, proposal.architecture)

    def references(self) -> Iterator[Proposal]:
        """The space's references, in the order of its file."""
        for architecture in self.context.space.references:
            yield proposal_of(self.searched, FixedTrial(choices_for(self.context.space, architecture)))

    def close(self) -> None:
        """Nobody is at anything and nothing is left to do: no training is waiting to go on."""
        if not any(used(trial) for trial in self.store.trials()):
            raise InfeasibleError(self.nothing_found())
        self.store.stop_paused()
        shutil.rmtree(self.folder.checkpoints, ignore_errors=True)

    def nothing_found(self) -> str:
        """Why there is no candidate: what chance says of the limits, and how near the measured ones came."""
        name = self.context.space.name
        over: dict[str, float] = {}
        for trial in self.store.trials():
            for limit, excess in trial.constraints.items():
                if excess > 0:
                    over[limit] = min(excess, over.get(limit, excess))
        judged = [f"{limit} is exceeded by {excess:.4g} or more" for limit, excess in sorted(over.items())]
        said = "; ".join([self.searched.explain_infeasible(), *judged])
        return f"{name}: no candidate is within the limits ({said}); raise the limit that fails most"

    def settle(self, job: Job, candidate: Candidate) -> None:
        """What became of a candidate, recorded; nothing, if it is another worker's by now."""
        number, done = self.turn(lambda: (self.put(job, candidate), len(self.store.used())))
        self.busy.discard(job.trial_id)
        self.context.watcher.standing(done)
        if number is not None:
            self.context.watcher.recorded(number, candidate.record)
        if candidate.record.outcome == "failed":
            self.count_failure(str(candidate.record.error))
        elif candidate.record.outcome != "infeasible":
            self.failures.clear()

    def put(self, job: Job, candidate: Candidate) -> int | None:
        """Into the record, weights before what says that they are there; the trial's number."""
        trial = self.store.mine(job.trial_id)
        if trial is None:
            return None
        record = candidate.record
        if record.outcome == "paused":
            self.store.pause(trial, record, candidate.constraints)
            return trial.number
        if candidate.weights is not None:
            save_weights(candidate.weights, self.folder.weights_of(record.architecture))
        self.store.end(trial, record, candidate.constraints, ENDS[record.outcome])
        self.folder.checkpoint_of(record.architecture).unlink(missing_ok=True)
        if candidate.weights is not None:
            self.keep_frontier_weights()
        return trial.number

    def count_failure(self, reason: str) -> None:
        """Ten failures in a row are no accident."""
        self.failures.append(reason)
        if len(self.failures) >= MAX_FAILURES_IN_A_ROW:
            raise InfeasibleError(
                f"the last {len(self.failures)} candidates failed, the last one with: {reason}"
            )

    def keep_frontier_weights(self) -> None:
        """Weights of candidates that are dominated by now are let go."""
        wanted = {t.user_attrs["architecture"] for t in frontier_trials(self.store.study)}
        for path in self.folder.weights.glob("*.safetensors"):
            if path.stem not in wanted:
                path.unlink()

    def release(self) -> None:
        """Stopped in the middle: what this worker was at is marked, and done again later."""
        self.busy.clear()
        # What stopped the search is what the caller has to hear.
        with suppress(ArchsearchError), self.locks.turn(), defer_signals():
            self.store.recover_orphans(
                lambda worker: worker != self.locks.worker, set(), resumable=self.context.config.promotes
            )
