"""Matched swaps of a trained candidate: it and its variants trained from the same seeds, to be compared in pairs.

A network is trained as a finalist is, from the same seeds: a finalist's training of the same length is taken over and
not repeated. What the record says of swaps: see ``plan_swaps``.
"""

from collections.abc import Sequence
from dataclasses import replace

import optuna

from archsearch.errors import InfeasibleError
from archsearch.profiling import device_name
from archsearch.space.swap import Swap
from archsearch.storage.run_folder import RunFolder
from archsearch.study.callbacks import Callback, CallbackList
from archsearch.study.inputs import Images
from archsearch.study.open_run import working
from archsearch.study.plan_swaps import (
    SwapOptions,
    plan_swaps,
    record_swaps,
    refuse_too_few,
    results_of,
    swap_trainings,
)
from archsearch.study.recorded_search import config_of, context_of
from archsearch.study.retrain import run_trainings
from archsearch.study.work_queue import WorkQueue


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
    context = context_of(folder, longer, swaps[0].original, device, data)
    context = replace(context, callbacks=CallbackList(callbacks))
    trainings = swap_trainings(swaps, trial.user_attrs["slot"], options.seeds, samples)
    with working(folder, folder.storage, study.study_name, threads or config.threads) as locks:
        locks.with_lock(lambda: record_swaps(study, options.number, swaps, trainings, context))
        context.callbacks.call(lambda callback: callback.on_swaps(swaps))
        done = len(results_of(study, trainings))
        context.callbacks.call(lambda callback: callback.on_start(done, len(trainings), None))
        if not trainings:
            raise InfeasibleError(explain_unmatched(swaps, options))
        notes = {"device": device_name(context.device)}
        run_trainings(WorkQueue(study, locks), lambda: trainings, context, notes)
    results = results_of(study, trainings)
    if len(results) == len(trainings) and all("error" in result for result in results):
        raise InfeasibleError(f"every training broke, the last one with: {results[-1]['error']}")


def explain_unmatched(swaps: Sequence[Swap], options: SwapOptions) -> str:
    """Why there is nothing to train, and what to do."""
    reasons = "; ".join(f"{swap.place}: {swap.note}" for swap in swaps)
    return (
        f"trial {options.number}: no stage can be swapped at equal {options.cost} ({reasons}); "
        "allow more with --tolerance, or take another trial"
    )
