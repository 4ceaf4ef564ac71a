"""``archsearch export`` in every form, of an architecture file with its weights."""

import re
import sys

import pytest
import torch
from command_line import CommandLine

from archsearch.architecture import seeded_network
from archsearch.export import format_names as kinds
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
    """What is said when the network is taken in every form."""
    return command.here("export", "small.yaml", "--weights", "small.safetensors", "--out", "taken")


def test_a_network_is_written_in_every_form_and_each_is_checked(command, taken):
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


def test_only_the_forms_that_are_asked_for_are_written(command):
    forms = ("--form", "standalone", "--form", "yaml")
    done = command.here("export", "small.yaml", "--weights", "small.safetensors", "--out", "two", *forms)

    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in (command.folder / "two").iterdir()} == {
        "small.yaml",
        "small.py",
        "small.pt",
    }


def test_what_is_left_out_is_said(command, monkeypatch):
    monkeypatch.setattr(kinds, "FORMATS", ("yaml", "onnx"))
    monkeypatch.setattr(kinds, "find_spec", lambda name: None)
    done = command.here("export", "small.yaml", "--weights", "small.safetensors", "--out", "few")

    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "few/small.yaml  the file as it was",
        "no onnx: onnx and onnxscript cannot be imported; pip install 'archsearch[onnx]'",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("small.yaml", "--weights", "small.safetensors", "--form", "tar"),
            "--form: tar is no form; use one of yaml, weights, program, onnx, standalone",
        ),
        (("small.yaml", "--weights", "small.yaml"), "small.yaml: cannot be read as weights"),
        (("small.yaml", "--weights", "missing.pt"), "missing.pt: is not there"),
        (("missing.yaml", "--weights", "small.safetensors"), "missing.yaml"),
        (("small.yaml", "--trial", 3), "no run lies here"),
        (
            (".", "--final-seed", 0),
            "--final-seed: means something with a trial of a run; write RUN --trial N",
        ),
        (("small.yaml",), "what to export is not said; write RUN --trial N, or --weights FILE --as NAME"),
    ],
)
def test_what_cannot_be_taken_is_refused(command, arguments, told):
    done = command.here("export", *arguments, "--out", "refused")

    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert not (command.folder / "refused").exists()
