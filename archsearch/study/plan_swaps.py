"""Which swaps of a trained candidate are to be trained, each stage as another kind at equal cost, and their record.

In the attributes of the study, ``swap:NUMBER:COST:PLACE:KIND`` is a swap and ``swap_training:ARCHITECTURE:SAMPLES:SEED``
a training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from archsearch.counting import globality
from archsearch.errors import InputError, Problem
from archsearch.profiling import device_name
from archsearch.space.swap import TOLERANCE, Swap, matched_swaps
from archsearch.stages import Part
from archsearch.storage.trial_record import SWAP, SWAP_TRAINING
from archsearch.storage.trial_store import architecture_of, frontier_trials
from archsearch.study.context import TrialContext
from archsearch.study.retrain import Retraining, final_key
from archsearch.study.work_queue import is_result


@dataclass(frozen=True)
class SwapOptions:
    """Which swaps are wanted, and how they are trained.

    Attributes:
        number: of the trial whose stages are swapped.
        stage: which of them, from 0; None for each.
        cost: what is kept equal, ``macs`` or ``params``.
        tolerance: how nearly, as a share of it.
        seeds: trainings of each network.
        samples: training images of each; as many as of a candidate of the search if it is None.
    """

    number: int
    stage: int | None = None
    cost: str = "macs"
    tolerance: float = TOLERANCE
    seeds: int = 3
    samples: int | None = None


def plan_swaps(study: optuna.Study, options: SwapOptions) -> list[Swap]:
    """The swaps of a trained trial, matched and not yet trained; kinds are written as the run's own trials write them.

    Raises:
        InputError: there is no such trained trial, stage or cost.
    """
    trials = [t for t in study.get_trials(deepcopy=False) if t.user_attrs.get("outcome") == "trained"]
    trial = next((trial for trial in trials if trial.number == options.number), None)
    if trial is None:
        what = f"{options.number} is no trained trial of this run"
        known = ", ".join(str(trial.number) for trial in frontier_trials(study)) or "none"
        raise InputError("archsearch swap", [Problem("--trial", what, f"on the frontier are: {known}")])
    return matched_swaps(
        architecture_of(trial),
        cost=options.cost,
        tolerance=options.tolerance,
        stage=options.stage,
        examples=examples(trials),
    )


def examples(trials: Sequence[FrozenTrial]) -> dict[tuple[int, str], Part]:
    """Each stage and kind as the most accurate trial writes it that has the kind there."""
    found: dict[tuple[int, str], Part] = {}
    for trial in sorted(trials, key=lambda trial: (-trial.user_attrs["top1"], trial.number)):
        for index, stage in enumerate(architecture_of(trial).stages):
            found.setdefault((index, stage.kind), stage)
    return found


def describe_swap(swap: Swap, number: int, samples: int) -> dict[str, Any]:
    """A swap as the record keeps it: what ``results.swaps`` shows, and the variant as JSON."""
    before, now = swap.original, swap.variant
    return {
        "number": number,
        "place": swap.place,
        "kind_from": before.stages[swap.index].kind,
        "kind_to": swap.kind,
        "architecture_from": before.id,
        "architecture_to": now.id if now is not None else None,
        "layout_from": before.layout,
        "layout_to": now.layout if now is not None else None,
        "cost_name": swap.cost,
        "cost_from": swap.cost_from,
        "cost_to": swap.cost_to,
        "channels_from": before.stages[swap.index].channels,
        "channels_to": now.stages[swap.index].channels if now is not None else None,
        "globality_from": globality(before),
        "globality_to": globality(now) if now is not None else None,
        "samples": samples,
        "note": swap.note or None,
        "description": now.model_dump_json() if now is not None else None,
    }


def refuse_too_few(samples: int, options: SwapOptions, batch: int) -> None:
    """InputError for less than a step of training, or no training at all."""
    problems = []
    if samples < batch:
        what = f"{samples} are less than one batch of {batch}"
        problems.append(Problem("--samples", what, f"write at least {batch}"))
    if options.seeds < 1:
        problems.append(Problem("--seeds", f"{options.seeds} are none", "write 1 or more; 3 tell a spread"))
    if problems:
        raise InputError("archsearch swap", problems)


def swap_trainings(swaps: Sequence[Swap], slot: int, seeds: int, samples: int) -> tuple[Retraining, ...]:
    """What is to be trained, seed by seed, the original before its variants; nothing where there are no variants."""
    variants = [swap.variant for swap in swaps if swap.variant is not None]
    networks = [swaps[0].original, *variants] if variants else []
    return tuple(
        Retraining(network, slot, seed, f"{SWAP_TRAINING}:{network.id}:{samples}:{seed}")
        for seed in range(seeds)
        for network in networks
    )


def record_swaps(
    study: optuna.Study,
    number: int,
    swaps: Sequence[Swap],
    trainings: Sequence[Retraining],
    context: TrialContext,
) -> None:
    """The swaps of trial ``number`` into the record, in the place of earlier ones; and the results of finalists of the run."""
    samples = context.config.finalist_samples or context.config.recipe.samples
    for swap in swaps:
        key = f"{SWAP}:{number}:{swap.cost}:{swap.place}:{swap.kind}"
        study.set_user_attr(key, describe_swap(swap, number, samples))
    known: Mapping[str, Any] = study.user_attrs
    for training in trainings:
        same = result_as_finalist(training, samples, known, context)
        if same is not None and "top1" not in known.get(training.key, {}):
            study.set_user_attr(training.key, same)


def result_as_finalist(
    training: Retraining, samples: int, known: Mapping[str, Any], context: TrialContext
) -> dict[str, Any] | None:
    """The result of the same training of a finalist: of the same length, on the same kind of device."""
    entry = known.get(final_key(training.architecture, training.seed), {})
    batch, device = context.config.recipe.batch_size, known.get("device")
    if entry.get("samples") != samples // batch * batch or device != device_name(context.device):
        return None
    return {**entry, "device": device}


def results_of(study: optuna.Study, trainings: Sequence[Retraining]) -> list[Mapping[str, Any]]:
    """The results of those trainings that have one."""
    known = study.user_attrs
    return [known[training.key] for training in trainings if is_result(known.get(training.key))]
