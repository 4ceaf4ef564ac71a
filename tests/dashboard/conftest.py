"""A run with every outcome, and the dashboard on it."""

import shutil

import pytest
from dashboard_client import add, serving

from archsearch.api import run_study
from archsearch.counting import globality
from archsearch.space import load_space
from archsearch.study.config import StudyConfig
from archsearch.study.feasible_space import FeasibleSpace

SPACE = """
name: seen
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: conv, channels: 8}
stages:
  - channels: {choice: [8, 16]}
    depth: 1
    kind:
      conv: {kernel: {choice: [3, 5]}}
      token_transformer: {split_kernel: 1, heads: {choice: [1, 2]}}
"""
STUDY = StudyConfig(
    objectives=("top1", "macs"), trials=6, limits={"params": 3_500.0}, latency_seconds=0.01, sampler="random"
)
RUNGS = [{"share": 0.25, "samples": 100, "top1": 0.2, "val_loss": 2.0, "train_loss": 2.1, "seconds": 1.0}]


def accuracy(architecture, _recipe):
    return 0.5 + globality(architecture) / 4


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """The folder of a search of six candidates and some beyond a limit; one more candidate has readings."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "space.yaml").write_text(SPACE)
    with pytest.MonkeyPatch.context() as patch:
        # As with a limit that has to be measured: it is known when the candidate is judged, and not before.
        patch.setattr(FeasibleSpace, "violations", lambda self, point: self.space.violations(point))
        run_study(load_space(folder / "space.yaml"), STUDY, folder / "run", evaluate=accuracy)
    add(folder / "run", rungs=RUNGS, samples=400, train_loss=0.9, val_loss=1.0)
    return folder / "run"


@pytest.fixture
def folder(searched, tmp_path):
    """A copy of it, which a test may spoil."""
    return shutil.copytree(searched, tmp_path / "run")


@pytest.fixture(scope="session")
def site(searched):
    """The dashboard on the run, read-only."""
    with serving(searched) as site:
        yield site
