"""A network trained again from a seed of its own, as finalists and swaps are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archsearch.architecture import Architecture, Network, seeded_network
from archsearch.errors import FailedTrialError
from archsearch.proxy import ProxyScore, Training
from archsearch.proxy.schedule import rung_end
from archsearch.storage.checkpoint import Checkpoint
from archsearch.storage.trial_record import FINAL
from archsearch.storage.weights import save_weights
from archsearch.study.callbacks import CallbackList
from archsearch.study.context import TrialContext, phase
from archsearch.study.frontier_test import accuracy_on_test
from archsearch.study.step_hook import StepHook

# Such a training is written down so often on its way.
PARTS = 10


@dataclass(frozen=True)
class Finalist:
    """One training of one finalist."""

    architecture: Architecture
    slot: int
    seed: int

    @property
    def key(self) -> str:
        """Its name in the record."""
        return f"{FINAL}:{self.architecture.id}:{self.seed}"


def tell_training(callbacks: CallbackList, finalist: Finalist, result: Mapping[str, Any]) -> None:
    """Tell that a training has been stored."""
    callbacks.call(lambda callback: callback.on_training_end(finalist.architecture, finalist.seed, result))


def retrain_and_test(finalist: Finalist, context: TrialContext) -> dict[str, Any]:
    """The result of one training: accuracy on validation and test images, or why there is none."""
    try:
        with phase("train"):
            score, network = retrain(finalist, context)
            return {
                "top1": score.top1,
                "test_top1": accuracy_on_test(network, context),
                "samples": score.samples,
                "seconds": score.seconds,
            }
    except FailedTrialError as error:
        return {"error": str(error)}


def retrain(finalist: Finalist, context: TrialContext) -> tuple[ProxyScore, Network]:
    """The network, trained from a seed of its own, which no candidate of the search had."""
    config, folder = context.config, context.checkpoints
    if folder is None:
        raise ValueError("a training beside the search needs a folder")
    seed = config.seed + 1 + finalist.seed
    samples = config.finalist_samples or config.recipe.samples
    recipe = config.recipe.model_copy(update={"samples": samples, "seed": seed})
    network = seeded_network(finalist.architecture, seed)
    hook = StepHook(None, context.callbacks, context.device_lock)
    training = Training(network, context.images, recipe, context.device, hook)
    name = f"{finalist.architecture.id}-seed{finalist.seed}"
    checkpoint = Checkpoint(folder.checkpoint_of(name), f"{finalist.key}:{config.fingerprint}:{samples}")
    kept = checkpoint.load()
    if kept is not None:
        training.load(kept[0])
    for part in range(1, PARTS):
        until = rung_end(part / PARTS, training.steps)
        if until > training.done:
            training.advance(until)
            checkpoint.save(training.state(), [])
    score = training.finish()
    save_weights(network.state_dict(), folder.finals / f"{name}.safetensors")
    checkpoint.path.unlink(missing_ok=True)
    return score, network
