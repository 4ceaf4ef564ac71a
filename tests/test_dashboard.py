"""The run's database is an Optuna study that optuna-dashboard shows as it is: seen in a real browser."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import archsearch
from archsearch.study.config import StudyConfig

pytestmark = pytest.mark.browser

SPACE = """
name: seen
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: conv, channels: 8}
stages:
  - channels: {choice: [8, 16]}
    depth: 1
    kind:
      conv: {kernel: {choice: [3, 5]}}
      token_transformer: {split_kernel: 1, heads: {choice: [1, 2]}}
"""
CHROMIUM_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1400,1200 --virtual-time-budget=20000"
).split()


@pytest.fixture
def chromium():
    """The browser; a machine without one skips, unless it has promised to have one."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None and not os.environ.get("ARCHSEARCH_REQUIRE_BROWSER"):
        pytest.skip("no Chromium here")
    assert found, "ARCHSEARCH_REQUIRE_BROWSER is set and there is no Chromium"
    return found


@pytest.fixture
def database(tmp_path):
    """The database of a run of six candidates."""
    (tmp_path / "space.yaml").write_text(SPACE)
    space = archsearch.load_space(tmp_path / "space.yaml")
    archsearch.run_study(
        space,
        StudyConfig(trials=6, objectives=("top1", "macs"), latency_seconds=0.01),
        tmp_path / "run",
        evaluate=lambda architecture, _recipe: 0.5 + archsearch.globality(architecture) / 4,
    )
    return tmp_path / "run" / "study.db"


@pytest.fixture
def dashboard(database, tmp_path):
    """The address of a dashboard on that database, as the README starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).parent / "optuna-dashboard"
    with (tmp_path / "dashboard.log").open("wb") as log:
        server = subprocess.Popen(
            [program, f"sqlite:///{database}", "--port", str(port)], stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=20)


def wait_for(address):
    """Until the server answers, or for half a minute."""
    for _ in range(120):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"{address} does not answer")


def page(chromium, address, tmp_path):
    """The page's elements once its scripts have run."""
    command = [chromium, *CHROMIUM_FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_the_front_names_the_objectives(chromium, dashboard, tmp_path):
    shown = page(chromium, f"{dashboard}/dashboard/studies/1", tmp_path)

    assert "Pareto Front" in shown
    assert "top1" in shown
    assert "macs" in shown


def test_a_trial_shows_its_choices_and_what_was_found(chromium, dashboard, tmp_path):
    shown = page(chromium, f"{dashboard}/dashboard/studies/1/trials?numbers=0", tmp_path)

    assert "stages.0.kind" in shown
    assert "globality" in shown
    assert "layout" in shown
