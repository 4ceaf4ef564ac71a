"""A search that was stopped, by whatever, goes on where it was: the same command ends where it would have ended."""

import contextlib
import signal
import sys

import killed_search
import pytest
from forked_helper import ForkedHelper
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from killed_search import Counted
from sqlalchemy import event
from sqlalchemy.engine import Engine
from table_search import TINY, Calls, blind, opened, outcome_of, recorded, search, settled, states, table

from archsearch.api import run_study
from archsearch.errors import InputError
from archsearch.results import load_run
from archsearch.search import SAMPLER_NAMES
from archsearch.space import load_space
from archsearch.storage.open import open_for_work


def stop_at(*moments):
    """Ctrl-C at these evaluations."""

    def breaks(number, architecture):
        if number in moments:
            raise KeyboardInterrupt

    return Calls(breaks)


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    path = tmp_path_factory.mktemp("space") / "space.yaml"
    path.write_text(TINY)
    return load_space(path)


@pytest.fixture(scope="module")
def undisturbed(space, tmp_path_factory):
    """What twelve trials find when nothing happens; the first six of them are what six find."""
    return outcome_of(space, blind(trials=12), tmp_path_factory.mktemp("undisturbed"))


def first(count, found):
    return {slot: found[slot] for slot in range(count)}


