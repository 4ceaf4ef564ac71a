"""Spaces in the tests are real files: text goes in, a Space or its refusal comes out. Small ones are walked through."""

import pytest

from archsearch.errors import SpaceError
from archsearch.space import load_space
from archsearch.trial import GridTrial, RecordingTrial


@pytest.fixture
def file_of(tmp_path):
    """Writes text into a space file, and gives its path."""

    def written(text):
        path = tmp_path / "space.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


@pytest.fixture
def space_of(file_of):
    """The space that a text describes."""
    return lambda text: load_space(file_of(text))


@pytest.fixture
def refusal_of(file_of):
    """The error with which a text is refused."""

    def refusal(text):
        with pytest.raises(SpaceError) as caught:
            load_space(file_of(text))
        return caught.value

    return refusal


@pytest.fixture(scope="session")
def every_way():
    """Each way through a space: the architecture that is sampled, and the options that were taken."""

    def walk(space):
        grid, left = GridTrial(), True
        while left:
            trial = RecordingTrial(grid)
            yield space.sample(trial), trial.params
            left = grid.step()

    return walk
