"""One real search of two families, a table in the place of training; each test may have a copy of its folder."""

import shutil

import pytest
from two_family_run import MIXED, STUDY, table

from archsearch.api import run_study
from archsearch.results import load_run
from archsearch.space import load_space
from archsearch.study.feasible_space import FeasibleSpace


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """The folder of a finished search, which no test may change."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "mixed.yaml").write_text(MIXED)
    with pytest.MonkeyPatch.context() as patch:
        # As with a limit that has to be measured: it is known when the candidate is judged, and not before.
        patch.setattr(FeasibleSpace, "violations", lambda self, point: self.space.violations(point))
        run_study(load_space(folder / "mixed.yaml"), STUDY, folder / "run", evaluate=table)
    return folder / "run"


@pytest.fixture(scope="session")
def run(searched):
    return load_run(searched)


@pytest.fixture
def copy(searched, tmp_path):
    """The same folder, which a test may spoil."""
    return shutil.copytree(searched, tmp_path / "copy")
