"""``archsearch run`` from end to end, on a tiny space with real trainings of a few steps."""

import re
import signal
from pathlib import Path

import pandas as pd
from command_line import ARCHSEARCH, TINY

from archsearch.results import load_run

RUN = "runs/tiny/digits-seed0"
REFERENCE = Path(__file__).parents[2] / "spaces" / "reference"


def without_terminal(text):
    """The lines of an output, without the spaces at their ends."""
    return [line.rstrip() for line in text.splitlines()]


def trials_of(command, folder=RUN):
    return load_run(command.folder / folder).trials


def test_run_ends_with_the_frontier(searched):
    done = searched.first

    assert (done.returncode, done.stderr) == (0, "")
    lines = without_terminal(done.stdout)
    heading = lines.index("Pareto front (top1 on validation; the search saw no test images)")
    run = load_run(searched.folder / RUN)
    shown = [line.split()[0] for line in lines[heading + 2 : heading + 2 + len(run.frontier)]]
    assert shown == list(run.frontier["architecture"])


def test_run_prints_first_what_it_will_do(searched):
    assert without_terminal(searched.first.stdout)[0] == f"tiny: 36 architectures; 3 trials on digits; {RUN}"


def test_run_prints_a_line_for_every_trial(searched):
    assert re.findall(r"^\[ *(\d)/3\] trial (\d)", searched.first.stdout, re.MULTILINE) == [
        ("1", "0"),
        ("2", "1"),
        ("3", "2"),
    ]


def test_run_prints_where_everything_is(searched):
    assert f"tables, picture and winners: {RUN}" in searched.first.stdout
    assert f"dashboard: archsearch dashboard {RUN}" in searched.first.stdout


def test_run_ends_with_the_answer_of_the_report(searched):
    lines = without_terminal(searched.first.stdout)

    assert set(load_run(searched.folder / RUN).answer) <= set(lines)
    assert f"report: {RUN}/report.html" in lines


def test_run_leaves_a_folder_of_results(searched):
    names = {path.name for path in (searched.folder / RUN).iterdir()}

    assert names >= {"study.db", "run.json", "trials.parquet", "trials.csv", "stages.parquet"}
    assert names >= {"frontier.csv", "frontier.png", "frontier", "weights"}


def test_the_same_command_again_trains_nothing(searched):
    before = trials_of(searched)

    again = searched.here("run", "tiny.yaml")

    assert (again.returncode, again.stderr) == (0, "")
    assert "resuming: 3 of 3 trials are done" in again.stdout
    assert trials_of(searched).equals(before)


def test_a_study_file_names_the_run(searched):
    (searched.folder / "quick.yaml").write_text("trials: 1\nseed: 4\nrecipe: {samples: 64}\n")

    done = searched.here("run", "tiny.yaml", "--study", "quick.yaml", "--trials", 2)

    assert (done.returncode, done.stderr) == (0, "")
    trials = trials_of(searched, "runs/tiny/quick")
    assert (len(trials), set(trials["samples"])) == (2, {64})


def test_another_seed_in_the_same_folder_is_refused(searched):
    before = (searched.folder / RUN / "trials.csv").read_bytes()

    done = searched.here("run", "tiny.yaml", "--seed", 1, "--out", RUN)

    assert done.returncode == 5
    assert done.stderr.startswith(f"archsearch: error: {RUN} belongs to another run: ")
    assert "seed was 0 and is 1" in done.stderr
    assert (searched.folder / RUN / "trials.csv").read_bytes() == before


def test_nothing_within_the_limits_is_code_three(archsearch):
    few = TINY.replace("{choice: [4, 6, 8, 10]}", "4")
    (archsearch.folder / "tiny.yaml").write_text(few + "  limits: {latency_ms: 0.000001}\n")

    done = archsearch.here("run", "tiny.yaml", "--out", "out")

    assert done.returncode == 3
    assert re.fullmatch(
        r"archsearch: error: tiny: .*within the limits \(.*latency_ms .*\); raise .*\n", done.stderr
    )


def test_a_database_of_garbage_is_code_four(archsearch):
    (archsearch.folder / "tiny.yaml").write_text(TINY)
    (archsearch.folder / "out").mkdir()
    (archsearch.folder / "out" / "study.db").write_bytes(b"x" * 999)

    done = archsearch.here("run", "tiny.yaml", "--out", "out")

    assert done.returncode == 4
    assert re.fullmatch(r"archsearch: error: out/study\.db: .*not a database.*\n", done.stderr)


def test_a_full_disk_is_code_four_and_room_is_all_that_it_needs(archsearch):
    """A limit on the size of files, which is how a disk can be made full; the study starts and then breaks off."""
    (archsearch.folder / "tiny.yaml").write_text(TINY)
    archsearch.here("run", "tiny.yaml", "--out", "out", "--trials", 1)
    acknowledged = trials_of(archsearch, "out")

    full = archsearch.preloaded("run", "tiny.yaml", "--out", "out", "--trials", 4, file_size=8 * 1024)

    assert full.returncode == 4, full.stderr
    assert "Traceback" not in full.stderr
    assert archsearch.here("run", "tiny.yaml", "--out", "out", "--trials", 4).returncode == 0
    trials = trials_of(archsearch, "out")
    pd.testing.assert_frame_equal(
        trials.head(1)[["architecture", "top1"]], acknowledged[["architecture", "top1"]]
    )
    assert (trials["outcome"] == "trained").sum() == 4


def test_a_reader_that_leaves_does_no_damage(archsearch):
    (archsearch.folder / "tiny.yaml").write_text(TINY)
    command = f"set -o pipefail; {ARCHSEARCH} run tiny.yaml --out out | head -1"

    piped = archsearch.shell(command)

    assert piped.stdout.startswith("tiny: 36 architectures")
    assert piped.stderr == ""
    assert piped.returncode in (0, 128 + signal.SIGPIPE)
    assert archsearch.here("run", "tiny.yaml", "--out", "out").returncode == 0
    trials = trials_of(archsearch, "out")
    assert (trials["outcome"] == "trained").sum() == 3
    assert "RUNNING" not in set(trials["state"])
