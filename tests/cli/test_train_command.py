"""``archsearch train``: a curve on the screen, files in a folder, and signals that cost little."""

import json
import re
import signal

import pytest
from command_line import CommandLine

FILE = """\
name: small
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: patch, channels: 4, size: 2}
stages:
  - {kind: conv, channels: 8, depth: 1, expansion: 0.5}
"""
RECIPE = "recipe: {samples: 640, batch_size: 32, validation_images: 64}\n"
POINT = re.compile(
    r"^\[ *(\d+)%\] +(\S+) images  train loss [\d.]+  val loss [\d.]+  top1 [\d.]+", re.MULTILINE
)


def with_files(command):
    (command.folder / "small.yaml").write_text(FILE)
    (command.folder / "quick.yaml").write_text(RECIPE)
    return command


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    return with_files(CommandLine(tmp_path_factory.mktemp("trained")))


@pytest.fixture(scope="module")
def done(command):
    return command.here("train", "small.yaml", "--study", "quick.yaml", "--seed", 2, "--threads", 1)


def test_a_training_prints_its_curve_and_its_result(command, done):
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("small (")
    assert [int(share) for share, _ in POINT.findall(done.stdout)] == list(range(5, 105, 5))
    result = json.loads((command.folder / "trained/small/quick/result.json").read_text())
    assert (result["recipe"]["seed"], result["samples"]) == (2, 640)
    said = f"top1 {result['top1']:.4f} on validation, {result['test_top1']:.4f} on test images; 640 images"
    assert said in done.stdout


def test_the_last_line_is_a_command_that_takes_the_network_away(command, done):
    line = done.stdout.splitlines()[-1].removeprefix("to export it: archsearch ")
    exported = command.here(*line.split(), "--format", "standalone")

    assert (exported.returncode, exported.stderr) == (0, "")
    assert (command.folder / "exported" / "architecture.py").is_file()


def test_a_finished_training_says_so_and_changes_nothing(command, done):
    folder = command.folder / "trained/small/quick"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = command.here("train", "small.yaml", "--study", "quick.yaml", "--seed", 2, "--threads", 1)

    assert (again.returncode, again.stderr) == (0, "")
    assert "this training had finished before: nothing was changed" in again.stdout
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_another_recipe_in_the_same_folder_is_code_five(command, done):
    again = command.here("train", "small.yaml", "--samples", 320, "--out", "trained/small/quick")

    assert again.returncode == 5
    assert "recipe.samples was 640 and is 320" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("missing.yaml",), "missing.yaml"),
        (("small.yaml", "--samples", 1), "samples"),
        (("small.yaml", "--data", "nowhere.parquet"), "nowhere.parquet"),
        (("small.yaml", "--weights", "missing.pt"), "missing.pt: is not there"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_nothing_is_written(command, arguments, told):
    refused = command.here("train", *arguments, "--out", "refused")

    assert refused.returncode == 2
    assert told in refused.stderr
    assert not (command.folder / "refused").exists()


# Long enough that the signal arrives before the end, which is a second away at least.
LONG = RECIPE.replace("640", "32000")


def test_a_stopped_training_keeps_its_evaluations(tmp_path):
    command = with_files(CommandLine(tmp_path))
    (tmp_path / "quick.yaml").write_text(LONG)
    process = command.start_preloaded("train", "small.yaml", "--study", "quick.yaml", "--out", "out")
    lines = []
    while not lines or not POINT.search(lines[-1]):
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read()
    process.send_signal(signal.SIGTERM)
    rest, complaint = process.communicate(timeout=60)

    assert (process.returncode, complaint) == (128 + signal.SIGTERM, "")
    assert re.search(r"stopped at \d+%; the same command resumes\n$", rest)
    assert (tmp_path / "out" / "checkpoint.safetensors").is_file()
    again = command.here("train", "small.yaml", "--study", "quick.yaml", "--out", "out")
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.splitlines()[1] == "resuming from the last saved point of the curve"
    assert len(POINT.findall(again.stdout)) < 20
