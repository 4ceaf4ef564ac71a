"""Job after job, a candidate is started or continues from its rung, is evaluated and recorded, until the budget is used up.

An own loop over Optuna's storage: ``Study.optimize`` hides storage errors behind its own, and knows nothing of
pausing. Workers read and write the record one at a time, under its lock.
"""

import time
from contextlib import suppress
from dataclasses import dataclass

from archsearch.errors import ArchsearchError, InfeasibleError
from archsearch.storage.run_folder import RunFolder
from archsearch.storage.trial_store import TrialStore, frontier_trials
from archsearch.storage.weights import save_weights
from archsearch.study.context import TrialContext
from archsearch.study.evaluate_candidate import Candidate, evaluate_candidate
from archsearch.study.next_job import Job, JobSource, Wait
from archsearch.workers.signals import defer_signals
from archsearch.workers.worker_lock import WorkerLock

MAX_FAILURES_IN_A_ROW = 10
# How often a worker that has nothing to do looks whether that has changed.
POLL_S = 0.5


@dataclass(frozen=True)
class Ending:
    """How a search ended: slots used up, and whether the space had nothing more to offer."""

    used: int
    exhausted: bool


class Loop:
    """One worker's passage through the budget."""

    def __init__(
        self, store: TrialStore, folder: RunFolder, context: TrialContext, locks: WorkerLock
    ) -> None:
        self.store = store
        self.folder = folder
        self.context = context
        self.locks = locks
        self.jobs = JobSource(store, folder, context)
        self.failures: list[str] = []
        self.busy: set[int] = set()

    def run(self) -> Ending:
        """Use up every slot that is free, and wait for those that others work on."""
        self.begin()
        try:
            while (job := self.claim()) is not None:
                if isinstance(job, Wait):
                    time.sleep(POLL_S)
                else:
                    self.settle(job, evaluate_candidate(job.record, job.architecture, self.context))
        except BaseException:
            self.release()
            raise
        return self.ending()

    def begin(self) -> None:
        """Tell the callbacks how much of the budget is used."""
        done = self.locks.with_lock(self.store.used)
        best = max((t.user_attrs["top1"] for t in done if "top1" in t.user_attrs), default=None)
        slots = self.context.config.slots
        self.context.callbacks.call(lambda callback: callback.on_start(len(done), slots, best))

    def ending(self) -> Ending:
        """How the search ended."""
        count = len(self.locks.with_lock(self.store.used))
        return Ending(count, exhausted=count < self.context.config.slots)

    def claim(self) -> Job | Wait | None:
        """The next job. A claim whose lock broke off was nobody's, and is recovered by the one that repeats it."""
        job = self.locks.with_lock(self.next_job)
        if isinstance(job, Job):
            self.busy.add(job.trial_id)
        return job

    def next_job(self) -> Job | Wait | None:
        """Claim what is to be done next, after the trials of dead workers are free again."""
        self.store.recover_orphans(self.locks.alive, self.busy, resumable=self.context.config.promotes)
        return self.jobs.next()

    def settle(self, job: Job, candidate: Candidate) -> None:
        """Record the result of a candidate; nothing, if it is another worker's by now."""
        number, done = self.locks.with_lock(lambda: (self.put(job, candidate), len(self.store.used())))
        self.busy.discard(job.trial_id)
        self.context.callbacks.call(lambda callback: callback.on_progress(done))
        if number is not None:
            self.context.callbacks.call(lambda callback: callback.on_trial_end(number, candidate.record))
        if candidate.record.outcome == "failed":
            self.count_failure(str(candidate.record.error))
        elif candidate.record.outcome != "infeasible":
            self.failures.clear()

    def put(self, job: Job, candidate: Candidate) -> int | None:
        """Write a candidate into the record, its weights before what says that they exist; the trial's number."""
        trial = self.store.mine(job.trial_id)
        if trial is None:
            return None
        record = candidate.record
        if record.outcome == "paused":
            self.store.pause(trial, record, candidate.constraints)
            return trial.number
        if candidate.weights is not None:
            save_weights(candidate.weights, self.folder.weights_of(record.architecture))
        self.store.end(trial, record, candidate.constraints)
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
        """Delete the weights of candidates that are dominated by now."""
        wanted = {t.user_attrs["architecture"] for t in frontier_trials(self.store.study)}
        for path in self.folder.weights.glob("*.safetensors"):
            if path.stem not in wanted:
                path.unlink()

    def release(self) -> None:
        """Stopped in the middle: the trials of this worker are marked, and rerun later."""
        self.busy.clear()
        # The caller has to see what stopped the search.
        with suppress(ArchsearchError), self.locks.locked(), defer_signals():
            self.store.recover_orphans(
                lambda worker: worker != self.locks.worker, set(), resumable=self.context.config.promotes
            )
