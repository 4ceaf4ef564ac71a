"""Which candidate comes next: a function of the seed, the slot and what is recorded.

Every proposal comes from a throw-away study in memory, rebuilt from the record. So a restart repeats
nothing and loses nothing, and the sampler can be changed without touching the record.
"""

import hashlib
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import optuna
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from archsearch.architecture import Architecture
from archsearch.space import Space, Trial, choices_for
from archsearch.space.space import RandomTrial
from archsearch.study.config import StudyConfig
from archsearch.study.record import OBJECTIVES

# The first candidates are drawn at random: the sampler needs something to learn from.
STARTUP = 10
# Tries of the sampler before it is taken to be stuck on what is known already; then chance takes over.
SAMPLER_TRIES = 25
RANDOM_TRIES = 1_000
SETTLED = ("trained", "failed", "infeasible")


@dataclass
class Answers:
    """A trial that remembers what it was asked and what ``inner`` chose, in order."""

    inner: Trial
    params: dict[str, Any] = field(default_factory=dict)

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:
        """Ask the inner trial, and note the answer."""
        self.params[name] = self.inner.suggest_categorical(name, choices)
        return self.params[name]


@dataclass(frozen=True)
class Fixed:
    """A trial that chooses what is written down for each parameter."""

    choices: Mapping[str, Any]

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:
        """What is written."""
        return self.choices[name]


@dataclass(frozen=True)
class Proposal:
    """A candidate: the architecture, and the answers that lead to it."""

    architecture: Architecture
    params: dict[str, Any]


class Given(BaseSampler):
    """Hands given answers to Optuna, so that the record shows parameters as its own samplers would."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """Nothing is sampled jointly."""
        return {}

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, Any],
    ) -> dict[str, Any]:
        """Nothing is sampled jointly."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: Any,
    ) -> Any:
        """The answer that was given."""
        return self.params[param_name]


def propose(space: Space, config: StudyConfig, record: Sequence[FrozenTrial], slot: int) -> Proposal | None:
    """The next candidate for ``slot``: buildable, and not recorded as trained, failed or infeasible.

    The space's references come first. None means that chance found nothing new: the space is exhausted,
    or as good as.
    """
    known = {t.user_attrs["architecture"] for t in record if t.user_attrs.get("outcome") in SETTLED}
    place = (config.seed, slot, infeasible_in(record, slot))
    candidates = chain(named(space), guesses(space, config, record, place), draws(space, place))
    return next((c for c in candidates if c.architecture.id not in known), None)


def named(space: Space) -> Iterator[Proposal]:
    """The space's references, in the order of its file."""
    for architecture in space.references:
        answers = Answers(Fixed(choices_for(space, architecture)))
        yield Proposal(space.sample(answers), answers.params)


def infeasible_in(record: Sequence[FrozenTrial], slot: int) -> int:
    """Candidates for this slot that turned out to be over a limit."""
    return sum(t.state == TrialState.PRUNED and t.user_attrs.get("slot") == slot for t in record)


def guesses(
    space: Space, config: StudyConfig, record: Sequence[FrozenTrial], place: tuple[int, ...]
) -> Iterator[Proposal]:
    """Buildable proposals of the sampler, once it has something to learn from."""
    told = [t for t in record if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    trained = sum(t.state == TrialState.COMPLETE for t in told)
    attempt_in_slot = place[-1]
    if config.sampler == "random" or trained < STARTUP or attempt_in_slot >= SAMPLER_TRIES:
        return
    for attempt in range(SAMPLER_TRIES):
        proposal = by_tpe(space, config, told, derived_seed(*place, attempt))
        if not proposal.architecture.problems():
            yield proposal


def draws(space: Space, place: tuple[int, ...]) -> Iterator[Proposal]:
    """Random buildable points within the limits that can be counted: chance wastes no proposals on others."""
    generator = random.Random(derived_seed(*place))  # noqa: S311 - nothing secret is drawn
    for _ in range(RANDOM_TRIES):
        answers = Answers(RandomTrial(generator))
        architecture = space.sample(answers)
        if not space.reasons_against(architecture):
            yield Proposal(architecture, answers.params)


def by_tpe(space: Space, config: StudyConfig, told: Sequence[FrozenTrial], seed: int) -> Proposal:
    """Multi-objective, multivariate, grouped TPE over what was told."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = TPESampler(multivariate=True, group=True, n_startup_trials=STARTUP, seed=seed)
    study = optuna.create_study(
        directions=[OBJECTIVES[name].direction for name in config.objectives], sampler=sampler
    )
    study.add_trials([as_told(trial) for trial in told])
    answers = Answers(study.ask())
    return Proposal(space.sample(answers), answers.params)


def as_told(trial: FrozenTrial) -> FrozenTrial:
    """A recorded trial as the sampler sees it: choices, values, constraints, nothing else."""
    return create_trial(
        state=trial.state,
        values=trial.values if trial.state == TrialState.COMPLETE else None,
        params=trial.params,
        distributions=trial.distributions,
        constraints=dict(trial.constraints) or None,
    )


def derived_seed(*place: int) -> int:
    """A seed of its own for each place, unrelated to its neighbours'."""
    digest = hashlib.sha256(":".join(map(str, place)).encode()).digest()
    return int.from_bytes(digest[:4], "big")
