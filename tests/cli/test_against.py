"""``archsearch results RUN --against OTHER``, on real searches of a tiny space."""

import json

import pandas as pd
import pytest
from command_line import TINY, CommandLine

from archsearch.results import compare, load_run

ZERO, ONE, OTHER = "runs/tiny/digits-seed0", "runs/tiny/digits-seed1", "other/digits-seed0"
# 3 trainings of 128 images each.
SAMPLES = 384


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The command where two seeds of a space were searched, and one with another objective."""
    folder = tmp_path_factory.mktemp("seeds")
    (folder / "tiny.yaml").write_text(TINY)
    (folder / "params.yaml").write_text(TINY.replace("[top1, macs]", "[top1, params]"))
    command = CommandLine(folder)
    command.here("run", "tiny.yaml")
    command.here("run", "tiny.yaml", "--seed", 1)
    command.here("run", "params.yaml", "--out", OTHER)
    return command


@pytest.fixture(scope="module")
def compared(searched):
    """What the comparison of the two seeds printed."""
    return searched.here("results", ZERO, "--against", ONE)


@pytest.fixture(scope="module")
def comparison(searched):
    return compare(
        {f"digits-seed{seed}": load_run(searched.folder / run) for seed, run in enumerate((ZERO, ONE))}
    )


def cells(text, heading):
    """The rows of a table, under its heading and its columns."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(heading)) + 2
    rows = lines[start : start + 2]
    return [row.split() for row in rows]


def test_each_run_is_summed_up_in_a_row(compared, comparison):
    assert (compared.returncode, compared.stderr) == (0, "")
    rows = cells(compared.stdout, "Runs by top1, macs")

    assert [row[0] for row in rows] == ["digits-seed0", "digits-seed1"]
    assert [row[1] for row in rows] == ["3", "3"]
    assert [row[3] for row in rows] == [str(SAMPLES)] * 2
    assert [row[-3] for row in rows] == [f"{value:.3f}" for value in comparison.final["hypervolume"]]


def test_a_second_table_and_sentences_have_what_each_run_needed(compared, comparison):
    rows = cells(compared.stdout, "Needed for the other's final hypervolume")

    assert [row[:2] for row in rows] == [["digits-seed0", "digits-seed1"], ["digits-seed1", "digits-seed0"]]
    for row in comparison.reached.to_dict("records"):
        verb = "never reaches" if pd.isna(row["trials"]) else "reaches"
        goal = f"{row['run']} {verb} {row['other']}'s final hypervolume {row['hypervolume']:.3f}"
        assert sum(line.startswith(goal) for line in compared.stdout.splitlines()) == 1


def test_a_picture_is_saved_in_the_first_runs_folder(searched, compared):
    assert f"picture: {ZERO}/against.png" in compared.stdout
    assert (searched.folder / ZERO / "against.png").read_bytes().startswith(b"\x89PNG")
    assert not (searched.folder / ONE / "against.png").exists()


def test_json_has_every_frame(searched, comparison):
    done = searched.here("results", ZERO, "--against", ONE, "--json")

    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["objectives"] == ["top1", "macs"]
    for name in ("final", "reached", "curves", "candidates"):
        frame = getattr(comparison, name)
        assert [list(row) for row in told[name]] == [list(frame.columns)] * len(frame)
    assert [row["hypervolume"] for row in told["final"]] == pytest.approx(
        list(comparison.final["hypervolume"])
    )
    assert [row["samples"] for row in told["curves"]] == [128, 256, 384] * 2


def test_runs_are_called_by_their_paths_where_their_folders_have_one_name(searched):
    searched.shell(f"mkdir -p copy && cp -r {ZERO} copy/")

    done = searched.here("results", ZERO, "--against", "copy/digits-seed0")

    assert f"{ZERO} reaches copy/digits-seed0's final hypervolume" in done.stdout
    assert (
        "after 1.00 of the training samples that copy/digits-seed0 needed (1.00 of the seconds)"
        in done.stdout
    )


def test_against_may_be_given_again(searched):
    searched.shell(f"mkdir -p again && cp -r {ZERO} again/third")

    done = searched.here("results", ZERO, "--against", ONE, "--against", "again/third")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("'s final hypervolume 0.") + done.stdout.count("'s final hypervolume 1.") == 6


REFUSED = {
    "other objectives": (
        (ZERO, "--against", OTHER),
        (
            f"comparison: {ZERO} and {OTHER} are not comparable: objectives top1, macs against top1, params; "
            "compare runs of one space on the same data, for the same objectives"
        ),
    ),
    "the run itself": (
        (ZERO, "--against", f"{ONE}/../digits-seed0"),
        f"archsearch results: --against: {ONE}/../digits-seed0 is given twice; name each run once",
    ),
    "no run": (
        (ZERO, "--against", "gone"),
        "gone: no run lies here (there is no study.db); give the folder that archsearch run named",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_compared_is_one_line_of_error(searched, name):
    arguments, message = REFUSED[name]

    done = searched.here("results", *arguments)

    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"archsearch: error: {message}\n")


def test_a_picture_that_the_disk_does_not_take_is_a_fault_of_the_environment(searched):
    target = searched.folder / "again" / "full"
    searched.shell(f"mkdir -p again && cp -r {ZERO} again/full && rm -f again/full/against.png")
    (target / "against.png").mkdir()

    done = searched.here("results", "again/full", "--against", ONE)

    assert done.returncode == 4
    assert "against.png" in done.stderr


def test_a_lost_manifest_is_a_fault_of_the_environment(searched):
    searched.shell(f"mkdir -p again && cp -r {ZERO} again/lost && rm again/lost/run.json")

    done = searched.here("results", ZERO, "--against", "again/lost")

    assert (done.returncode, done.stdout) == (4, "")
    assert "again/lost/run.json: No such file or directory" in done.stderr


def test_results_without_against_are_the_frontier(searched):
    done = searched.here("results", ZERO)

    assert "Pareto front" in done.stdout
    assert "hypervolume" not in done.stdout
