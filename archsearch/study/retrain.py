"""A network trained again from a seed of its own, as finalists and swaps are."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from archsearch.architecture import Architecture, Network, seeded_network
from archsearch.data import load_test
from archsearch.errors import FailedTrialError
from archsearch.proxy import ProxyScore, Training, evaluate
from archsearch.proxy.schedule import rung_end
from archsearch.storage.checkpoint import Checkpoint
from archsearch.storage.trial_record import FINAL
from archsearch.storage.weights import save_weights
from archsearch.study.context import TrialContext, phase
from archsearch.study.step_hook import StepHook
from archsearch.study.work_queue import WorkQueue

# Checkpoints of such a training cut it into so many parts.
PARTS = 10


@dataclass(frozen=True)
class Retraining:
    """One training of a network: the ``seed``-th one beside the search, and ``key`` is its name in the record."""

    architecture: Architecture
    slot: int
    seed: int
    key: str


def final_key(architecture: Architecture, seed: int) -> str:
    """The name of a finalist's training in the record."""
    return f"{FINAL}:{architecture.id}:{seed}"


def run_trainings(
    queue: WorkQueue,
    trainings: Callable[[], Iterable[Retraining]],
    context: TrialContext,
    notes: Mapping[str, str],
) -> None:
    """Do whatever of ``trainings`` has no result in the record yet; several workers share the work.

    ``notes`` are recorded with each result.
    """

    def train(training: Retraining) -> Mapping[str, Any]:
        context.announce(training.slot, f"retraining {training.architecture.layout}, seed {training.seed}")
        return {**retrain_and_test(training, context), **notes}

    def tell(done: Retraining, result: Mapping[str, Any]) -> None:
        context.callbacks.call(
            lambda callback: callback.on_training_end(done.architecture, done.seed, result)
        )

    queue.run(trainings, train, recorded=tell)


def retrain_and_test(training: Retraining, context: TrialContext) -> dict[str, Any]:
    """The result of one training: accuracy on validation and test images, or why there is none."""
    try:
        with phase("train"):
            score, network = retrain(training, context)
            return {
                "top1": score.top1,
                "test_top1": accuracy_on_test(network, context),
                "samples": score.samples,
                "seconds": score.seconds,
            }
    except FailedTrialError as error:
        return {"error": str(error)}


def accuracy_on_test(network: Network, context: TrialContext) -> float:
    """The share of the test images that are classified right, in [0, 1]."""
    if context.source is None:
        raise ValueError("this study has no test images")
    test = load_test(context.source, context.space.image.shape, context.space.classes)
    top1, _ = evaluate(network.to(context.device), test, context.images.normalisation, context.device)
    return top1


def retrain(wanted: Retraining, context: TrialContext) -> tuple[ProxyScore, Network]:
    """The score and the network, trained from a seed of its own, which no candidate of the search had."""
    config, folder = context.config, context.checkpoints
    if folder is None:
        raise ValueError("a training beside the search needs a folder")
    seed = config.seed + 1 + wanted.seed
    samples = config.finalist_samples or config.recipe.samples
    recipe = config.recipe.model_copy(update={"samples": samples, "seed": seed})
    network = seeded_network(wanted.architecture, seed)
    hook = StepHook(None, context.callbacks, context.device_lock)
    training = Training(network, context.images, recipe, context.device, hook)
    name = f"{wanted.architecture.id}-seed{wanted.seed}"
    owner = f"{final_key(wanted.architecture, wanted.seed)}:{config.fingerprint}:{samples}"
    checkpoint = Checkpoint(folder.checkpoint_of(name), owner)
    checkpoint.resume(training)
    for part in range(1, PARTS):
        until = rung_end(part / PARTS, training.steps)
        if until > training.done:
            training.advance(until)
            checkpoint.save(training.state(), [])
    score = training.finish()
    save_weights(network.state_dict(), folder.finals / f"{name}.safetensors")
    checkpoint.path.unlink(missing_ok=True)
    return score, network
