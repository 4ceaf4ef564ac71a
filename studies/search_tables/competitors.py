"""Other people's searches, at the same questions and costs: random, Optuna as it comes, Syne Tune's MOASHA.

Nobody pays twice: a point that is proposed again is answered from the record, at no cost. A point that cannot be
trained costs nothing either, and is told as pruned, which is all that Optuna offers for several objectives.
"""

import json
import random
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.trial import TrialState

from studies.search_tables.measure import Finished, finish
from studies.search_tables.tables import Point, Table, feasible_draw, feasible_draws

REPEATS = 3  # for each training: a sampler that does nothing but repeat itself has an end
OPTUNA = ("tpe", "tpe-group", "nsga2")
MOASHA = ("moasha", "moasha-repaired", "moasha-repaired-loss")
METHODS = ("random", *OPTUNA, *MOASHA)


def compete(method: str, table: Table, seed: int, budget: float, syne: Path | None) -> list[Finished]:
    """The trace of one search."""
    if method == "random":
        return search_at_random(table, seed, budget)
    if method in OPTUNA:
        return search_by_optuna(table, sampler(method, seed), seed, budget)
    if syne is None:
        raise SystemExit(
            "install syne-tune 0.16 in an environment of its own, and name its Python: --syne PYTHON"
        )
    with scheduler(syne, table, seed, repaired="repaired" in method) as moasha:
        return search_by_rungs(table, moasha, seed, budget, by_loss=method.endswith("loss"))


def search_at_random(table: Table, seed: int, budget: float) -> list[Finished]:
    """Full trainings of random points, none twice."""
    seen: set[str] = set()
    trace: list[Finished] = []
    for point in feasible_draws(table.space, random.Random(seed)):
        samples = (len(seen) + 1) * table.full_samples
        if samples > budget:
            break
        if point.id not in seen:
            seen.add(point.id)
            trace.append(finish(table, point, samples))
    return trace


def sampler(method: str, seed: int) -> BaseSampler:
    """Optuna's samplers with their own defaults; one TPE as its authors advise for such spaces."""
    if method == "nsga2":
        return NSGAIISampler(seed=seed)
    if method == "tpe":
        return TPESampler(seed=seed)
    with warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning, action="ignore"):
        return TPESampler(seed=seed, multivariate=True, group=True)


def search_by_optuna(table: Table, sampler: BaseSampler, seed: int, budget: float) -> list[Finished]:
    """Ask, train to the end, tell accuracy and cost."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    trace: dict[str, Finished] = {}
    repeats = 0
    while repeats < REPEATS * budget / table.full_samples:
        trial = study.ask()
        point = table.space.sample(trial)
        if table.space.violations(point):
            study.tell(trial, state=TrialState.PRUNED)
            continue
        samples = (len(trace) + 1) * table.full_samples
        repeats += point.id in trace
        if point.id not in trace:
            if samples > budget:
                break
            trace[point.id] = finish(table, point, samples)
        study.tell(trial, (table.read(point, 1.0, seed).top1, table.costs(point)[0]))
    return list(trace.values())


@dataclass
class Scheduler:
    """MOASHA in a process of its own, asked and told in lines of JSON."""

    process: subprocess.Popen[str]

    def ask(self, question: dict[str, object]) -> dict[str, object]:
        """One line there, one line back."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer: dict[str, object] = json.loads(self.process.stdout.readline())
        return answer


@contextmanager
def scheduler(syne: Path, table: Table, seed: int, *, repaired: bool) -> Iterator[Scheduler]:
    """Syne Tune in its own environment."""
    rungs = str(len(table.rungs))
    arguments = [str(syne), str(Path(__file__).with_name("moasha.py")), str(seed), rungs, str(int(repaired))]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Scheduler(process)
        assert process.stdin is not None
        process.stdin.close()


def search_by_rungs(
    table: Table, moasha: Scheduler, seed: int, budget: float, *, by_loss: bool
) -> list[Finished]:
    """One worker: train to the next rung, report, go on or start another.

    MOASHA proposes at random; what it proposes here is the seed of a draw, so that infeasible points cost nothing.
    """
    shares = (*table.rungs, 1.0)
    samples, seen, trace = 0.0, set[str](), list[Finished]()
    while samples < budget:
        proposal = moasha.ask({})
        point = feasible_draw(table.space, random.Random(int(str(proposal["draw"]))))
        if point.id in seen:
            continue
        seen.add(point.id)
        reached = 0.0
        for level, share in enumerate(shares):
            samples += (share - reached) * table.full_samples
            reached = share
            report = reported(table, point, share, seed, by_loss=by_loss)
            if moasha.ask({"trial": proposal["trial"], "level": level, **report})["stop"]:
                break
        if reached == 1.0:
            trace.append(finish(table, point, samples))
    return [finished for finished in trace if finished.samples <= budget]


def reported(table: Table, point: Point, share: float, seed: int, *, by_loss: bool) -> dict[str, float]:
    """Both objectives at a rung, to be minimised."""
    reading = table.read(point, share, seed)
    return {"quality": reading.train_loss if by_loss else 1 - reading.top1, "cost": table.costs(point)[0]}
