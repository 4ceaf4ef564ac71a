"""One architecture trained in full: with checkpoints, resumed bit for bit, evaluated on validation and test images.

The folder of a training:

    run.json                 whose folder it is: architecture, data, recipe, seed, threads, start, device
    checkpoint.safetensors   the state on the way; deleted at the end
    architecture.yaml        what was trained
    weights.safetensors      its weights at the end
    curve.csv                the learning curve, see ``study.callbacks.rung_reading`` for the columns
    result.json              accuracies and conditions; written last
"""

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

from archsearch.architecture import Architecture, Network
from archsearch.data import load_test
from archsearch.errors import FailedTrialError, InfeasibleError
from archsearch.proxy import ProxyScore, Training, evaluate
from archsearch.proxy.schedule import rung_end
from archsearch.storage.checkpoint import Checkpoint
from archsearch.study.callbacks import Callback, CallbackList, rung_reading
from archsearch.study.config import StudyConfig
from archsearch.study.prepare import cpu_threads
from archsearch.study.step_hook import StepHook
from archsearch.study.training_plan import (
    TrainedNetwork,
    TrainingPlan,
    claim_folder,
    plan_training,
    read_result,
    summarize,
    write_result,
)

# Points of the learning curve; and how often, beside these, a long training may have a checkpoint.
POINTS = 20
STOPS = 200
SECONDS_BETWEEN_CHECKPOINTS = 60.0


def train_architecture(
    architecture: Architecture,
    study: StudyConfig,
    out: str | Path,
    *,
    weights: Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> TrainedNetwork:
    """Train ``architecture`` by the recipe of ``study`` in the folder ``out``; the same call resumes.

    Of the study count ``data``, ``recipe``, ``seed``, which decides initial weights and the order of images,
    ``device`` and ``threads``. ``weights`` are those to start from, under our names. ``callbacks`` are called for each
    step (``on_step``) and each point of the learning curve (``on_rung``). A training that is stopped resumes
    from its last checkpoint, with the same bits at the end on a CPU.

    Raises:
        DataError, InputError: data, device or weights cannot be used; nothing is written.
        InfeasibleError: the loss is no number, or the memory does not suffice.
        RunFolderError: the folder belongs to something else, or another process works in it.
        EnvironmentFaultError: the disk failed.
    """
    plan = plan_training(architecture, study, out, weights)
    network = plan.network()
    with claim_folder(plan), cpu_threads(study.threads):
        if plan.result.exists():
            return read_result(plan, fresh=False)
        try:
            train_and_evaluate(plan, network, CallbackList(callbacks))
        except FailedTrialError as error:
            remedy = "write a lower learning_rate, or a smaller batch_size, in the recipe of a study file"
            raise InfeasibleError(f"{architecture.name}: {error}; {remedy}") from error
    return read_result(plan, fresh=True)


def train_and_evaluate(plan: TrainingPlan, network: Network, callbacks: CallbackList) -> None:
    """Train to the end, evaluate, and write the files; the result last."""
    training = Training(network, plan.data, plan.recipe, plan.device, StepHook(None, callbacks))
    owner = hashlib.sha256(json.dumps(plan.identity(), sort_keys=True).encode()).hexdigest()
    checkpoint = Checkpoint(plan.checkpoint, owner)
    score, curve = run_training(training, checkpoint, callbacks)
    test = load_test(plan.study.data, plan.architecture.image.shape, plan.architecture.classes)
    test_top1, _ = evaluate(network, test, plan.data.normalisation, plan.device)
    on_test = {"test_top1": test_top1, "test_images": len(test)}
    write_result(plan, network, curve, {**summarize(plan, score), **on_test})


def run_training(
    training: Training, checkpoint: Checkpoint, callbacks: CallbackList
) -> tuple[ProxyScore, list[dict[str, float]]]:
    """The score at the end and the curve to it, from where the checkpoint stands."""
    curve = checkpoint.resume(training)
    saved = time.monotonic()
    for until, is_point in stops(training.steps).items():
        if until <= training.done:
            continue
        training.advance(until)
        if is_point:
            curve.append(rung_reading(until / training.steps, training.score()))
        if is_point or time.monotonic() - saved >= SECONDS_BETWEEN_CHECKPOINTS:
            checkpoint.save(training.state(), curve)
            saved = time.monotonic()
        if is_point:
            callbacks.call(lambda callback: callback.on_rung(curve[-1]))
    score = training.finish()
    curve.append(rung_reading(1.0, score))
    callbacks.call(lambda callback: callback.on_rung(curve[-1]))
    return score, curve


def stops(steps: int) -> dict[int, bool]:
    """The steps before the last at which a checkpoint may be saved, and whether each is a point of the curve."""
    points = {rung_end(point / POINTS, steps) for point in range(1, POINTS)}
    others = {rung_end(stop / STOPS, steps) for stop in range(1, STOPS)}
    return {until: until in points for until in sorted(points | others) if until < steps}
