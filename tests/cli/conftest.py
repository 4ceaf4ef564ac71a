"""The command in a folder of its own."""

import pytest
from command_line import TINY, CommandLine


@pytest.fixture
def archsearch(tmp_path):
    """The command in an empty folder."""
    return CommandLine(tmp_path)


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """The command in a folder where ``archsearch run tiny.yaml`` has been; and what that printed."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "tiny.yaml").write_text(TINY)
    command = CommandLine(folder)
    command.first = command.preloaded("run", "tiny.yaml")
    return command
