"""Matched swaps of a trained candidate: it and its variants trained from the same seeds, to be compared in pairs.

What is to be done and its results stand in the attributes of the study: ``swap:NUMBER:COST:PLACE:KIND`` is a swap (see
``plan_swaps.describe_swap``), ``swap_training:ARCHITECTURE:SAMPLES:SEED`` a training. A network is trained as a finalist
is, from the same seeds: a finalist's training of the same length is taken over and not repeated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import optuna

from archsearch.errors import InfeasibleError, InputError, Problem
from archsearch.profiling import device_name
from archsearch.space.swap import Swap
from archsearch.storage.run_folder import RunFolder
from archsearch.storage.trial_record import SWAP, SWAP_TRAINING
from archsearch.study.callbacks import Callback, CallbackList
from archsearch.study.config import StudyConfig
from archsearch.study.context import TrialContext
from archsearch.study.open_run import working
from archsearch.study.plan_swaps import SwapOptions, architecture_of, describe_swap, plan_swaps
from archsearch.study.prepare import Images
from archsearch.study.recorded_search import config_of, context_of
from archsearch.study.retrain import Finalist, retrain_and_test, tell_training
from archsearch.study.work_queue import WorkQueue, is_result
from archsearch.workers.worker_lock import with_lock


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


def train_swaps(
    study: optuna.Study,
    folder: RunFolder,
    options: SwapOptions,
    *,
    device: str = "auto",
    threads: int | None = None,
    data: Images | None = None,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Train a trial and its swaps from the same seeds; the same call resumes, or is one more worker.

    Recipe and images are those of the search that ``folder`` belongs to; more ``samples`` are more epochs of the
    same images. ``threads`` is the study's own number if it is left out. ``data`` are the images of a run that was
    given them.

    Raises:
        InputError: no such trial, stage, cost or device, or the run's candidates were not trained by a recipe.
        RunFolderError: the images are no longer those of the run, or another version made it.
        InfeasibleError: no stage can be swapped at equal cost, or every training broke.
        EnvironmentFaultError: the disk or the database failed; what is recorded is kept.
    """
    config = config_of(folder)
    samples = options.samples or config.recipe.samples
    refuse_too_few(samples, options, config)
    swaps, trial = plan_swaps(study, options), study.get_trials(deepcopy=False)[options.number]
    longer = config.model_copy(update={"finalist_samples": samples})
    context = context_of(folder, longer, architecture_of(trial), device, data)
    context = replace(context, callbacks=CallbackList(callbacks))
    tasks = trainings(swaps, trial.user_attrs["slot"], options.seeds, samples)
    with working(folder, folder.storage, study.study_name, threads or config.threads) as locks:
        with_lock(locks, lambda: note(study, swaps, tasks, context, options))
        announce(swaps, tasks, results_of(study, tasks), context.callbacks, options)
        train = partial(train_swap, context=context)
        told = partial(tell_training, context.callbacks)
        WorkQueue(study, locks).run(lambda: tasks, train, recorded=told)
    results = results_of(study, tasks)
    if len(results) == len(tasks) and all("error" in result for result in results):
        raise InfeasibleError(f"every training broke, the last one with: {results[-1]['error']}")


def refuse_too_few(samples: int, options: SwapOptions, config: StudyConfig) -> None:
    """InputError for less than a step of training, or no training at all."""
    problems, batch = [], config.recipe.batch_size
    if samples < batch:
        what = f"{samples} are less than one batch of {batch}"
        problems.append(Problem("--samples", what, f"write at least {batch}"))
    if options.seeds < 1:
        problems.append(Problem("--seeds", f"{options.seeds} are none", "write 1 or more; 3 tell a spread"))
    if problems:
        raise InputError("archsearch swap", problems)


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


def announce(
    swaps: Sequence[Swap],
    tasks: Sequence[SwapTraining],
    results: Sequence[Mapping[str, Any]],
    callbacks: CallbackList,
    options: SwapOptions,
) -> None:
    """Tell what will be trained; InfeasibleError if that is nothing."""
    callbacks.call(lambda callback: callback.on_swaps(swaps))
    callbacks.call(lambda callback: callback.on_start(len(results), len(tasks), None))
    if not tasks:
        reasons = "; ".join(f"{swap.place}: {swap.note}" for swap in swaps)
        raise InfeasibleError(
            f"trial {options.number}: no stage can be swapped at equal {options.cost} ({reasons}); "
            "allow more with --tolerance, or take another trial"
        )


def train_swap(task: SwapTraining, context: TrialContext) -> dict[str, Any]:
    """The result of one training."""
    context.announce(task.slot, f"training {task.architecture.layout}, seed {task.seed}")
    return {**retrain_and_test(task.finalist, context), "device": device_name(context.device)}


def results_of(study: optuna.Study, tasks: Sequence[SwapTraining]) -> list[Mapping[str, Any]]:
    """The results of those trainings that have one."""
    known = study.user_attrs
    return [known[task.key] for task in tasks if is_result(known.get(task.key))]
