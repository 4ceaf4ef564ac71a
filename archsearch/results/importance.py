"""How much each choice of the space decides each objective: conditional PED-ANOVA over the trained trials.

A choice is important if the best tenth of the trials took other values of it than all of them. That includes
choices that are only asked where another one opened them, such as the heads of an attention stage. Shares say
which choices to look at first, not which value is the better one.

Sources: PED-ANOVA, Watanabe et al. 2023, https://arxiv.org/abs/2304.10255; conditional PED-ANOVA,
https://arxiv.org/abs/2601.20800, as Optuna's ``PedAnovaImportanceEvaluator`` has it.
"""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from archsearch.objectives import objective_of

FEWEST_TRAININGS = 10
SHUFFLES = 20
CHANCE = 0.95
# A choice counts by what the best of all trials took: this share of them.
QUANTILE = 0.1
COLUMNS = {
    "parameter": "string",
    "objective": "string",
    "importance": "Float64",
    "by_chance": "Float64",
    "asked": "Int64",
    "trials": "Int64",
}


def importance_frame(study: optuna.Study) -> pd.DataFrame:
    """One row for each objective and choice, the most important first; empty below ten trained trials.

    ``importance`` is the choice's share of the objective's importances, which add up to 1. ``by_chance``, in the same
    unit (it may exceed 1), is what the largest of all choices came to when the values were dealt to the trials at
    random: the 95th percentile of twenty deals; a choice below it may be important for no reason. ``asked`` trials had the choice to make,
    of ``trials`` that were trained. Of an empty frame ``attrs["reason"]`` says why it is empty.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    why = reason_against(study, trials)
    names = study.metric_names or []
    limit = math.nan if why else chance(study, [trial.number for trial in trials])
    found = [] if why else [importances(study, values_of(trials, i, name)) for i, name in enumerate(names)]
    rows = [
        row for name, each in zip(names, found, strict=False) for row in rows_of(trials, name, each, limit)
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    frame.attrs["reason"] = why
    return frame


def reason_against(study: optuna.Study, trials: Sequence[FrozenTrial]) -> str | None:
    """Why nothing is said about the choices, if nothing is."""
    if len(trials) < FEWEST_TRAININGS:
        return f"{len(trials)} trained trials say nothing about the choices: {FEWEST_TRAININGS} are needed"
    if not any(trial.params for trial in trials):
        return "the space leaves nothing open"
    return None if study.metric_names else "the study does not say what its values are"


def values_of(trials: Sequence[FrozenTrial], index: int, name: str) -> dict[int, float]:
    """An objective by the number of the trial, less being better."""
    sign = -1 if objective_of(name).direction == "maximize" else 1
    return {trial.number: sign * trial.values[index] for trial in trials}  # noqa: PD011 - a trial is no frame


def rows_of(
    trials: Sequence[FrozenTrial], name: str, found: Mapping[str, float], limit: float
) -> Iterator[Mapping[str, Any]]:
    """The rows of one objective."""
    total = math.fsum(found.values()) or 1.0
    for parameter, amount in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        asked = sum(parameter in trial.params for trial in trials)
        row = (parameter, name, amount / total, limit / total, asked, len(trials))
        yield dict(zip(COLUMNS, row, strict=True))


def importances(study: optuna.Study, values: Mapping[int, float]) -> dict[str, float]:
    """How much each choice decides whether low ``values`` (by the number of the trial) are reached; 0 not at all.

    Not as shares: dealt at random, values make small amounts, and shares that add up to 1 all the same.
    """
    with warnings.catch_warnings():
        # That low values are meant, and that some value of a choice was hardly ever tried: said in the frame.
        warnings.simplefilter("ignore")
        return get_param_importances(
            study,
            evaluator=PedAnovaImportanceEvaluator(target_quantile=QUANTILE),
            target=lambda trial: values[trial.number],
            normalize=False,
        )


def chance(study: optuna.Study, numbers: Sequence[int]) -> float:
    """The largest importance that some choice has for values dealt at random: the 95th percentile.

    For every objective the same: what counts is which tenth is the best.
    """
    generator = np.random.default_rng(0)
    largest = []
    for _ in range(SHUFFLES):
        dealt = generator.permutation(len(numbers)).astype(float)
        found = importances(study, dict(zip(numbers, dealt.tolist(), strict=True)))
        largest.append(max(found.values(), default=0.0))
    return float(np.quantile(largest, CHANCE))
