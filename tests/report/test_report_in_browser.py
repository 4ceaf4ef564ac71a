"""The report of a thousand hostile trials, opened in a real browser."""

import os
import time

import chromium as browser
import pytest

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def opened(report, tmp_path_factory):
    """The report, loaded; a machine without a browser skips, unless it has promised to have one."""
    program = browser.found()
    if program is None and not os.environ.get("ARCHSEARCH_REQUIRE_BROWSER"):
        pytest.skip("no Chromium here")
    assert program, "ARCHSEARCH_REQUIRE_BROWSER is set and there is no Chromium"
    with browser.chromium(program, tmp_path_factory.mktemp("profile")) as page:
        page.open(report.as_uri())
        yield page


def wait_for(opened, condition):
    """Until it holds; an event of the mouse is answered at once, and heard by the page a little later."""
    end = time.monotonic() + 20
    while not opened.value(condition):
        assert time.monotonic() < end, condition
        time.sleep(0.05)


def test_the_console_stays_silent_and_nothing_else_is_loaded(opened, report):
    remote = [url for url in opened.requests() if not url.startswith("data:")]

    assert opened.complaints() == []
    assert remote == [report.as_uri()]


def test_a_thousand_trials_open_at_once(opened):
    milliseconds = opened.value("performance.timing.loadEventEnd - performance.timing.navigationStart")

    # Three seconds are promised; a machine that does other things beside may take longer.
    assert 0 < milliseconds < 12_000


def test_every_mark_has_something_to_tell(opened):
    untold = opened.value(
        "(() => { const facts = JSON.parse(document.getElementById('facts').textContent).trials;"
        "return [...document.querySelectorAll('[data-trial]')].filter(m => !facts[m.dataset.trial]).length })()"
    )

    assert untold == 0


def test_pointing_at_a_mark_tells_its_trial_and_shows_it_in_other_figures(opened):
    opened.value(
        "document.querySelector('#figure-frontier [data-trial=\"20\"]').scrollIntoView({behavior: 'instant'})"
    )
    opened.value("scrollBy({top: -400, behavior: 'instant'})")
    place = opened.value(
        "(() => { const b = document.querySelector('#figure-frontier [data-trial=\"20\"]').getBoundingClientRect();"
        "return [b.x + b.width / 2, b.y + b.height / 2] })()"
    )
    opened.point_at(*place)
    wait_for(opened, "document.querySelector('#tip b') !== null")
    trial = opened.value("document.querySelector('#tip b').textContent").removeprefix("trial ")
    told = opened.value("document.getElementById('tip').innerText")

    assert opened.value("document.getElementById('tip').hidden") is False
    # Another mark may lie on top of the one that is meant.
    assert opened.value(f"document.elementFromPoint({place[0]}, {place[1]}).dataset.trial") == trial
    assert "globality" in told
    assert "stages.0.kind" in told
    assert (
        opened.value("new Set([...document.querySelectorAll('.ring')].map(r => r.ownerSVGElement)).size") > 1
    )


def test_no_attack_made_an_element(opened):
    assert (
        opened.value("document.querySelectorAll('img, iframe, object, script[src], [onerror]').length") == 0
    )
    assert opened.value("document.scripts.length") == 2
