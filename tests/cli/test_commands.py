"""The commands from end to end, on a tiny space with real trainings of a few steps."""

import json
import re
import signal
from pathlib import Path

import pandas as pd
import pytest
import torch
from command_line import ARCHSEARCH, QUICK, TINY
from safetensors.torch import load_file

from archsearch.published.dialects import DIALECTS
from archsearch.results import load_run
from archsearch.space import load_architecture

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
    heading = lines.index("Frontier (top1 on validation, test seen by no search)")
    run = load_run(searched.folder / RUN)
    shown = [line.split()[0] for line in lines[heading + 2 : heading + 2 + len(run.frontier)]]
    assert shown == list(run.frontier["architecture"])


def test_run_says_first_what_it_will_do(searched):
    assert without_terminal(searched.first.stdout)[0] == f"tiny: 36 architectures; 3 trials on digits; {RUN}"


def test_run_prints_a_line_for_every_trial(searched):
    assert re.findall(r"^\[ *(\d)/3\] trial (\d)", searched.first.stdout, re.MULTILINE) == [
        ("1", "0"),
        ("2", "1"),
        ("3", "2"),
    ]


def test_run_says_where_everything_lies(searched):
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


def test_results_come_back_when_they_are_lost(searched):
    before = (searched.folder / RUN / "trials.csv").read_bytes()
    for name in ("trials.csv", "trials.parquet", "stages.parquet", "frontier.csv", "frontier.png"):
        (searched.folder / RUN / name).unlink()

    done = searched.here("results", RUN)

    assert (done.returncode, done.stderr) == (0, "")
    assert (searched.folder / RUN / "trials.csv").read_bytes() == before
    assert (searched.folder / RUN / "frontier.png").stat().st_size > 10_000
    assert "Frontier" in done.stdout


def test_results_as_json_are_the_frontier(searched):
    done = searched.here("results", RUN, "--json")

    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    frontier = load_run(searched.folder / RUN).frontier
    assert [row["architecture"] for row in rows] == list(frontier["architecture"])
    assert [row["top1"] for row in rows] == list(frontier["top1"])
    assert rows[0].keys() == set(frontier.columns)


def test_an_export_can_be_profiled_again(searched):
    number = int(load_run(searched.folder / RUN).frontier["number"].iloc[0])

    forms = ("--form", "yaml", "--form", "weights")
    done = searched.here("export", RUN, "--trial", number, "--out", "winners", *forms)

    assert (done.returncode, done.stderr) == (0, "")
    file, weights = (line.split()[0] for line in done.stdout.splitlines())
    assert load_architecture(searched.folder / file).id in file
    assert (searched.folder / weights).is_file()


def test_an_export_of_an_unknown_trial_lists_the_frontier(searched):
    done = searched.here("export", RUN, "--trial", 99)

    known = ", ".join(str(number) for number in load_run(searched.folder / RUN).frontier["number"])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"archsearch: error: {RUN}: --trial: 99 is no trained trial of this run; on the frontier are: {known}\n"
    )


def test_an_export_below_a_file_is_a_fault_of_the_environment(searched):
    number = int(load_run(searched.folder / RUN).frontier["number"].iloc[0])
    (searched.folder / "file").touch()

    done = searched.here("export", RUN, "--trial", number, "--out", "file/winners")

    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("archsearch: error: file/winners")


def test_check_as_json_tells_size_costs_and_time(searched):
    data = json.loads(searched.here("check", "tiny.yaml", "--draws", 10, "--json").stdout)

    assert data["envelope"].keys() == {
        *("size", "drawn", "feasible", "share", "failures", "params", "macs", "activations", "latency_ms"),
        "counts",
    }
    assert (data["envelope"]["size"], data["envelope"]["drawn"]) == (36, 10)
    assert data["forecast"].keys() == {"seconds_per_trial", "seconds", "timed", "steps"}
    assert data["forecast"]["seconds"] == pytest.approx(3 * data["forecast"]["seconds_per_trial"])


def test_check_tells_it_in_words(searched):
    done = searched.here("check", "tiny.yaml", "--draws", 10)

    assert (done.returncode, done.stderr) == (0, "")
    assert "tiny.yaml: tiny is well-formed, with 4 open fields" in done.stdout
    assert "distinct architectures: 36" in done.stdout
    assert "forecast: about" in done.stdout


def test_profile_as_json_tells_every_cost(searched):
    data = json.loads(searched.here("profile", "tiny.yaml", "--seed", 3, *QUICK, "--json").stdout)

    assert data.keys() >= {"architecture", "layout", "family", "globality", "params", "macs", "latency_ms"}
    assert data["macs"] == sum(data["macs_by_stage"].values()) == sum(data["macs_by_family"].values())
    assert data["conditions"]["batch_size"] == 1


