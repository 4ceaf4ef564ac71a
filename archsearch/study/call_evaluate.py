"""A candidate evaluated by what stands in for training, which may return named values beside its accuracy."""

import math
import time
from collections.abc import Mapping
from dataclasses import replace

from archsearch.architecture import Architecture
from archsearch.errors import FailedTrialError, InputError, Problem
from archsearch.objectives import OBJECTIVES
from archsearch.proxy.schedule import rung_end
from archsearch.search import Reading
from archsearch.storage.trial_record import RESERVED, TrialRecord
from archsearch.study.config import StudyConfig
from archsearch.study.context import TrialContext, phase
from archsearch.study.inputs import Budget, Evaluate

READINGS = ("top1", "train_loss")


def call_evaluate(
    record: TrialRecord, architecture: Architecture, evaluate: Evaluate, context: TrialContext
) -> TrialRecord:
    """The record with what ``evaluate`` returns, at the next rung or at the end.

    It returns top-1 accuracy in [0, 1]; a ``Reading`` that has the training loss too; or a mapping with ``top1``, perhaps
    ``train_loss``, and values of the caller's own such as ``energy_mj``: amounts of 0 or more. Those that are objectives
    are costs, of which less is better, and lie above 0: the hypervolume takes their logarithms.
    """
    config, target = context.config, next_rung(record, context.config)
    ended = target > len(config.rungs)
    share = 1.0 if ended else config.rungs[target - 1]
    steps = config.recipe.samples // config.recipe.batch_size
    samples = rung_end(share, steps) * config.recipe.batch_size
    start = time.perf_counter()
    with phase("evaluate"):
        answer = evaluate(architecture, Budget(config.recipe, share, samples, record.slot))
        said, values = named_values(answer, config)
    if not 0 <= said.top1 <= 1:
        raise FailedTrialError("evaluate", f"evaluate returned {said.top1}, and top-1 lies between 0 and 1")
    seconds = (record.train_seconds or 0.0) + time.perf_counter() - start
    record = replace(record, samples=samples, train_seconds=seconds, values=values or None)
    if ended:
        return replace(record, outcome="trained", top1=said.top1, train_loss=said.train_loss)
    rung = {"share": share, "samples": samples, "top1": said.top1, "seconds": seconds}
    rung |= {"train_loss": said.train_loss} if said.train_loss is not None else {}
    context.callbacks.call(lambda callback: callback.on_rung(rung))
    return replace(record, outcome="paused", rungs=(*(record.rungs or ()), rung))


def next_rung(record: TrialRecord, config: StudyConfig) -> int:
    """How many rungs a candidate has behind it when it comes back; one more than there are is the end."""
    return len(record.rungs or ()) + 1 if config.promotes else len(config.rungs) + 1


def named_values(
    answer: float | Reading | Mapping[str, float], config: StudyConfig
) -> tuple[Reading, dict[str, float]]:
    """The accuracy with its training loss, and the values of the caller's own, all that the study asks for.

    Raises:
        InputError: a value has the name of something that archsearch records itself.
        FailedTrialError: a value is missing, negative or no number, or an objective is 0.
    """
    if isinstance(answer, Reading):
        answer = {name: getattr(answer, name) for name in READINGS}
    elif not isinstance(answer, Mapping):
        answer = {"top1": answer}
    own = {name: float(value) for name, value in answer.items() if name not in READINGS}
    taken = sorted(own.keys() & RESERVED)
    if taken:
        what, remedy = "is a name that archsearch uses in the record itself", "return it under another name"
        raise InputError("evaluate", [Problem(name, what, remedy) for name in taken])
    asked = ["top1", *(name for name in config.objectives if name not in OBJECTIVES)]
    missing = [name for name in asked if name not in answer]
    if missing:
        raise FailedTrialError("evaluate", f"no {', '.join(missing)} in {', '.join(answer) or 'nothing'}")
    wrong = [f"{name} is {value}" for name, value in own.items() if not 0 <= value < math.inf]
    if wrong:
        raise FailedTrialError("evaluate", f"{', '.join(wrong)}, and an amount is 0 or more")
    nothing = [f"{name} is {own[name]:g}" for name in asked if own.get(name) == 0]
    if nothing:
        raise FailedTrialError("evaluate", f"{', '.join(nothing)}, and the cost of an objective is above 0")
    loss = answer.get("train_loss")
    return Reading(float(answer["top1"]), None if loss is None else float(loss)), own
