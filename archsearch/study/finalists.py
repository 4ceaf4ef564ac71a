"""What follows a search: its finalists are retrained and measured again, its frontier is tested.

Finalists are some of the frontier; each is retrained from several seeds.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from optuna.trial import FrozenTrial

from archsearch.stats.pareto import positions
from archsearch.storage.trial_record import TIMED
from archsearch.storage.trial_store import architecture_of, frontier_trials
from archsearch.storage.weights import load_network
from archsearch.study.evaluate_candidate import profile_candidate
from archsearch.study.loop import Loop
from archsearch.study.retrain import Retraining, accuracy_on_test, final_key, run_trainings
from archsearch.study.work_queue import WorkQueue

# So often is a finalist's latency measured again, one finalist after the other: drifts of the machine affect them all.
ROUNDS = 3


def train_finalists(loop: Loop) -> None:
    """Retrain the finalists and measure them again; several workers share the work.

    Results are attributes of the study, ``final:ARCHITECTURE:SEED``.
    """
    context = loop.context
    if context.data is None:
        return
    run_trainings(WorkQueue(loop.store.study, loop.locks), lambda: finalists(loop), context, notes={})
    if "latency_ms" in context.config.objectives:
        loop.locks.with_lock(lambda: remeasure_latencies(loop))


def finalists(loop: Loop) -> Iterator[Retraining]:
    """Every training of every finalist."""
    config = loop.context.config
    for trial in choose_finalists(frontier_trials(loop.store.study), config.finalists):
        architecture = architecture_of(trial)
        for seed in range(config.finalist_seeds):
            yield Retraining(architecture, trial.user_attrs["slot"], seed, final_key(architecture, seed))


def choose_finalists(trials: Sequence[FrozenTrial], count: int) -> list[FrozenTrial]:
    """The ``count`` trials of a frontier that say most of it: its ends, then where it is sparse."""
    costs = [[-trial.values[0], *trial.values[1:]] for trial in trials]
    if not costs:
        return []
    places = positions(np.array(costs, dtype=float))
    return [trials[index] for index in places.argsort()[:count]]


def remeasure_latencies(loop: Loop) -> None:
    """The finalists' latencies, one after the other and round after round; kept with the study."""
    study, context = loop.store.study, loop.context
    waiting = {
        trial.user_attrs["architecture"]: architecture_of(trial)
        for trial in choose_finalists(frontier_trials(study), context.config.finalists)
        if f"{TIMED}:{trial.user_attrs['architecture']}" not in study.user_attrs
    }
    found: dict[str, list[float]] = {identity: [] for identity in waiting}
    for _ in range(ROUNDS):
        for identity, architecture in waiting.items():
            found[identity].append(profile_candidate(architecture, context, shares=False).latency_ms)
    for identity, medians in found.items():
        study.set_user_attr(f"{TIMED}:{identity}", medians)


def evaluate_frontier_on_test(loop: Loop) -> None:
    """The frontier's accuracy on the test images, which the search has never seen; kept with the study.

    Weights that lie in another machine's folder are tested there. Under the lock of the record.
    """
    study, folder, context = loop.store.study, loop.folder, loop.context
    if context.source is None:
        return
    known: dict[str, float] = study.user_attrs.get("test_top1", {})
    found: dict[str, float] = {}
    for trial in frontier_trials(study):
        identity = trial.user_attrs["architecture"]
        if identity not in known and folder.weights_of(identity).exists():
            context.announce(trial.user_attrs["slot"], f"testing {trial.user_attrs['layout']}")
            network = load_network(architecture_of(trial), folder.weights_of(identity))
            found[identity] = accuracy_on_test(network, context)
    if found:
        study.set_user_attr("test_top1", {**known, **found})
