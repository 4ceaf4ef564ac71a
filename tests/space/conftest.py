"""Spaces in the tests are real files: text goes in, a Space or its refusal comes out. Small ones are walked through."""

import pytest

from archsearch.errors import SpaceError
from archsearch.space import load_space


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


class Replay:
    """A trial that gives the answers of ``prefix``, then the first option of everything else."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.answers = []
        self.numbers = []
        self.taken = {}

    def suggest_categorical(self, name, choices, /):
        place = len(self.answers)
        self.answers.append(self.prefix[place] if place < len(self.prefix) else 0)
        self.numbers.append(len(choices))
        self.taken[name] = choices[self.answers[-1]]
        return self.taken[name]

    def next_prefix(self):
        """The answers so far, counted up by one like an odometer; None behind the last ones."""
        answers = list(self.answers)
        while answers and answers[-1] == self.numbers[len(answers) - 1] - 1:
            answers.pop()
        return [*answers[:-1], answers[-1] + 1] if answers else None


@pytest.fixture(scope="session")
def every_way():
    """Each way through a space: the architecture that is sampled, and the options that were taken."""

    def walk(space):
        prefix = []
        while prefix is not None:
            trial = Replay(prefix)
            yield space.sample(trial), trial.taken
            prefix = trial.next_prefix()

    return walk