@pytest.mark.parametrize("moment", [1, 2, 4, 6])
def test_a_search_stopped_in_a_candidate_and_resumed_is_as_if_it_had_not_been(
    space, undisturbed, out, moment
):
    with pytest.raises(KeyboardInterrupt):
        search(space, blind(trials=6), out, evaluate=stop_at(moment))

    assert outcome_of(space, blind(trials=6), out) == first(6, undisturbed)
    assert states(out) == {"COMPLETE": 6, "FAIL": 1}


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_a_search_stopped_while_the_sampler_is_at_work_is_as_if_it_had_not_been(
    space, undisturbed, tmp_path, sampler
):
    # The eleventh is the first of whoever learns; chance is at work from the first.
    trials = 4 if sampler == "random" else 12
    config = blind(trials=trials, sampler=sampler)
    expected = undisturbed if sampler == "auto" else outcome_of(space, config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        search(space, config, tmp_path / "stopped", evaluate=stop_at(trials - 1))

    assert outcome_of(space, config, tmp_path / "stopped") == expected


@settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(moments=st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_search_stopped_again_and_again_is_as_if_it_had_not_been(
    space, undisturbed, tmp_path_factory, moments
):
    folder = tmp_path_factory.mktemp("run")
    for moment in moments:
        try:
            search(space, blind(trials=4), folder, evaluate=stop_at(moment))
        except KeyboardInterrupt:
            continue

    assert outcome_of(space, blind(trials=4), folder) == first(4, undisturbed)
    assert "RUNNING" not in states(folder)


def test_a_stopped_candidate_is_marked_and_gives_its_slot_back(space, out):
    with pytest.raises(KeyboardInterrupt):
        search(space, blind(trials=6), out, evaluate=stop_at(3))

    stopped = recorded(out)[-1]
    assert (stopped.state.name, stopped.user_attrs["outcome"], stopped.user_attrs["slot"]) == (
        "FAIL",
        "interrupted",
        2,
    )


def test_the_stopped_candidate_is_the_first_to_be_tried_again(space, out):
    stopped = stop_at(3)
    with pytest.raises(KeyboardInterrupt):
        search(space, blind(trials=6), out, evaluate=stopped)
    calls = Calls()
    search(space, blind(trials=6), out, evaluate=calls)

    assert calls.asked[0] == stopped.asked[-1]


def test_acknowledged_trials_are_the_same_after_resuming(space, out):
    with pytest.raises(KeyboardInterrupt):
        search(space, blind(trials=6), out, evaluate=stop_at(5))
    before = recorded(out)
    search(space, blind(trials=6), out, evaluate=table)

    assert recorded(out)[: len(before)] == before


def test_failures_are_remembered_when_resuming(space, out):
    def breaks(number, architecture):
        if number == 2:
            raise ValueError
        if number == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(space, blind(trials=5), out, evaluate=Calls(breaks))
    calls = Calls()
    search(space, blind(trials=5), out, evaluate=calls)

    assert len(calls.asked) == 2
    assert sorted(settled(out)) == [0, 2, 3, 4]


def test_an_exit_in_the_middle_of_a_candidate_is_an_interruption(space, out):
    def leaves(number, architecture):
        sys.exit(143)

    with pytest.raises(SystemExit):
        search(space, blind(), out, evaluate=Calls(leaves))

    assert recorded(out)[0].user_attrs["outcome"] == "interrupted"


def test_results_of_a_stopped_search_are_written(space, out):
    with pytest.raises(KeyboardInterrupt):
        run_study(space, blind(trials=6), out, evaluate=stop_at(4))

    assert list(load_run(out).trials["outcome"]) == ["trained", "trained", "trained", "interrupted"]
    assert (out / "trials.csv").read_text().count("\n") == 1 + 4


def test_a_trial_that_somebody_queued_by_hand_does_not_disturb(space, undisturbed, out):
    search(space, blind(trials=2), out, evaluate=table)
    with opened(out) as study:
        study.enqueue_trial({"stem.channels": 4})

    assert outcome_of(space, blind(trials=4), out) == first(4, undisturbed)
    assert states(out) == {"COMPLETE": 4, "FAIL": 1}


def killed(space_file, root, trials, moments):
    """Runs that were killed at these moments."""
    with ForkedHelper(killed_search.main, space_file, root, trials, *moments) as process:
        printed, errors = process.communicate(timeout=300)
    assert printed.splitlines() == [f"{moment} {int(signal.SIGKILL)}" for moment in moments], errors
    return {moment: root / moment for moment in moments}


CALLS = ("call-1", "call-4")
# About twenty transactions make the empty study, and thirty each trial; test_crash_points.py strikes at many more.
COMMITS = tuple(f"commit-{number}" for number in (2, 6, 18, 30, 54, 80))


@pytest.fixture(scope="module")
def killed_runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("killed")
    (root / "space.yaml").write_text(TINY)
    return killed(root / "space.yaml", root, 4, (*CALLS, *COMMITS))


@pytest.mark.parametrize("moment", CALLS)
def test_a_kill_in_a_candidate_leaves_it_running_in_the_record(killed_runs, moment):
    assert states(killed_runs[moment])["RUNNING"] == 1


@pytest.mark.parametrize("moment", [*CALLS, *COMMITS])
def test_a_killed_run_can_be_looked_at(killed_runs, moment):
    ranked = set()
    with contextlib.suppress(InputError):  # it was killed before there was a study
        ranked = set(load_run(killed_runs[moment]).frontier["state"])

    assert ranked <= {"COMPLETE"}


# These change the runs and stand behind those that look at them.
@pytest.mark.parametrize("moment", [*CALLS, *COMMITS])
def test_a_killed_run_resumes_as_if_it_had_not_been(space, killed_runs, undisturbed, moment):
    found = outcome_of(space, blind(trials=4), killed_runs[moment])

    assert found == first(4, undisturbed)
    assert "RUNNING" not in states(killed_runs[moment])


@pytest.mark.parametrize("moment", CALLS)
def test_a_killed_candidate_is_marked_on_resuming(space, killed_runs, moment):
    search(space, blind(trials=4), killed_runs[moment], evaluate=table)

    interrupted = [trial for trial in recorded(killed_runs[moment]) if trial.state.name == "FAIL"]
    assert [trial.user_attrs["outcome"] for trial in interrupted] == ["interrupted"]


# About seventy statements make the empty study, and a hundred and twenty each trial.
STATEMENTS = (3, 40, 70, 90, 125, 150, 180, 220, 260)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_signal_while_the_record_is_written_stops_the_run_and_nothing_else(
    space, undisturbed, out, statement
):
    """Ctrl-C at any statement: it arrives as itself, the record can be read, and the run resumes."""
    strike = Counted(statement, lambda: signal.raise_signal(signal.SIGINT))
    event.listen(Engine, "before_cursor_execute", strike)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_study(space, blind(trials=2), out, evaluate=table)
    finally:
        event.remove(Engine, "before_cursor_execute", strike)

    assert outcome_of(space, blind(trials=2), out) == first(2, undisturbed)
    assert "RUNNING" not in states(out)


def test_a_trial_whose_record_is_half_written_is_not_on_the_frontier(space, out):
    """What a kill leaves between two attributes, seen before anybody resumes."""
    search(space, blind(trials=2), out, evaluate=table)
    study = open_for_work(out / "study.db", "tiny", ("top1", "macs"))
    trial = study.ask()
    trial.set_user_attr("slot", 2)
    trial.set_user_attr("outcome", "trained")

    run = load_run(out)

    assert set(run.frontier["state"]) == {"COMPLETE"}
