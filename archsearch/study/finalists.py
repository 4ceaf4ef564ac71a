"""The finalists of a search: some of the frontier, retrained from several seeds and measured again."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from archsearch.architecture import Architecture
from archsearch.stats.pareto import positions
from archsearch.storage.trial_record import TIMED
from archsearch.storage.trial_store import frontier_trials
from archsearch.study.evaluate_candidate import profile_candidate
from archsearch.study.loop import Loop
from archsearch.study.retrain import Finalist, retrain_and_test, tell_training
from archsearch.study.work_queue import WorkQueue

# A finalist's latency is measured again so often, the finalists in turn: drifts of the machine meet all of them.
ROUNDS = 3


def train_finalists(loop: Loop) -> None:
    """Retrain the finalists and measure them again; several workers share the work.

    Results stand in the attributes of the study, ``final:ARCHITECTURE:SEED``.
    """
    context = loop.context
    if context.data is None:
        return

    def train(finalist: Finalist) -> Mapping[str, Any]:
        context.announce(finalist.slot, f"retraining {finalist.architecture.layout}, seed {finalist.seed}")
        return retrain_and_test(finalist, context)

    WorkQueue(loop.store.study, loop.locks).run(
        lambda: finalists(loop), train, recorded=partial(tell_training, context.callbacks)
    )
    if "latency_ms" in context.config.objectives:
        loop.with_lock(lambda: remeasure_latencies(loop))


def finalists(loop: Loop) -> Iterator[Finalist]:
    """Every training of every finalist."""
    config = loop.context.config
    for trial in choose_finalists(frontier_trials(loop.store.study), config.finalists):
        architecture = Architecture.model_validate_json(trial.user_attrs["description"])
        for seed in range(config.finalist_seeds):
            yield Finalist(architecture, trial.user_attrs["slot"], seed)


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
