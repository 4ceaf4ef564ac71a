"""What the tests of this room search: a tiny space, and a table in the place of training."""

from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import optuna
from fake_search_spaces import NINETY_SIX

from archsearch.proxy import Recipe
from archsearch.storage.run_folder import RunFolder
from archsearch.study import run
from archsearch.study.callbacks import Callback
from archsearch.study.config import StudyConfig
from archsearch.study.prepare import prepare

# 96 architectures, of which four heads in six channels cannot be built.
TINY = NINETY_SIX.replace("ninety-six", "tiny").replace("heads: {choice: [1, 2]}", "heads: {choice: [2, 4]}")
# 2 x 3 = 6 architectures.
SIX = """\
name: six
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: patch, channels: {choice: [4, 8]}, size: 4}
stages:
  - {kind: conv, channels: {choice: [4, 8, 12]}, depth: 1, kernel: 1, expansion: 0.5}
"""
SHORT = Recipe(samples=128, batch_size=32, validation_images=64)
# Seconds: these tests are about the search, and it measures hundreds.
GLANCE = 0.01


def search(space, config, folder, storage=None, engine=None, **brought):
    """The search alone, without the files that ``run_study`` makes of it; ``brought`` are arguments of that."""
    return run.search(prepare(space, config, **brought), RunFolder(Path(folder)), storage, engine)


def blind(**settings):
    """A search whose objectives are not measured, so that nothing in it depends on the machine."""
    usual = {"objectives": ("top1", "macs"), "trials": 4, "latency_seconds": GLANCE}
    return StudyConfig(**{**usual, **settings})


def table(architecture, recipe):
    """An accuracy for each architecture: some three digits of its id."""
    return int(architecture.id, 16) % 1000 / 1000


class Calls:
    """A table that remembers whom it was asked about, and breaks where it is told to."""

    def __init__(self, breaks=lambda number, architecture: None):
        self.asked = []
        self.breaks = breaks

    def __call__(self, architecture, recipe):
        self.asked.append(architecture.id)
        self.breaks(len(self.asked), architecture)
        return table(architecture, recipe)

    @property
    def most(self):
        """How often the most asked architecture was asked about."""
        return max(Counter(self.asked).values())


class Heard(Callback):
    """Keeps what a run tells."""

    def __init__(self, patience=1_000):
        self.patience = patience
        self.beginning = None
        self.phases = []
        self.records = []

    def on_start(self, done, trials, best):
        self.beginning = (done, trials)

    def on_phase(self, slot, what):
        self.phases.append((slot, what))

    def on_trial_end(self, number, record):
        self.records.append(record)
        if len(self.records) > self.patience:
            raise RuntimeError(f"{self.patience} candidates and no end")


@contextmanager
def opened(folder):
    """The study of a run, read with plain Optuna as its dashboard does."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{Path(folder) / 'study.db'}")
    try:
        yield optuna.load_study(study_name=None, storage=storage)
    finally:
        storage.engine.dispose()


def recorded(folder):
    """Every trial of a run."""
    with opened(folder) as study:
        return study.get_trials()


def states(folder):
    """How many trials are in which state."""
    return dict(Counter(trial.state.name for trial in recorded(folder)))


def settled(folder):
    """What a search found: by slot, the architecture and its values."""
    return {
        trial.user_attrs["slot"]: (trial.user_attrs["architecture"], *trial.values)
        for trial in recorded(folder)
        if trial.state.name == "COMPLETE"
    }


def outcome_of(space, config, folder, evaluate=table):
    """What a search finds."""
    search(space, config, folder, evaluate=evaluate)
    return settled(folder)
