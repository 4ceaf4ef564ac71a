"""What the frontier is worth: on images that no candidate was chosen by, and trained anew from several seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from archsearch.architecture import Architecture, Network, seeded_network
from archsearch.data import load_test
from archsearch.errors import FailedTrialError
from archsearch.proxy import ProxyScore, Training, evaluate
from archsearch.proxy.schedule import rung_end
from archsearch.stats.pareto import positions
from archsearch.storage.checkpoint import Checkpoint
from archsearch.storage.run_folder import RunFolder
from archsearch.storage.trial_record import FINAL, TIMED
from archsearch.storage.trial_store import frontier_trials
from archsearch.storage.weights import load_network, save_weights
from archsearch.study.context import TrialContext, phase
from archsearch.study.evaluate_candidate import profile_candidate
from archsearch.study.loop import Loop
from archsearch.study.train_candidate import Deadline

# A finalist's latency is measured so often anew, the finalists in turn: drifts of the machine meet all of them.
ROUNDS = 3
# A finalist's training is written down so often on its way.
PARTS = 10


def evaluate_frontier_on_test(study: optuna.Study, folder: RunFolder, context: TrialContext) -> None:
    """The frontier's accuracy on the test images, which the search has never seen; kept with the study.

    Weights that lie in another machine's folder are judged there.
    """
    known: dict[str, float] = dict(study.user_attrs.get("test_top1", {}))
    waiting = [
        trial
        for trial in frontier_trials(study)
        if trial.user_attrs["architecture"] not in known
        and folder.weights_of(trial.user_attrs["architecture"]).exists()
    ]
    if context.data is None or not waiting:
        return
    for trial in waiting:
        context.watcher.phase(trial.user_attrs["slot"], f"testing {trial.user_attrs['layout']}")
        architecture = Architecture.model_validate_json(trial.user_attrs["description"])
        network = load_network(architecture, folder.weights_of(architecture.id))
        known[architecture.id] = accuracy_on_test(network, context)
    study.set_user_attr("test_top1", known)


def accuracy_on_test(network: Network, context: TrialContext) -> float:
    """The share of the test images that are classified right."""
    if context.data is None:
        raise ValueError("a bench without evaluate needs data")
    test = load_test(context.config.data, context.space.image.shape, context.space.classes)
    top1, _ = evaluate(network.to(context.device), test, context.data.normalisation, context.device)
    return top1


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


def train_finalists(loop: Loop) -> None:
    """Train the finalists anew, each from every seed, and measure them anew; several workers share the work.

    What is done stands in the attributes of the study, ``final:ARCHITECTURE:SEED``: who is at it, then what
    came of it. A worker that is gone leaves its training to the next.
    """
    if loop.context.data is None:
        return
    while (final := loop.turn(lambda: claim_finalist(loop))) is not None:
        loop.context.watcher.phase(
            final.slot, f"training {final.architecture.layout} anew, seed {final.seed}"
        )
        came_of_it = retrain_and_test(final, loop.context)
        loop.turn(lambda: loop.store.study.set_user_attr(final.key, came_of_it))  # noqa: B023 - called at once
    if "latency_ms" in loop.context.config.objectives:
        loop.turn(lambda: remeasure_latencies(loop))


def choose_finalists(trials: Sequence[FrozenTrial], count: int) -> list[FrozenTrial]:
    """The ``count`` trials of a frontier that say most of it: its ends, then where it is sparse."""
    costs = [[-trial.values[0], *trial.values[1:]] for trial in trials]
    if not costs:
        return []
    places = positions(np.array(costs, dtype=float))
    return [trials[index] for index in places.argsort()[:count]]


def claim_finalist(loop: Loop) -> Finalist | None:
    """The next training that nobody is at, claimed."""
    study, config = loop.store.study, loop.context.config
    known: Mapping[str, Any] = study.user_attrs
    for trial in choose_finalists(frontier_trials(study), config.finalists):
        architecture = Architecture.model_validate_json(trial.user_attrs["description"])
        for seed in range(config.finalist_seeds):
            final = Finalist(architecture, trial.user_attrs["slot"], seed)
            entry = known.get(final.key)
            if entry is None or ("worker" in entry and not loop.locks.alive(entry["worker"])):
                study.set_user_attr(final.key, {"worker": loop.locks.worker})
                return final
    return None


def retrain_and_test(final: Finalist, context: TrialContext) -> dict[str, Any]:
    """What came of one training: accuracy on validation and test images, or why there is none."""
    try:
        with phase("train"):
            score, network = retrain(final, context)
            return {
                "top1": score.top1,
                "test_top1": accuracy_on_test(network, context),
                "samples": score.samples,
                "seconds": score.seconds,
            }
    except FailedTrialError as error:
        return {"error": str(error)}


def retrain(final: Finalist, context: TrialContext) -> tuple[ProxyScore, Network]:
    """The finalist, trained from a seed of its own, which no candidate of the search had."""
    config, folder = context.config, context.checkpoints
    if context.data is None or folder is None:
        raise ValueError("finalists need data and a folder")
    seed = config.seed + 1 + final.seed
    samples = config.finalist_samples or config.recipe.samples
    recipe = config.recipe.model_copy(update={"samples": samples, "seed": seed})
    network = seeded_network(final.architecture, seed)
    training = Training(
        network, context.data, recipe, context.device, Deadline(None, context.watcher, context.device_lock)
    )
    name = f"{final.architecture.id}-seed{final.seed}"
    checkpoint = Checkpoint(folder.checkpoint_of(name), f"{final.key}:{config.fingerprint}:{samples}")
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


def remeasure_latencies(loop: Loop) -> None:
    """The finalists' latencies, one after the other and round after round; kept with the study."""
    study, context = loop.store.study, loop.context
    waiting = {
        trial.user_attrs["architecture"]: Architecture.model_validate_json(trial.user_attrs["description"])
        for trial in choose_finalists(frontier_trials(study), context.config.finalists)
        if f"{TIMED}:{trial.user_attrs['architecture']}" not in study.user_attrs
    }
    found: dict[str, list[float]] = {identity: [] for identity in waiting}
    for _ in range(ROUNDS):
        for identity, architecture in waiting.items():
            found[identity].append(profile_candidate(architecture, context, shares=False).latency_ms)
    for identity, medians in found.items():
        study.set_user_attr(f"{TIMED}:{identity}", medians)
