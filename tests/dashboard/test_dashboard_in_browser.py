"""What a user sees of a run in Optuna's dashboard: seen in a real browser."""

import os
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.browser

CHROMIUM_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1400,1200 --virtual-time-budget=8000"
).split()


@pytest.fixture(scope="module")
def page(site, tmp_path_factory):
    """What an address of the dashboard shows once its scripts have run, as HTML.

    A machine without a browser skips, unless it has promised to have one.
    """
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None and not os.environ.get("ARCHSEARCH_REQUIRE_BROWSER"):
        pytest.skip("no Chromium here")
    assert found, "ARCHSEARCH_REQUIRE_BROWSER is set and there is no Chromium"
    profile = tmp_path_factory.mktemp("profile")

    def rendered(path):
        address = f"{site.address}/dashboard/studies/1{path}"
        command = [found, *CHROMIUM_FLAGS, f"--user-data-dir={profile}", "--dump-dom", address]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    return rendered


@pytest.fixture(scope="module")
def study_page(page):
    return page("")


@pytest.fixture(scope="module")
def trial_page(page, searched):
    """The page of the last trial, which has readings."""
    from archsearch.results import load_run

    return page(f"/trials?numbers={load_run(searched).trials['number'].max()}")


def test_the_front_names_the_objectives(study_page):
    assert "Pareto Front" in study_page
    assert "top1" in study_page
    assert "macs" in study_page


def test_our_figures_are_drawn(study_page):
    assert ">Pareto front</text>" in study_page
    assert ">Map: best accuracy (trained candidates)</text>" in study_page
    assert "globality (0 local, 1 global)</text>" in study_page


def test_a_trial_shows_its_choices_and_what_was_found(trial_page):
    assert "stages.0.kind" in trial_page
    assert "globality" in trial_page
    assert "layout" in trial_page


def test_a_trial_shows_its_parts_as_a_table(trial_page):
    assert "<table>" in trial_page
    assert "<td>stages.0" in trial_page


def test_a_trial_shows_its_drawing(site, trial_page):
    assert '<img alt="drawing"' in trial_page
    assert any(path.endswith("-d0") for path in site.asked)


def test_a_trial_shows_its_files(trial_page):
    for name in ("drawing.svg", "architecture.yaml", "learning_curve.png", "learning_curve.csv"):
        assert name in trial_page