def test_profile_of_a_winner_is_what_the_search_counted(searched):
    row = load_run(searched.folder / RUN).frontier.iloc[0]
    file = f"{RUN}/frontier/tiny-{row['architecture']}.yaml"

    data = json.loads(searched.here("profile", file, *QUICK, "--json").stdout)

    assert (data["architecture"], data["macs"], data["params"]) == (
        row["architecture"],
        row["macs"],
        row["params"],
    )


def test_profile_shows_a_row_for_every_part(searched):
    done = searched.here("profile", "tiny.yaml", "--seed", 0, *QUICK)

    assert (done.returncode, done.stderr) == (0, "")
    assert {line.split()[0] for line in done.stdout.splitlines() if line} >= {"stem", "stages.0", "head"}


def test_profile_shows_the_published_figures_of_a_network(searched):
    done = searched.here("profile", REFERENCE / "resnet18.yaml", *QUICK)

    assert (done.returncode, done.stderr) == (0, "")
    assert "11,689,512 parameters" in done.stdout
    assert "1,814,073,344 without norms" in done.stdout
    assert "published: 11.7M parameters (ours +0.0%), 1.81G MACs (ours +0.0%), top-1 69.76%" in done.stdout


def test_profile_as_json_has_every_part_with_its_families_and_reach(searched):
    data = json.loads(searched.here("profile", REFERENCE / "t2t_vit_7.yaml", *QUICK, "--json").stdout)

    assert [part["part"] for part in data["parts"]] == ["stem", "stages.0", "head"]
    assert data["macs"] == sum(sum(part["macs_by_family"].values()) for part in data["parts"])
    assert (data["params"], data["params"] + data["frozen_params"]) == (4_255_694, 4_310_222)
    assert data["parts"][1]["reach"] == 1
    assert data["published"]["macs"] == 1_100_000_000


def test_profile_at_another_image_size(searched):
    data = json.loads(
        searched.here("profile", REFERENCE / "resnet18.yaml", "--image", "224x160", *QUICK, "--json").stdout
    )

    assert data["parts"][0]["out"] == [64, 56, 40]


@pytest.mark.parametrize("size", ["0", "16x", "axb", "5000"])
def test_profile_refuses_what_is_no_size(searched, size):
    done = searched.here("profile", REFERENCE / "resnet18.yaml", "--image", size)

    assert (done.returncode, done.stdout) == (2, "")
    assert "is no size; write 160, or 224x160 for height x width" in done.stderr


def test_profile_says_at_which_size_a_network_cannot_be(searched):
    done = searched.here("profile", REFERENCE / "vit_tiny_patch16_224.yaml", "--image", "17x9")

    assert (done.returncode, done.stdout) == (2, "")
    assert "stem.size: 16 is larger than the 17x9 map that arrives here" in done.stderr


def test_published_weights_are_exported_as_a_network_of_ours(searched):
    source = torchvision_resnet18_weights(searched.folder / "resnet18.pth")

    forms = ("--form", "yaml", "--form", "weights")
    done = searched.here("export", "--weights", source, "--as", "resnet18", "--out", "taken", *forms)

    assert (done.returncode, done.stderr) == (0, "")
    file, weights = (searched.folder / line.split()[0] for line in done.stdout.splitlines())
    network = load_architecture(file).build()
    network.load_state_dict(load_file(weights))
    assert torch.equal(network.head.linear.bias, torch.load(source)["fc.bias"])


@pytest.mark.parametrize("arguments", [(), ("--weights", "x.pth"), (RUN, "--trial", 0, "--as", "resnet18")])
def test_an_export_of_nothing_in_particular_says_what_to_write(searched, arguments):
    done = searched.here("export", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert "write RUN --trial N, or --weights FILE --as NAME" in done.stderr


def test_weights_of_another_network_are_refused_and_nothing_is_written(searched):
    source = torchvision_resnet18_weights(searched.folder / "resnet18.pth")

    done = searched.here("export", "--weights", source, "--as", "t2t_vit_7", "--out", "refused")

    assert (done.returncode, done.stdout) == (2, "")
    assert "t2t_vit_7: missing: " in done.stderr
    assert not (searched.folder / "refused").exists()


def torchvision_resnet18_weights(path):
    """A state dict with the published names and shapes."""
    network = load_architecture(REFERENCE / "resnet18.yaml").build()
    dialect = next(d for d in DIALECTS if "torchvision and timm" in d.implementation)
    names = dialect.translate(network.architecture, list(network.state_dict()))
    torch.save({names[ours]: tensor for ours, tensor in network.state_dict().items()}, path)
    return path


def test_check_tells_the_references(searched):
    known = "name: known\nimage: {channels: 1, height: 8, width: 8}\nclasses: 10\nstem: {kind: patch, channels: 6, size: 2}\n"
    known += "stages:\n  - {kind: conv, channels: 8, depth: 1, kernel: 3, expansion: 0.5}\n"
    (searched.folder / "known.yaml").write_text(known)
    (searched.folder / "with.yaml").write_text(TINY + "references: [known.yaml]\n")

    done = searched.here("check", "with.yaml", "--draws", 10)

    assert "references, points of it that are evaluated first: known" in done.stdout


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
