"""``archsearch check``: what a space holds and costs, told before anything is trained."""

import json
from pathlib import Path

import pytest
from command_line import TINY

RUN = "runs/tiny/digits-seed0"
REFERENCE = Path(__file__).parents[2] / "spaces" / "reference"


def test_check_as_json_has_size_costs_and_time(searched):
    data = json.loads(searched.here("check", "tiny.yaml", "--draws", 10, "--json").stdout)

    assert data["envelope"].keys() == {
        *("size", "drawn", "feasible", "share", "failures", "params", "macs", "activations", "latency_ms"),
        "counts",
    }
    assert (data["envelope"]["size"], data["envelope"]["drawn"]) == (36, 10)
    assert data["forecast"].keys() == {"seconds_per_trial", "seconds", "timed", "steps"}
    assert data["forecast"]["seconds"] == pytest.approx(3 * data["forecast"]["seconds_per_trial"])


def test_check_prints_size_and_time_in_words(searched):
    done = searched.here("check", "tiny.yaml", "--draws", 10)

    assert (done.returncode, done.stderr) == (0, "")
    assert "tiny.yaml: tiny is well-formed, with 4 open fields" in done.stdout
    assert "distinct architectures: 36" in done.stdout
    assert "forecast: about" in done.stdout


def test_check_prints_the_references(searched):
    known = "name: known\nimage: {channels: 1, height: 8, width: 8}\nclasses: 10\nstem: {kind: patch, channels: 6, size: 2}\n"
    known += "stages:\n  - {kind: conv, channels: 8, depth: 1, kernel: 3, expansion: 0.5}\n"
    (searched.folder / "known.yaml").write_text(known)
    (searched.folder / "with.yaml").write_text(TINY + "references: [known.yaml]\n")

    done = searched.here("check", "with.yaml", "--draws", 10)

    assert "references in this space, which are evaluated first: known" in done.stdout
