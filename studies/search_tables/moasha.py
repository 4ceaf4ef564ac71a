"""Syne Tune's MOASHA behind lines of JSON; run by the Python of an environment that has ``syne-tune`` 0.16.

    python moasha.py SEED RUNGS REPAIRED

``{}`` asks for a trial and is answered ``{"trial": 3, "draw": 712}``; ``{"trial": 3, "level": 0, "quality": 0.4,
"cost": 2e6}`` reports a rung and is answered ``{"stop": false}``. Level 0 is the lowest rung, level RUNGS the end;
to MOASHA they are 1, 3, 9 of 9 units.
"""

import json
import sys

import numpy as np
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import randint
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA
from syne_tune.optimizer.schedulers.multiobjective.multiobjective_priority import NonDominatedPriority
from syne_tune.optimizer.schedulers.multiobjective.non_dominated_priority import (
    compute_epsilon_net,
    pareto_efficient,
)

ETA = 3


class RepairedPriority(NonDominatedPriority):
    """The rank of the newest trial: by fronts, within a front spaced as Syne Tune means to space it.

    The original returns which trial has which rank, and is read the other way round, twice. Only the place of the
    last row is asked for: the others are told apart only where they are before it, and no longer than they decide.
    """

    def priority_unsafe(self, objectives: np.ndarray) -> np.ndarray:
        priorities = np.full(len(objectives), np.inf)
        remaining = np.arange(len(objectives))
        while len(objectives) - len(remaining) <= len(objectives) / ETA:
            first = pareto_efficient(objectives[remaining])
            front = remaining[first]
            if first[-1]:
                # The helper's answer is the rank of each row, though it says that it is the order of the rows.
                priorities[front] = compute_epsilon_net(objectives[front], dim=self.dim)
                break
            priorities[front] = -1.0
            remaining = remaining[~first]
        return priorities


def main() -> None:
    """Answer until the other side closes."""
    seed, rungs, repaired = map(int, sys.argv[1:])
    np.random.seed(seed)  # noqa: NPY002 - Syne Tune draws from the global generator
    moasha = MOASHA(
        {"draw": randint(0, 2**31 - 1)},
        metrics=["quality", "cost"],
        time_attr="time",
        multiobjective_priority=RepairedPriority() if repaired else None,
        max_t=ETA**rungs,
        reduction_factor=ETA,
        random_seed=seed,
    )
    trials: list[Trial] = []
    for line in sys.stdin:
        question = json.loads(line)
        answer = report(moasha, trials[question["trial"]], question) if question else propose(moasha, trials)
        print(json.dumps(answer), flush=True)


def propose(moasha: MOASHA, trials: list[Trial]) -> dict[str, int]:
    """A new trial."""
    trial = Trial(len(trials), moasha.suggest().config, creation_time=None)
    trials.append(trial)
    moasha.on_trial_add(trial)
    return {"trial": trial.trial_id, "draw": int(trial.config["draw"])}


def report(moasha: MOASHA, trial: Trial, question: dict[str, float]) -> dict[str, bool]:
    """What MOASHA says of a trial that has reached a rung."""
    result = {"time": ETA ** question["level"], "quality": question["quality"], "cost": question["cost"]}
    return {"stop": moasha.on_trial_result(trial, result) == "STOP"}


if __name__ == "__main__":
    main()
