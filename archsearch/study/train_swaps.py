"""Matched swaps of a trained candidate: it and its variants trained from the same seeds, to be compared in pairs.

What is to be done and its results stand in the attributes of the study: ``swap:NUMBER:COST:PLACE:KIND`` is a swap (see
``plan_swaps.describe_swap``), ``swap_training:ARCHITECTURE:SAMPLES:SEED`` a training. A network is trained as a finalist
is, from the same seeds: a finalist's training of the same length is taken over and not repeated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import optuna

from archsearch.errors import InfeasibleError
from archsearch.space.swap import Swap
from archsearch.storage.run_folder import RunFolder
from archsearch.study.callbacks import Callback, CallbackList
from archsearch.study.open_run import working
from archsearch.study.plan_swaps import SwapOptions, architecture_of, plan_swaps, refuse_too_few
from archsearch.study.prepare import Images
from archsearch.study.recorded_search import config_of, context_of
from archsearch.study.retrain import tell_training
from archsearch.study.swap_record import SwapTraining, note, results_of, train_swap, trainings
from archsearch.study.work_queue import WorkQueue
from archsearch.workers.worker_lock import with_lock


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
    refuse_too_few(samples, options, config.recipe.batch_size)
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
