"""A record in PostgreSQL is looked at over connections that may not write."""

import json

import postgres_server
import pytest
from dashboard_client import serving

from archsearch.api import run_study
from archsearch.space import load_space
from archsearch.study.config import StudyConfig

SPACE = """
name: seen
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: conv, channels: 8}
stages: [{kind: conv, channels: {choice: [8, 16]}, depth: 1}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two candidates whose record is in a database."""
    place = tmp_path_factory.mktemp("served")
    (place / "space.yaml").write_text(SPACE)
    study = StudyConfig(trials=2, objectives=("top1", "macs"), latency_seconds=0.01)
    with postgres_server.running() as server:
        run_study(
            load_space(place / "space.yaml"),
            study,
            place / "run",
            storage=server.new_database(),
            evaluate=lambda *_: 0.5,
        )
        yield place / "run"


def test_its_trials_are_shown(folder):
    with serving(folder) as site:
        shown = json.loads(site.ask("/api/studies/1")[2])

    assert len(shown["trials"]) == 2
    assert all("stages.0" in trial["note"]["body"] for trial in shown["trials"])
