"""A candidate's training inside a study: its scores, its rungs, its limits, and where it goes on from."""

import math
import time
from dataclasses import asdict, replace

from archsearch.architecture import Architecture, Network, seeded_network
from archsearch.data import ImageData
from archsearch.errors import FailedTrialError
from archsearch.proxy import ProxyScore, Training, zero_cost_scores
from archsearch.proxy.limits import limited_memory
from archsearch.proxy.schedule import rung_end
from archsearch.search import Reading
from archsearch.storage.checkpoint import Checkpoint
from archsearch.storage.trial_record import SCORES, TrialRecord
from archsearch.study.callbacks import Callback
from archsearch.study.config import StudyConfig
from archsearch.study.context import Budget, Evaluate, TrialContext, phase
from archsearch.workers.device_lock import DeviceLock

SCORED_IMAGES = 32


def train_candidate(
    record: TrialRecord, architecture: Architecture, context: TrialContext
) -> tuple[TrialRecord, Network | None]:
    """The record with its accuracy, and the trained network unless something stood in for training.

    In a study that promotes, the training goes to the next rung of the record and comes back ``paused``.
    """
    if context.evaluate is not None:
        return call_evaluate(record, architecture, context.evaluate, context), None
    if context.data is None:
        raise ValueError("a bench without evaluate needs data")
    if context.config.scores and record.score_seconds is None:
        record = score_untrained(record, architecture, context.data, context)
    with phase("train"):
        return run_training(record, architecture, context.data, context)


def next_rung(record: TrialRecord, config: StudyConfig) -> int:
    """How many rungs a candidate has behind it when it comes back; one more than there are is the end."""
    return len(record.rungs or ()) + 1 if config.promotes else len(config.rungs) + 1


def call_evaluate(
    record: TrialRecord, architecture: Architecture, evaluate: Evaluate, context: TrialContext
) -> TrialRecord:
    """The record with what stands in for training says, at the next rung or at the end."""
    config, target = context.config, next_rung(record, context.config)
    ended = target > len(config.rungs)
    share = 1.0 if ended else config.rungs[target - 1]
    steps = config.recipe.samples // config.recipe.batch_size
    samples = rung_end(share, steps) * config.recipe.batch_size
    start = time.perf_counter()
    with phase("evaluate"):
        answer = evaluate(architecture, Budget(config.recipe, share, samples, record.slot))
        said = answer if isinstance(answer, Reading) else Reading(float(answer))
    if not 0 <= said.top1 <= 1:
        raise FailedTrialError("evaluate", f"evaluate returned {said.top1}, and top-1 lies between 0 and 1")
    seconds = (record.train_seconds or 0.0) + time.perf_counter() - start
    record = replace(record, samples=samples, train_seconds=seconds)
    if ended:
        return replace(record, outcome="trained", top1=said.top1, train_loss=said.train_loss)
    rung = {"share": share, "samples": samples, "top1": said.top1, "seconds": seconds}
    rung |= {"train_loss": said.train_loss} if said.train_loss is not None else {}
    return replace(record, outcome="paused", rungs=(*(record.rungs or ()), rung))


def score_untrained(
    record: TrialRecord, architecture: Architecture, data: ImageData, context: TrialContext
) -> TrialRecord:
    """The record with the scores of the untrained network on the first training images; finite ones only.

    Scores that this network does not have, or that break on it, cost nothing else; ``error`` says why.
    """
    start = time.perf_counter()
    try:
        with phase("score"):
            images = data.normalisation.apply(data.train.images[:SCORED_IMAGES])
            found = asdict(
                zero_cost_scores(architecture, images, seed=context.config.seed, device=context.device)
            )
    except FailedTrialError as error:
        return replace(record, error=str(error), score_seconds=time.perf_counter() - start)
    finite = {name: found[name] for name in SCORES if math.isfinite(found[name])}
    return replace(record, **finite, score_seconds=time.perf_counter() - start)


def run_training(
    record: TrialRecord, architecture: Architecture, data: ImageData, context: TrialContext
) -> tuple[TrialRecord, Network | None]:
    """The record with what the training came to, from rung to rung; and the network, trained to the end."""
    config, target = context.config, next_rung(record, context.config)
    network = seeded_network(architecture, config.seed)
    deadline = Deadline(config.candidate_seconds, context.watcher, context.device_lock)
    training = Training(network, data, config.recipe, context.device, deadline)
    checkpoint = checkpoint_of(architecture, context)
    rungs = resume_training(training, checkpoint)
    deadline.spent = training.seconds
    score = None
    with limited_memory(config.candidate_memory_mib, context.device):
        for share in config.rungs[len(rungs) : target]:
            rungs.append(rung_reading(share, training.rung(share)))
            if checkpoint is not None:
                checkpoint.save(training.state(), rungs)
        if target > len(config.rungs):
            score = training.finish()
    record = replace(
        record,
        rungs=tuple(rungs) or None,
        samples=training.done * training.batch,
        train_seconds=training.seconds,
    )
    if score is None:
        return replace(record, outcome="paused"), None
    record = replace(
        record, outcome="trained", top1=score.top1, val_loss=score.loss, train_loss=score.train_loss
    )
    return record, network


def checkpoint_of(architecture: Architecture, context: TrialContext) -> Checkpoint | None:
    """Where this candidate's training is kept between rungs."""
    if context.checkpoints is None:
        return None
    owner = f"{architecture.id}:{context.config.fingerprint}"
    return Checkpoint(context.checkpoints.checkpoint_of(architecture.id), owner)


def resume_training(training: Training, checkpoint: Checkpoint | None) -> list[dict[str, float]]:
    """The rungs that a stopped training had read; it goes on behind the last of them."""
    kept = checkpoint.load() if checkpoint is not None else None
    if kept is None:
        return []
    state, rungs = kept
    training.load(state)
    return rungs


def rung_reading(share: float, score: ProxyScore) -> dict[str, float]:
    """What a rung says, flat."""
    return {
        "share": share,
        "samples": score.samples,
        "top1": score.top1,
        "val_loss": score.loss,
        "train_loss": score.train_loss,
        "seconds": score.seconds,
    }


class Deadline:
    """Passes each step on to the watcher and waits while another worker measures, until the time is up.

    Attributes:
        spent: seconds that the training had taken when it went on.
    """

    def __init__(
        self, seconds: float | None, watcher: Callback, device_lock: DeviceLock | None = None
    ) -> None:
        self.spent = 0.0
        self._limit, self._watcher, self._quiet = seconds, watcher, device_lock
        self._start = time.monotonic()

    def __call__(self, done: int, steps: int) -> None:
        """Told after each step; FailedTrialError when the training has taken too long."""
        self._watcher.step(done, steps)
        if self._quiet is not None:
            self._quiet.wait()
        taken = self.spent + time.monotonic() - self._start
        if self._limit is not None and taken > self._limit:
            reason = f"took {taken:.0f} s by step {done} of {steps}; candidate_seconds is {self._limit:g}"
            raise FailedTrialError("train", reason)
