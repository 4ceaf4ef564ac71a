"""What the tests of this room search: made-up questions, with costs and accuracies that are formulas."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from archsearch.search import Observation, Reading
from archsearch.study.config import StudyConfig
from archsearch.trial import RandomTrial, proposal_of

# 4 channels of the stem x 3 channels x 2 depths x (2 kernels + 2 numbers of heads) = 96 architectures, each buildable.
NINETY_SIX = """\
name: ninety-six
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: conv, channels: {choice: [4, 6, 8, 10]}, kernel: 3, stride: 2}
stages:
  - channels: {choice: [8, 12, 16]}
    depth: {range: [1, 2]}
    stride: 1
    kind:
      conv: {kernel: {choice: [1, 3]}, expansion: 0.5}
      mhsa: {heads: {choice: [1, 2]}, expansion: 0.5, position: none}
"""
FEW = """\
name: few
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: patch, channels: CHANNELS, size: 4}
stages:
  - {kind: conv, channels: 8, depth: 1, kernel: 1, expansion: 0.5}
"""
ONE_QUESTION = FEW.replace("CHANNELS", "{range: [1, 40]}")
NO_QUESTION = FEW.replace("CHANNELS", "8")


def blind(*costs, **settings):
    """A study whose costs are counted."""
    return StudyConfig(objectives=("top1", *costs), **settings)


@dataclass(frozen=True)
class Answered:
    """Answers, by question."""

    answers: tuple[tuple[str, Any], ...]

    @property
    def id(self):
        return " ".join(f"{name}={answer}" for name, answer in self.answers)

    def __getitem__(self, name):
        return dict(self.answers)[name]


@dataclass(frozen=True)
class Made:
    """A space of what ``questions`` asks, by name and choices, and formulas for all else."""

    questions: Callable
    cost: Callable = lambda point: ()
    against: Callable = lambda point: []
    told: Callable = lambda point: ()

    def sample(self, trial):
        answers = {}

        def ask(name, *choices):
            answers[name] = trial.suggest_categorical(name, choices)
            return answers[name]

        self.questions(ask)
        return Answered(tuple(answers.items()))

    def violations(self, point):
        return self.against(point)

    def costs(self, point):
        return self.cost(point)

    def features(self, point):
        return self.told(point)


def stages(ask):
    """Two stages of two kinds each and a width: (3 + 2) x (3 + 2) x 3 = 75 points."""
    for number in range(2):
        if ask(f"stages.{number}.kind", "conv", "mhsa") == "conv":
            ask(f"stages.{number}.conv.kernel", 1, 3, 5)
        else:
            ask(f"stages.{number}.mhsa.heads", 2, 4)
    ask("stem.channels", 8, 16, 32)


LEVERS = range(8)


def levers(ask):
    """Eight numbers from 0 to 4."""
    for number in LEVERS:
        ask(f"stages.{number}.channels", 0, 1, 2, 3, 4)


def lever_cost(point):
    """Each lever costs alike."""
    return (10.0 ** (sum(point[f"stages.{number}.channels"] for number in LEVERS) / 16),)


def lever_top1(point):
    """Each helps twice as much as the one before: who pays for the last ones first is best."""
    return sum(point[f"stages.{n}.channels"] * 2**n for n in LEVERS) / sum(4 * 2**n for n in LEVERS)


def observation(slot, state="trained", top1=(0.5,), **settings):
    """A candidate that was read as often as there are numbers."""
    usual = {"identity": f"number {slot}", "answers": {}, "choices": {}, "family": "all"}
    readings = tuple(Reading(share) for share in top1)
    return Observation(slot=slot, state=state, readings=readings, **{**usual, **settings})


def observation_of(space, slot, proposal, state="trained", top1=(0.5,), **settings):
    """The same of a point."""
    point = proposal.architecture
    usual = {"costs": space.costs(point), "features": space.features(point)}
    usual |= {"identity": point.id, "answers": proposal.params, "choices": proposal.choices}
    return observation(slot, state, top1, **{**usual, **settings})


def history(space, count, top1=lambda point: int.from_bytes(point.id.encode()) % 97 / 97, seed=0):
    """So many different feasible candidates, drawn by chance and trained; of a small space all there are."""
    trial = RandomTrial(random.Random(seed))
    drawn = {}
    for _ in range(50 * count):
        proposal = proposal_of(space, trial)
        if not space.violations(proposal.architecture):
            drawn.setdefault(proposal.architecture.id, proposal)
        if len(drawn) == count:
            break
    return [
        observation_of(space, slot, proposal, top1=(top1(proposal.architecture),))
        for slot, proposal in enumerate(drawn.values())
    ]


def among(found, **settings):
    """The same candidates with something else said of each."""
    return [replace(k, **settings) for k in found]
