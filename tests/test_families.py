"""Families are named by how the stages mix, and records of before 0.1.0 are read under today's names."""

import itertools

import pytest

from archsearch.families import family_of, family_order, read_family
from archsearch.storage.trial_record import TrialRecord

OLD = {"all-conv": "all-local", "all-token": "all-global", "global-from-0": "all-global"}
SAME = ("all-local", "global-from-1", "global-from-12", "mixed", "all-global")
RECORD = {
    "slot": 0,
    "outcome": "trained",
    "architecture": "0123456789ab",
    "description": "{}",
    "layout": "C-C",
    "globality": 0.0,
    "params": 1,
    "macs": 1,
}


@pytest.mark.parametrize(
    ("stages", "name"),
    [
        ("ll", "all-local"),
        ("gg", "all-global"),
        ("lg", "global-from-1"),
        ("llg", "global-from-2"),
        ("gl", "mixed"),
        ("lglg", "mixed"),
    ],
)
def test_a_family_says_where_the_global_stages_stand(stages, name):
    assert family_of([stage == "g" for stage in stages]) == name


def test_every_network_has_a_family():
    for stages in itertools.product([False, True], repeat=4):
        assert read_family(family_of(stages)) in {*SAME, "global-from-2", "global-from-3"}


@pytest.mark.parametrize(("old", "name"), OLD.items())
def test_an_old_name_is_read_as_what_it_is(old, name):
    assert read_family(old) == name
    assert TrialRecord.of({**RECORD, "family": old}).family == name


@pytest.mark.parametrize("name", SAME)
def test_todays_names_stay(name):
    assert read_family(name) == name


def test_families_stand_from_local_to_global():
    names = ["all-global", "mixed", "global-from-10", "global-from-2", "all-local"]

    assert sorted(names, key=family_order) == [
        "all-local",
        "global-from-2",
        "global-from-10",
        "mixed",
        "all-global",
    ]
