"""A predictor is kept once for each space and conditions, and is read by no other; a cache that fails loses it alone."""

import os
from dataclasses import fields, replace

import pytest

from archsearch.profiling import (
    Accuracy,
    Conditions,
    LatencyPredictor,
    conditions_of,
    keep_fitted,
    load_fitted,
    read_predictor,
)
from archsearch.profiling.fitted import predictor_file
from archsearch.profiling.operator_times import OperatorTable
from archsearch.profiling.predictor import FEATURES

CPU = conditions_of("cpu")
OTHERS = {
    "device": "cuda:0",
    "device_name": "Another processor",
    "batch_size": 2,
    "dtype": "bfloat16",
    "memory_format": "channels_last",
    "mode": "compiled",
    "threads": 2,
    "torch_version": "99.0",
    "cuda_version": "12.8",
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of the cache, which is not there yet."""
    monkeypatch.setenv("ARCHSEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fitted(conditions=CPU, factor=1.0):
    """A predictor of one call."""
    accuracy = Accuracy(candidates=10, spearman=1.0, within_5=1.0, within_10=1.0, within_20=1.0, worst=1.0)
    table = OperatorTable(conditions, {"relu([1]/[1])": 0.5})
    return LatencyPredictor(table, dict.fromkeys(FEATURES, factor), accuracy)


def test_what_was_kept_is_found():
    file = keep_fitted(fitted(), "a space")

    assert file == predictor_file("a space", CPU)
    assert load_fitted("a space", CPU) == read_predictor(file) == fitted()


def test_what_is_kept_later_stands_for_what_was_kept_before():
    for factor in (1.0, 2.0):
        keep_fitted(fitted(factor=factor), "a space")

    assert load_fitted("a space", CPU) == fitted(factor=2.0)


def test_before_the_first_fit_there_is_none(folder):
    assert load_fitted("a space", CPU) is None
    assert not folder.exists()


@pytest.mark.parametrize("name", OTHERS)
def test_other_conditions_have_another_predictor(name):
    keep_fitted(fitted(), "a space")

    assert load_fitted("a space", replace(CPU, **{name: OTHERS[name]})) is None


def test_another_space_has_another_predictor():
    keep_fitted(fitted(), "a space")

    assert load_fitted("another space", CPU) is None


def test_each_space_and_each_condition_has_its_file():
    conditions = [CPU, *(replace(CPU, **{name: value}) for name, value in OTHERS.items())]
    files = {predictor_file(space, each) for space in ("a space", "another") for each in conditions}

    assert OTHERS.keys() == {field.name for field in fields(Conditions)}
    assert len(files) == 2 * (1 + 9)


# --- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damaged",
    [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe\x00", b"not a predictor"],
    ids="empty open list null nothing bytes words".split(),
)
def test_a_damaged_file_is_no_predictor(damaged):
    keep_fitted(fitted(), "a space").write_bytes(damaged)

    assert load_fitted("a space", CPU) is None


def test_a_file_that_was_cut_off_is_no_predictor():
    file = keep_fitted(fitted(), "a space")
    file.write_bytes(file.read_bytes()[:-20])

    assert load_fitted("a space", CPU) is None


def test_a_folder_in_the_place_of_the_file_is_no_predictor():
    predictor_file("a space", CPU).mkdir(parents=True)

    assert load_fitted("a space", CPU) is None


def test_no_file_is_no_predictor(tmp_path):
    assert read_predictor(None) is None
    assert read_predictor(tmp_path / "nothing.json") is None


# --- the disk -------------------------------------------------------------------------------------


def test_an_empty_name_of_the_cache_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHSEARCH_CACHE", "")
    monkeypatch.chdir(tmp_path)

    assert predictor_file("a space", CPU) is None
    assert keep_fitted(fitted(), "a space") is None
    assert load_fitted("a space", CPU) is None
    assert list(tmp_path.iterdir()) == []


def test_no_temporary_file_is_left(folder):
    file = keep_fitted(fitted(), "a space")

    assert list(folder.iterdir()) == [file]


def test_a_write_that_fails_leaves_what_was_kept_before(monkeypatch):
    file = keep_fitted(fitted(), "a space")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        keep_fitted(fitted(factor=2.0), "a space")

    assert load_fitted("a space", CPU) == fitted()
    assert list(file.parent.iterdir()) == [file]


def test_a_file_in_the_place_of_the_folder_is_said(folder):
    folder.write_text("not a folder")

    with pytest.raises(OSError):
        keep_fitted(fitted(), "a space")
    assert load_fitted("a space", CPU) is None
