"""Spaces of this room's tests: made-up ones in ``fake_search_spaces``, real ones from text."""

import pytest
from fake_search_spaces import NINETY_SIX, blind

from archsearch.space import load_space
from archsearch.study.feasible_space import FeasibleSpace


@pytest.fixture(scope="session")
def searched_of(tmp_path_factory):
    """The space that a text describes, as a study searches it."""

    def loaded(text, config=None):
        path = tmp_path_factory.mktemp("space") / "space.yaml"
        path.write_text(text, encoding="utf-8")
        return FeasibleSpace(load_space(path), blind("macs") if config is None else config)

    return loaded


@pytest.fixture(scope="session")
def ninety_six(searched_of):
    """96 architectures; accuracy and MACs."""
    return searched_of(NINETY_SIX)
