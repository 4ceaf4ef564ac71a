"""Trainings of swaps as the record of a study keeps them: ``swap_training:ARCHITECTURE:SAMPLES:SEED``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from archsearch.profiling import device_name
from archsearch.space.swap import Swap
from archsearch.storage.trial_record import SWAP, SWAP_TRAINING
from archsearch.study.context import TrialContext
from archsearch.study.plan_swaps import SwapOptions, describe_swap
from archsearch.study.retrain import Finalist, retrain_and_test
from archsearch.study.work_queue import is_result


@dataclass(frozen=True)
class SwapTraining(Finalist):
    """One training of a swap, of so many ``samples``; it could be a finalist's."""

    samples: int

    @property
    def key(self) -> str:
        """Its name in the record."""
        return f"{SWAP_TRAINING}:{self.architecture.id}:{self.samples}:{self.seed}"

    @property
    def finalist(self) -> Finalist:
        """The same training, as the run's own finalist."""
        return Finalist(self.architecture, self.slot, self.seed)


def trainings(swaps: Sequence[Swap], slot: int, seeds: int, samples: int) -> tuple[SwapTraining, ...]:
    """What is to be trained, seed by seed, the original before its variants; nothing where there are no variants."""
    variants = [swap.variant for swap in swaps if swap.variant is not None]
    networks = [swaps[0].original, *variants] if variants else []
    return tuple(SwapTraining(network, slot, seed, samples) for seed in range(seeds) for network in networks)


def note(
    study: optuna.Study,
    swaps: Sequence[Swap],
    tasks: Sequence[SwapTraining],
    context: TrialContext,
    options: SwapOptions,
) -> None:
    """The swaps into the record, in the place of what they were; and the results of finalists of the run."""
    samples = context.config.finalist_samples or context.config.recipe.samples
    for swap in swaps:
        key = f"{SWAP}:{options.number}:{swap.cost}:{swap.place}:{swap.kind}"
        study.set_user_attr(key, describe_swap(swap, options.number, samples))
    known: Mapping[str, Any] = study.user_attrs
    for task in tasks:
        same = result_as_finalist(task, known, context)
        if same is not None and "top1" not in known.get(task.key, {}):
            study.set_user_attr(task.key, same)


def result_as_finalist(
    task: SwapTraining, known: Mapping[str, Any], context: TrialContext
) -> dict[str, Any] | None:
    """The result of the same training of a finalist: of the same length, on the same kind of device."""
    entry, batch = known.get(task.finalist.key, {}), context.config.recipe.batch_size
    device = known.get("device")
    if entry.get("samples") != task.samples // batch * batch or device != device_name(context.device):
        return None
    return {**entry, "device": device}


def train_swap(task: SwapTraining, context: TrialContext) -> dict[str, Any]:
    """The result of one training."""
    context.announce(task.slot, f"training {task.architecture.layout}, seed {task.seed}")
    return {**retrain_and_test(task.finalist, context), "device": device_name(context.device)}


def results_of(study: optuna.Study, tasks: Sequence[SwapTraining]) -> list[Mapping[str, Any]]:
    """The results of those trainings that have one."""
    known = study.user_attrs
    return [known[task.key] for task in tasks if is_result(known.get(task.key))]
