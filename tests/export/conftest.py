"""Every network in every format, written once."""

import subprocess
import sys

import pytest
import torch
from export_examples import IN_EVERY_FORMAT, NETWORKS, images, subject_of
from paths import HELPERS
from run_fixtures import copy, run, searched  # noqa: F401

from archsearch.export.formats import FORMATS, write_formats

QUICK = ("yaml", "weights", "standalone")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("formats")


@pytest.fixture(scope="session")
def taken(folder):
    """What was written, by network and format."""
    written = {}
    for name in NETWORKS:
        subject = subject_of(name, f"The network with a {name}.")
        written[name] = write_formats(subject, folder, tuple(FORMATS) if name in IN_EVERY_FORMAT else QUICK)
    return written


@pytest.fixture(scope="session")
def alone(taken, folder):
    """The largest difference of each format in a process where only torch can be imported; and what else was."""
    expected = {}
    for name, formats in taken.items():
        network, pixels = subject_of(name).network, [images(1), images(4)]
        with torch.no_grad():
            logits = [network(some) for some in pixels]
        files = {"code": formats["standalone"].path.name}
        if "program" in formats:
            files["program"] = formats["program"].path.name
        expected[name] = {"images": pixels, "logits": logits, **files}
    torch.save(expected, folder / "expected.pt")
    script = HELPERS / "run_standalone.py"
    command = [sys.executable, "-I", script, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *lines, others = done.stdout.splitlines()
    split = [line.split("|") for line in lines]
    return {(name, format_name): float(difference) for name, format_name, difference in split}, others
