"""``archsearch results`` of one run."""

import json
from pathlib import Path

from archsearch.results import load_run

RUN = "runs/tiny/digits-seed0"
REFERENCE = Path(__file__).parents[2] / "spaces" / "reference"


def trials_of(command, folder=RUN):
    return load_run(command.folder / folder).trials


def test_results_come_back_when_they_are_lost(searched):
    before = (searched.folder / RUN / "trials.csv").read_bytes()
    for name in ("trials.csv", "trials.parquet", "stages.parquet", "frontier.csv", "frontier.png"):
        (searched.folder / RUN / name).unlink()

    done = searched.here("results", RUN)

    assert (done.returncode, done.stderr) == (0, "")
    assert (searched.folder / RUN / "trials.csv").read_bytes() == before
    assert (searched.folder / RUN / "frontier.png").stat().st_size > 10_000
    assert "Pareto front" in done.stdout


def test_results_as_json_are_the_frontier(searched):
    done = searched.here("results", RUN, "--json")

    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    frontier = load_run(searched.folder / RUN).frontier
    assert [row["architecture"] for row in rows] == list(frontier["architecture"])
    assert [row["top1"] for row in rows] == list(frontier["top1"])
    assert rows[0].keys() == set(frontier.columns)
