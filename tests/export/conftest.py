"""Every network in every form, written once."""

import subprocess
import sys

import pytest
import torch
from export_examples import IN_EVERY_FORM, NETWORKS, images, subject_of
from paths import HELPERS
from run_fixtures import copy, run, searched  # noqa: F401

from archsearch.export.format_names import FORMATS
from archsearch.export.formats import write_formats

QUICK = ("yaml", "weights", "standalone")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("forms")


@pytest.fixture(scope="session")
def taken(folder):
    """What was written, by network and form."""
    written = {}
    for name in NETWORKS:
        subject = subject_of(name, f"The network with a {name}.")
        forms = FORMATS if name in IN_EVERY_FORM else QUICK
        written[name] = {one.form: one for one in write_formats(subject, folder, forms)}
    return written


@pytest.fixture(scope="session")
def alone(taken, folder):
    """The largest difference of each form in a process where only torch can be imported; and what else was."""
    expected = {}
    for name, forms in taken.items():
        network, pixels = subject_of(name).network, [images(1), images(4)]
        with torch.no_grad():
            logits = [network(some) for some in pixels]
        files = {"code": forms["standalone"].path.name}
        if "program" in forms:
            files["program"] = forms["program"].path.name
        expected[name] = {"images": pixels, "logits": logits, **files}
    torch.save(expected, folder / "expected.pt")
    script = HELPERS / "run_standalone.py"
    command = [sys.executable, "-I", script, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *lines, others = done.stdout.splitlines()
    split = [line.split("|") for line in lines]
    return {(name, form): float(difference) for name, form, difference in split}, others
