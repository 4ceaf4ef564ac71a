"""What one worker does in the record: claims are whole, and what a dead worker leaves is mended."""

from dataclasses import replace

import pytest
from table_search import recorded

from archsearch.storage.open import close, open_for_work
from archsearch.storage.trial_store import MAX_DEATHS, TrialStore
from archsearch.study.evaluate_candidate import new_record
from archsearch.trial import proposal_of

OBJECTIVES = ("top1", "macs")


class First:
    """Chooses the first of everything."""

    def suggest_categorical(self, name, choices):
        return choices[0]


@pytest.fixture
def study(out):
    out.mkdir()
    study = open_for_work(out / "study.db", "one", OBJECTIVES)
    yield study
    close(study)


def claim(study, space, worker, slot=0):
    proposal = proposal_of(space, First())
    store = TrialStore(study, OBJECTIVES, worker)
    return store, store.claim(proposal, new_record(proposal.architecture, slot, space))


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
    TrialStore(study, OBJECTIVES, "b").recover_orphans(lambda worker: worker == "a", set(), resumable=False)

    assert recorded(out)[0].state.name == "RUNNING"


def test_a_trial_of_a_dead_worker_gives_its_slot_back(study, six, out):
    claim(study, six, "a")
    other = TrialStore(study, OBJECTIVES, "b")
    other.recover_orphans(nobody, set(), resumable=False)

    assert recorded(out)[0].user_attrs["outcome"] == "interrupted"
    assert other.free_slot(1) == 0


def test_a_candidate_at_which_worker_after_worker_dies_fails_and_says_so(study, six, out):
    for death in range(MAX_DEATHS):
        claim(study, six, f"worker-{death}")
        TrialStore(study, OBJECTIVES, "next").recover_orphans(nobody, set(), resumable=False)

    outcomes = [trial.user_attrs["outcome"] for trial in recorded(out)]
    assert outcomes == ["interrupted"] * (MAX_DEATHS - 1) + ["failed"]
    assert "5 workers died at it" in recorded(out)[-1].user_attrs["error"]
    assert TrialStore(study, OBJECTIVES, "next").free_slot(1) is None


def test_workers_that_die_at_different_candidates_are_no_candidates_fault(study, six, out):
    for slot in range(MAX_DEATHS):
        claim(study, six, f"worker-{slot}", slot)
        TrialStore(study, OBJECTIVES, "next").recover_orphans(nobody, set(), resumable=False)

    assert {trial.user_attrs["outcome"] for trial in recorded(out)} == {"interrupted"}


def test_a_worker_that_is_stopped_and_lets_go_has_not_died(study, six, out):
    for _ in range(MAX_DEATHS + 1):
        store, _ = claim(study, six, "a")
        store.recover_orphans(lambda worker: worker != "a", set(), resumable=False)

    assert {trial.user_attrs["outcome"] for trial in recorded(out)} == {"interrupted"}


def test_a_candidate_that_died_behind_a_rung_is_paused_there_again_and_not_for_ever(study, six, out):
    store, trial_id = claim(study, six, "a")
    record = replace(
        new_record(six.draw(0), 0, six), outcome="paused", rungs=({"share": 0.5, "samples": 8, "top1": 0.1},)
    )
    store.pause(store.mine(trial_id), record, {})
    for death in range(MAX_DEATHS):
        assert [known.state for known in store.known()] == ["paused"]
        TrialStore(study, OBJECTIVES, f"worker-{death}").take(0, audit=False)
        TrialStore(study, OBJECTIVES, "next").recover_orphans(nobody, set(), resumable=True)

    (trial,) = recorded(out)
    assert (trial.state.name, trial.user_attrs["outcome"]) == ("FAIL", "failed")


def test_a_trial_that_is_another_workers_by_now_is_not_mine(study, six):
    store, trial_id = claim(study, six, "a")
    assert store.mine(trial_id) is not None

    TrialStore(study, OBJECTIVES, "b").recover_orphans(nobody, set(), resumable=False)

    assert store.mine(trial_id) is None
