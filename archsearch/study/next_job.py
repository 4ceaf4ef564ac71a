"""What a worker does next: a candidate continues from its rung, or a new one is started, until the budget is used up.

Every method belongs under the lock of the record: all that several workers share is the record.
"""

import shutil
from dataclasses import dataclass

from archsearch.architecture import Architecture
from archsearch.errors import InfeasibleError
from archsearch.search import Observation, ProposalSeed, next_promotion, propose
from archsearch.storage.run_folder import RunFolder
from archsearch.storage.trial_record import TrialRecord
from archsearch.storage.trial_store import TrialStore, architecture_of, used
from archsearch.study.context import TrialContext
from archsearch.study.evaluate_candidate import new_record
from archsearch.study.feasible_space import FeasibleSpace

MAX_INFEASIBLE_IN_A_SLOT = 50


@dataclass(frozen=True)
class Job:
    """A trial that is this worker's: what is known of it, and what is to be trained."""

    trial_id: int
    record: TrialRecord
    architecture: Architecture


@dataclass(frozen=True)
class Wait:
    """Nothing to do for now: what others work on may change that."""


class JobSource:
    """Claims the jobs of one worker, one after the other."""

    def __init__(self, store: TrialStore, folder: RunFolder, context: TrialContext) -> None:
        self.store = store
        self.folder = folder
        self.context = context
        self.space = FeasibleSpace(context.space, context.config)
        # How many candidates were known when nothing new could be proposed; more to know may change that.
        self.exhausted_at: int | None = None

    def next(self) -> Job | Wait | None:
        """Claim what is to be done next; None when the budget is used up and nobody works on anything."""
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
        """The next candidate that continues from its rung."""
        halving = self.context.config.halving
        choice = next_promotion(known, halving, more_to_come=more_to_come) if halving is not None else None
        if choice is None:
            return None
        slot, by_chance = choice
        trial = self.store.take(slot, audit=by_chance)
        record = TrialRecord.of({**trial.user_attrs, **({"audit": True} if by_chance else {})})
        return Job(trial._trial_id, record, architecture_of(trial))  # noqa: SLF001 - the storage's name for it

    def start(self, known: list[Observation], slot: int) -> Job | None:
        """A new candidate for a slot; None if there is none to be had."""
        config, attempt = self.context.config, self.store.infeasible_in(slot)
        seed = ProposalSeed(config.seed, slot, attempt)
        sampler = (self.context.sampler or config.sampler) if slot < config.trials else "map"
        proposal = None
        if attempt < MAX_INFEASIBLE_IN_A_SLOT:
            proposal = propose(self.space, sampler, known, seed, self.space.references())
        if proposal is None:
            self.exhausted_at = len(known)
            return None
        record = new_record(proposal.architecture, slot, self.context.space)
        return Job(self.store.claim(proposal, record), record, proposal.architecture)

    def close(self) -> None:
        """End the search: nobody works on anything, nothing is left to do, and no training waits to be continued."""
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
        measured = [f"{limit} is exceeded by {excess:.4g} or more" for limit, excess in sorted(over.items())]
        reasons = "; ".join([self.space.limited.explain_infeasible(self.context.config.seed), *measured])
        return f"{name}: no candidate is within the limits ({reasons}); raise the limit that fails most"
