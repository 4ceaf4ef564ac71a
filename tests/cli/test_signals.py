"""A run that is stopped from outside, again and again: nothing acknowledged is lost, the same command resumes."""

import re
import signal
import time

import pytest
from command_line import TINY, CommandLine

from archsearch.results import load_run

# The run is stopped by each in turn, and each time it goes on.
STOPS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGKILL: -signal.SIGKILL}
POLITE = [stop for stop in STOPS if stop != signal.SIGKILL]
BUDGET = len(STOPS) + 1
# A training takes more than half a second: long enough that the signal arrives in the middle of one.
SLOW = TINY.replace("trials: 3", f"trials: {BUDGET}").replace("samples: 128", "samples: 16384")
INTO_THE_NEXT_S = 0.3
LINE = re.compile(r"\[ *\d+/\d+\] trial (\d+) .* top1 ([0-9.]+)")


class Stopped:
    """One passage of the run, which got ``stop`` after it had acknowledged a trial."""

    def __init__(self, command, stop):
        # The first passage is the installed command; the others save its seconds of importing.
        start = command.start if stop == signal.SIGINT else command.start_preloaded
        process = start("run", "slow.yaml", "--out", "out")
        lines = []
        while not lines or not LINE.search(lines[-1]):
            lines.append(process.stdout.readline())
            assert lines[-1], [*lines, process.stderr.read()]
        time.sleep(INTO_THE_NEXT_S)
        process.send_signal(stop)
        rest, self.stderr = process.communicate(timeout=30)
        self.lines = [*"".join(lines).splitlines(), *rest.splitlines()]
        self.code = process.returncode
        self.trials = load_run(command.folder / "out").trials
        self.trained = (self.trials["outcome"] == "trained").sum()

    @property
    def acknowledged(self):
        """Number and accuracy of each trial that was told to be done."""
        return dict(LINE.findall("\n".join(self.lines)))


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """What happened: the passages by their signal, the last passage that nothing stopped, and its trials."""
    command = CommandLine(tmp_path_factory.mktemp("stopped"))
    (command.folder / "slow.yaml").write_text(SLOW)
    passages = {stop: Stopped(command, stop) for stop in STOPS}
    last = command.preloaded("run", "slow.yaml", "--out", "out")
    return passages, last, load_run(command.folder / "out").trials


@pytest.mark.parametrize("stop", list(STOPS), ids=lambda stop: stop.name)
def test_the_exit_code_is_that_of_the_signal(story, stop):
    assert story[0][stop].code == STOPS[stop]


@pytest.mark.parametrize("stop", POLITE, ids=lambda stop: stop.name)
def test_the_last_line_says_that_the_same_command_resumes(story, stop):
    passage = story[0][stop]

    assert passage.lines[-1] == (
        f"stopped: {passage.trained} of {BUDGET} trials are done; the same command resumes"
    )


@pytest.mark.parametrize("stop", list(STOPS), ids=lambda stop: stop.name)
def test_nothing_is_complained_of(story, stop):
    assert story[0][stop].stderr == ""


@pytest.mark.parametrize("stop", POLITE, ids=lambda stop: stop.name)
def test_the_trial_at_work_is_marked(story, stop):
    trials = story[0][stop].trials

    assert (trials["state"].iloc[-1], trials["outcome"].iloc[-1]) == ("FAIL", "interrupted")
    assert "RUNNING" not in set(trials["state"])


def test_a_killed_trial_is_marked_by_the_next_passage(story):
    passages, _, trials = story
    killed = passages[signal.SIGKILL].trials.iloc[-1]

    assert killed["state"] == "RUNNING"
    assert trials.set_index("number")["outcome"][killed["number"]] == "interrupted"


def test_every_resumed_run_prints_what_is_done_already(story):
    told = [passage.lines[1] for passage in list(story[0].values())[1:]]

    assert told == [f"resuming: {done} of {BUDGET} trials are done" for done in (1, 2, 3)]


def test_the_last_passage_ends_with_the_budget(story):
    _, last, trials = story

    assert (last.returncode, last.stderr) == (0, "")
    trained = trials[trials["outcome"] == "trained"]
    assert sorted(trained["slot"]) == list(range(BUDGET))
    assert trained["architecture"].is_unique


def test_nothing_acknowledged_is_lost(story):
    passages, _, trials = story
    top1 = trials.set_index("number")["top1"]

    for passage in passages.values():
        assert {n: f"{top1[int(n)]:.4f}" for n in passage.acknowledged} == passage.acknowledged


def test_nothing_is_left_running(story):
    assert story[2]["outcome"].value_counts().to_dict() == {"trained": BUDGET, "interrupted": len(STOPS)}
    assert set(story[2]["state"]) == {"COMPLETE", "FAIL"}
