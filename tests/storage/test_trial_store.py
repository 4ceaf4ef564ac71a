"""What one worker does in the record: claims are whole, and what a dead worker leaves is mended."""

from dataclasses import replace

import pytest
from searching import recorded

from archsearch.storage.optuna_storage import close, open_study
from archsearch.storage.trial_store import MAX_DEATHS, Ledger
from archsearch.study.evaluate_candidate import counted
from archsearch.trial import proposal_of

OBJECTIVES = ("top1", "macs")


class First:
    """Chooses the first of everything."""

    def suggest_categorical(self, name, choices):
        return choices[0]


@pytest.fixture
def study(out):
    out.mkdir()
    study = open_study(out / "study.db", "one", OBJECTIVES)
    yield study
    close(study)


def claim(study, space, worker, slot=0):
    proposal = proposal_of(space, First())
    ledger = Ledger(study, OBJECTIVES, worker)
    return ledger, ledger.claim(proposal, counted(proposal.architecture, slot, space))


def nobody(worker):
    return False


def test_a_claimed_trial_is_whole_from_its_first_moment(study, six, out):
    claim(study, six, "a")

    (trial,) = recorded(out)
    assert trial.state.name == "RUNNING"
    assert trial.params == {"stem.channels": 4, "stages.0.channels": 4}
    assert {"slot", "architecture", "description", "macs", "worker"} <= trial.user_attrs.keys()


def test_a_trial_of_a_living_worker_is_left_alone(study, six, out):
    claim(study, six, "a")
    Ledger(study, OBJECTIVES, "b").reap(lambda worker: worker == "a", set(), resumable=False)

    assert recorded(out)[0].state.name == "RUNNING"


def test_a_trial_of_a_dead_worker_gives_its_slot_back(study, six, out):
    claim(study, six, "a")
    other = Ledger(study, OBJECTIVES, "b")
    other.reap(nobody, set(), resumable=False)

    assert recorded(out)[0].user_attrs["outcome"] == "interrupted"
    assert other.free_slot(1) == 0


def test_a_candidate_at_which_worker_after_worker_dies_fails_and_says_so(study, six, out):
    for death in range(MAX_DEATHS):
        claim(study, six, f"worker-{death}")
        Ledger(study, OBJECTIVES, "next").reap(nobody, set(), resumable=False)

    outcomes = [trial.user_attrs["outcome"] for trial in recorded(out)]
    assert outcomes == ["interrupted"] * (MAX_DEATHS - 1) + ["failed"]
    assert "5 workers died at it" in recorded(out)[-1].user_attrs["error"]
    assert Ledger(study, OBJECTIVES, "next").free_slot(1) is None


def test_workers_that_die_at_different_candidates_are_no_candidates_fault(study, six, out):
    for slot in range(MAX_DEATHS):
        claim(study, six, f"worker-{slot}", slot)
        Ledger(study, OBJECTIVES, "next").reap(nobody, set(), resumable=False)

    assert {trial.user_attrs["outcome"] for trial in recorded(out)} == {"interrupted"}


def test_a_worker_that_is_stopped_and_lets_go_has_not_died(study, six, out):
    for _ in range(MAX_DEATHS + 1):
        ledger, _ = claim(study, six, "a")
        ledger.reap(lambda worker: worker != "a", set(), resumable=False)

    assert {trial.user_attrs["outcome"] for trial in recorded(out)} == {"interrupted"}


def test_a_candidate_that_died_behind_a_rung_is_paused_there_again_and_not_for_ever(study, six, out):
    ledger, trial_id = claim(study, six, "a")
    record = replace(
        counted(six.draw(0), 0, six), outcome="paused", rungs=({"share": 0.5, "samples": 8, "top1": 0.1},)
    )
    ledger.pause(ledger.mine(trial_id), record, {})
    for death in range(MAX_DEATHS):
        assert [known.state for known in ledger.known()] == ["paused"]
        Ledger(study, OBJECTIVES, f"worker-{death}").take(0, audit=False)
        Ledger(study, OBJECTIVES, "next").reap(nobody, set(), resumable=True)

    (trial,) = recorded(out)
    assert (trial.state.name, trial.user_attrs["outcome"]) == ("FAIL", "failed")


def test_a_trial_that_is_another_workers_by_now_is_not_mine(study, six):
    ledger, trial_id = claim(study, six, "a")
    assert ledger.mine(trial_id) is not None

    Ledger(study, OBJECTIVES, "b").reap(nobody, set(), resumable=False)

    assert ledger.mine(trial_id) is None
