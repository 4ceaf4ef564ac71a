"""``archsearch export``: of a trial, of an architecture file with its weights in every format, of published weights."""

import re
import sys
from pathlib import Path

import pytest
import torch
from command_line import CommandLine
from safetensors.torch import load_file

from archsearch.architecture import seeded_network
from archsearch.export import formats as module
from archsearch.published.dialects import DIALECTS
from archsearch.results import load_run
from archsearch.space import load_architecture
from archsearch.storage.weights import save_weights

FILE = """\
# Made by hand.
name: small
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: patch, channels: 4, size: 2}
stages:
  - {kind: conv, channels: 8, depth: 1, expansion: 0.5}
"""
CHECKED = re.compile(r"run on batches of 1 and 3: logits differ by (\S+) at most")

RUN = "runs/tiny/digits-seed0"
REFERENCE = Path(__file__).parents[2] / "spaces" / "reference"


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """The command where an architecture file and its weights lie."""
    command = CommandLine(tmp_path_factory.mktemp("taking"))
    file = command.folder / "small.yaml"
    file.write_text(FILE)
    network = seeded_network(load_architecture(file), seed=0)
    save_weights(network.state_dict(), command.folder / "small.safetensors")
    return command


@pytest.fixture(scope="module")
def taken(command):
    """What is printed when the network is exported in every format."""
    return command.here("export", "small.yaml", "--weights", "small.safetensors", "--out", "taken")


def test_a_network_is_written_in_every_format_and_each_is_checked(command, taken):
    assert (taken.returncode, taken.stderr) == (0, "")
    files = [line.split()[0] for line in taken.stdout.splitlines()]
    assert files == [f"taken/small.{ending}" for ending in ("yaml", "safetensors", "pt2", "onnx", "py")]
    assert all((command.folder / file).is_file() for file in files)
    assert len(CHECKED.findall(taken.stdout)) == 4


def test_a_standalone_file_is_a_module_like_any_other(command, taken, monkeypatch):
    monkeypatch.syspath_prepend(command.folder / "taken")
    module = __import__("small")
    monkeypatch.delitem(sys.modules, "small")

    logits = module.build(command.folder / "taken" / "small.pt")(torch.zeros(2, 1, 8, 8))
    assert logits.shape == (2, 10)
    assert "Made by hand." in module.__doc__


def test_only_the_requested_formats_are_written(command):
    formats = ("--format", "standalone", "--format", "yaml")
    done = command.here("export", "small.yaml", "--weights", "small.safetensors", "--out", "two", *formats)

    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in (command.folder / "two").iterdir()} == {
        "small.yaml",
        "small.py",
        "small.pt",
    }


def test_what_is_left_out_is_reported(command, monkeypatch):
    two = {name: module.FORMATS[name] for name in ("yaml", "onnx")}
    monkeypatch.setattr(module, "FORMATS", two)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    done = command.here("export", "small.yaml", "--weights", "small.safetensors", "--out", "few")

    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "few/small.yaml  the file as it was",
        "no onnx: onnx and onnxscript cannot be imported; pip install 'archsearch[onnx]'",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("small.yaml", "--weights", "small.safetensors", "--format", "tar"),
            "--format: tar is not a format; use one of yaml, weights, program, onnx, standalone",
        ),
        (("small.yaml", "--weights", "small.yaml"), "small.yaml: cannot be read as weights"),
        (("small.yaml", "--weights", "missing.pt"), "missing.pt: is not there"),
        (("missing.yaml", "--weights", "small.safetensors"), "missing.yaml"),
        (("small.yaml", "--trial", 3), "no run lies here"),
        (
            (".", "--final-seed", 0),
            "--final-seed: only applies to a trial; write RUN --trial N",
        ),
        (("small.yaml",), "it is not clear what to export; write RUN --trial N, or --weights FILE --as NAME"),
    ],
)
def test_what_cannot_be_exported_is_refused(command, arguments, message):
    done = command.here("export", *arguments, "--out", "refused")

    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert not (command.folder / "refused").exists()


def test_an_export_can_be_profiled_again(searched):
    number = int(load_run(searched.folder / RUN).frontier["number"].iloc[0])

    formats = ("--format", "yaml", "--format", "weights")
    done = searched.here("export", RUN, "--trial", number, "--out", "winners", *formats)

    assert (done.returncode, done.stderr) == (0, "")
    file, weights = (line.split()[0] for line in done.stdout.splitlines())
    assert load_architecture(searched.folder / file).id in file
    assert (searched.folder / weights).is_file()


def test_an_export_of_an_unknown_trial_lists_the_frontier(searched):
    done = searched.here("export", RUN, "--trial", 99)

    known = ", ".join(str(number) for number in load_run(searched.folder / RUN).frontier["number"])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"archsearch: error: {RUN}: --trial: 99 is not a trained trial of this run; on the frontier are: {known}\n"
    )


def test_an_export_below_a_file_is_a_fault_of_the_environment(searched):
    number = int(load_run(searched.folder / RUN).frontier["number"].iloc[0])
    (searched.folder / "file").touch()

    done = searched.here("export", RUN, "--trial", number, "--out", "file/winners")

    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("archsearch: error: file/winners")


def test_published_weights_are_exported_as_a_network_of_ours(searched):
    source = torchvision_resnet18_weights(searched.folder / "resnet18.pth")

    formats = ("--format", "yaml", "--format", "weights")
    done = searched.here("export", "--weights", source, "--as", "resnet18", "--out", "taken", *formats)

    assert (done.returncode, done.stderr) == (0, "")
    file, weights = (searched.folder / line.split()[0] for line in done.stdout.splitlines())
    network = load_architecture(file).build()
    network.load_state_dict(load_file(weights))
    assert torch.equal(network.head.linear.bias, torch.load(source)["fc.bias"])


@pytest.mark.parametrize("arguments", [(), ("--weights", "x.pth"), (RUN, "--trial", 0, "--as", "resnet18")])
def test_an_unclear_export_command_is_refused_with_its_usage(searched, arguments):
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
