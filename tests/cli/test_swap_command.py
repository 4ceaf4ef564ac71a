"""``archsearch swap``: the plan, the trainings, and what is refused."""

import json
import shutil

import pytest
from command_line import TINY, CommandLine

from archsearch.results import load_run

# In a network this small a step of the width is much of the cost.
NEAR = ("--tolerance", 0.2)
TRAINED = (*NEAR, "--seeds", 2, "--samples", 64)


@pytest.fixture(scope="module")
def swapped(tmp_path_factory):
    """A folder where the swaps of a trial have been trained; and what that printed."""
    folder = tmp_path_factory.mktemp("swapped")
    (folder / "tiny.yaml").write_text(TINY)
    command = CommandLine(folder)
    command.here("run", "tiny.yaml", "--threads", 1, "--out", "run")
    command.number = int(load_run(folder / "run").frontier["number"].iloc[-1])
    command.first = command.here("swap", "run", "--trial", command.number, *TRAINED)
    return command


def test_trainings_are_printed_one_by_one_and_then_their_results(swapped):
    swaps = load_run(swapped.folder / "run").swaps
    trained = swaps[swaps["architecture_to"].notna()]
    printed = swapped.first.stdout

    assert swapped.first.returncode == 0, swapped.first.stderr
    assert len(trained) >= 1
    assert set(trained["seeds"]) == {2}
    assert printed.count("seed 0  top1") == 1 + len(trained)
    for _, row in trained.iterrows():
        assert f"stage 0 as {row['kind_to']} instead of {row['kind_from']} at equal MACs" in printed
        assert f"{row['difference']:+.4f}" in printed


def test_table_and_picture_are_saved_in_the_run_folder(swapped):
    text = (swapped.folder / "run" / "swaps.csv").read_text()

    assert text.startswith("number,place,kind_from,kind_to")
    assert (swapped.folder / "run" / "swaps.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_command_again_finds_everything_done(swapped):
    again = swapped.here("swap", "run", "--trial", swapped.number, *TRAINED)
    total = again.stdout.split(" trainings")[0].split()[-1]

    assert f"resuming: {total} of {total} trainings are done" in again.stdout
    assert "top1 0." not in again.stdout


def test_json_is_the_frame_and_nothing_else(swapped):
    done = swapped.here("swap", "run", "--trial", swapped.number, *TRAINED, "--json")
    rows = json.loads(done.stdout)

    assert [row["kind_to"] for row in rows] == list(load_run(swapped.folder / "run").swaps["kind_to"])
    assert {"difference", "difference_low", "cost_ratio"} <= rows[0].keys()


def test_a_dry_call_shows_the_costs_and_writes_nothing(swapped):
    def content():
        return {
            path: path.read_bytes() for path in (swapped.folder / "run").glob("*.*") if "-" not in path.suffix
        }

    before = content()
    done = swapped.here("swap", "run", "--trial", swapped.number, *NEAR, "--dry")

    assert done.returncode == 0
    assert "as it was" in done.stdout
    assert "token_transformer" in done.stdout
    assert content() == before


def test_a_dry_call_gives_the_architectures_as_json(swapped):
    done = swapped.here(
        "swap", "run", "--trial", swapped.number, *NEAR, "--dry", "--json", "--cost", "params"
    )
    entries = json.loads(done.stdout)

    assert {entry["place"] for entry in entries} == {"stages.0"}
    for entry in entries:
        if entry["architecture"] is not None:
            assert entry["architecture"]["stages"][0]["kind"] == entry["kind_to"]
            assert abs(entry["cost_ratio"] - 1) <= 0.2


REFUSED = {
    "archsearch swap: --trial: 99 is no trained trial of this run": ("run", "--trial", 99),
    "archsearch swap: --cost: watts cannot be matched; use one of macs, params": ("--cost", "watts"),
    "archsearch swap: --stage: there is no stage 5; use one of 0 to 0": ("--stage", 5),
    "archsearch swap: --tolerance: 3 is no share; write 0.02 for 2 %": ("--tolerance", 3),
    "archsearch swap: --samples: 1 are less than one batch of 32": ("--samples", 1),
}


@pytest.mark.parametrize("message", REFUSED)
def test_an_option_that_cannot_be_used_is_one_line_and_code_two(swapped, message):
    flags = REFUSED[message]
    arguments = flags if flags[0] == "run" else ("run", "--trial", swapped.number, *flags)
    done = swapped.here("swap", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"archsearch: error: {message}")


def test_where_nothing_can_be_matched_that_is_code_three(swapped, tmp_path):
    shutil.copytree(swapped.folder / "run", tmp_path / "run")
    done = CommandLine(tmp_path).here("swap", "run", "--trial", swapped.number, "--tolerance", 1e-9)

    assert done.returncode == 3
    assert "no stage can be swapped at equal macs" in done.stderr


def test_a_folder_without_a_run_is_code_two(swapped):
    done = swapped.here("swap", "nothing", "--trial", 0)

    assert done.returncode == 2
    assert "no run lies here" in done.stderr


def test_a_request_to_stop_leaves_a_run_that_the_same_command_resumes(swapped, tmp_path, monkeypatch):
    from archsearch.study import retrain

    trained, calls = retrain.retrain_and_test, []

    def stopped(final, context):
        calls.append(final)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return trained(final, context)

    shutil.copytree(swapped.folder / "run", tmp_path / "run")
    command = CommandLine(tmp_path)
    line = ("swap", "run", "--trial", swapped.number, *NEAR, "--seeds", 1, "--samples", 96)
    monkeypatch.setattr(retrain, "retrain_and_test", stopped)
    first = command.here(*line)
    monkeypatch.undo()
    second = command.here(*line)

    assert first.returncode == 130
    assert "stopped: 1 of " in first.stdout
    assert "the same command resumes" in first.stdout
    assert "resuming: 1 of " in second.stdout
    assert second.returncode == 0
