"""A candidate's training inside a study: its scores, its rungs, its limits, and where it resumes."""

import math
import time
from dataclasses import asdict, replace

from archsearch.architecture import Architecture, Network, seeded_network
from archsearch.errors import FailedTrialError
from archsearch.proxy import Training, zero_cost_scores
from archsearch.proxy.limits import limited_memory
from archsearch.storage.checkpoint import Checkpoint
from archsearch.storage.trial_record import SCORES, TrialRecord
from archsearch.study.call_evaluate import call_evaluate, next_rung
from archsearch.study.callbacks import rung_reading
from archsearch.study.context import TrialContext, phase
from archsearch.study.step_hook import StepHook

SCORED_IMAGES = 32


def train_candidate(
    record: TrialRecord, architecture: Architecture, context: TrialContext
) -> tuple[TrialRecord, Network | None]:
    """The record with its accuracy, and the trained network unless something stood in for training.

    In a study that promotes, the training goes to the next rung of the record and comes back ``paused``.
    """
    if context.evaluate is not None:
        return call_evaluate(record, architecture, context.evaluate, context), None
    if context.config.scores and record.score_seconds is None:
        record = score_untrained(record, architecture, context)
    with phase("train"):
        return run_training(record, architecture, context)


def score_untrained(record: TrialRecord, architecture: Architecture, context: TrialContext) -> TrialRecord:
    """The record with the scores of the untrained network on the first training images; finite ones only.

    Scores that this network does not have, or that break on it, cost nothing else; ``error`` says why.
    """
    start, data = time.perf_counter(), context.images
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
    record: TrialRecord, architecture: Architecture, context: TrialContext
) -> tuple[TrialRecord, Network | None]:
    """The record with the result of the training, from rung to rung; and the network, trained to the end."""
    config, target = context.config, next_rung(record, context.config)
    network = seeded_network(architecture, config.seed)
    hook = StepHook(config.candidate_seconds, context.callbacks, context.device_lock)
    training = Training(network, context.images, config.recipe, context.device, hook)
    checkpoint = checkpoint_of(architecture, context)
    rungs = checkpoint.resume(training) if checkpoint is not None else []
    hook.spent = training.seconds
    score = None
    with limited_memory(config.candidate_memory_mib, context.device):
        for share in config.rungs[len(rungs) : target]:
            reading = rung_reading(share, training.rung(share))
            rungs.append(reading)
            if checkpoint is not None:
                checkpoint.save(training.state(), rungs)
            context.callbacks.call(lambda callback: callback.on_rung(reading))  # noqa: B023 - called at once
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
