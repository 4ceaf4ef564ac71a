"""One real search of two families, a table in the place of training; each test may have a copy of its folder."""

import shutil

import pytest

from archsearch.api import run_study
from archsearch.results import load_run
from archsearch.space import load_space
from archsearch.study.config import StudyConfig
from archsearch.study.searched import Searched

# 2 channels x (3 kernels of one convolution + 2 numbers of heads of one attention) = 10 architectures.
MIXED = """\
name: mixed
image: {channels: 1, height: 16, width: 16}
classes: 10
stem: {kind: patch, channels: {choice: [4, 8]}, size: 2}
stages:
  - channels: 8
    depth: 1
    kind:
      conv: {kernel: {choice: [1, 3, 5]}, expansion: 0.5}
      mhsa: {heads: {choice: [1, 2]}, expansion: 0.5, position: none}
limits: {macs: 1M}
"""
STUDY = StudyConfig(objectives=("top1", "macs"), trials=9, limits={"params": 600.0}, latency_seconds=0.01)


def table(architecture, recipe):
    """An accuracy by the id; of one architecture there is none."""
    if architecture.stages[0].kind == "mhsa" and architecture.stages[0].heads == 2:
        raise RuntimeError("no heads, please")
    return int(architecture.id, 16) % 1000 / 1000


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """The folder of a finished search, which no test may change."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "mixed.yaml").write_text(MIXED)
    with pytest.MonkeyPatch.context() as patch:
        # As with a limit that has to be measured: it is known when the candidate is judged, and not before.
        patch.setattr(Searched, "reasons_against", lambda self, point: self.space.reasons_against(point))
        run_study(load_space(folder / "mixed.yaml"), STUDY, folder / "run", evaluate=table)
    return folder / "run"


@pytest.fixture(scope="session")
def run(searched):
    return load_run(searched)


@pytest.fixture
def copy(searched, tmp_path):
    """The same folder, which a test may spoil."""
    return shutil.copytree(searched, tmp_path / "copy")
