"""The run folder: it belongs to one search, one process at a time works in it, and it can be moved."""

import json
import os
import platform
import shutil
from pathlib import Path

import pytest
from table_search import SHORT, SIX, blind, outcome_of, recorded, search, settled, table

from archsearch.api import run_study
from archsearch.errors import EnvironmentFaultError, RunFolderError
from archsearch.files import write_atomically
from archsearch.space import load_space
from archsearch.storage.run_folder import differing


def contents(folder):
    """Every file below a folder, with what is in it."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished search of three trials, which no test may change."""
    place = tmp_path_factory.mktemp("finished")
    (place / "six.yaml").write_text(SIX)
    run_study(load_space(place / "six.yaml"), blind(trials=3), place / "run", evaluate=table)
    return place / "run"


@pytest.fixture
def done(finished, out):
    """The same, which a test may go on with."""
    return shutil.copytree(finished, out)


def test_the_manifest_tells_what_the_run_belongs_to(six, done):
    identity = json.loads((done / "run.json").read_text())["identity"]

    assert identity.keys() == {
        *("space", "space_fingerprint", "data", "data_fingerprint", "objectives", "limits"),
        *(
            "rungs",
            "reduction_factor",
            "audit",
            "scores",
            "threads",
            "sampler",
            "seed",
            "latency_batch",
            "latency_dtype",
            "latency_mode",
            "device",
        ),
        *(f"recipe.{name}" for name in SHORT.model_dump()),
    }
    assert (identity["space"], identity["space_fingerprint"]) == ("six", six.fingerprint)
    assert identity["objectives"] == ["top1", "macs"]


def test_the_manifest_tells_with_what_it_was_made(done):
    manifest = json.loads((done / "run.json").read_text())

    assert manifest["versions"].keys() == {"archsearch", "torch", "optuna", "fvcore", "numpy"}
    assert manifest["python"] == platform.python_version()
    assert manifest["cores"] == os.cpu_count()
    assert {"system", "git_revision", "command"} < manifest.keys()


def test_the_manifest_is_not_rewritten_by_a_resumption(six, done):
    before = (done / "run.json").read_bytes()
    search(six, blind(trials=4), done, evaluate=table)

    assert (done / "run.json").read_bytes() == before


CHANGES = {
    "seed": (blind(seed=3), "seed was 0 and is 3"),
    "sampler": (blind(sampler="random"), "sampler was auto and is random"),
    "recipe": (blind(recipe=SHORT), "recipe.samples was 8192 and is 128"),
    "data": (blind(data="faces"), "data was digits and is faces"),
    "objectives": (
        blind(objectives=("top1", "params")),
        "objectives was ['top1', 'macs'] and is ['top1', 'params']",
    ),
    "limits": (blind(limits={"macs": 9e9}), "limits was {} and is {'macs': 9000000000.0}"),
    "latency batch": (blind(latency_batch=8), "latency_batch was 1 and is 8"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_search_is_refused_with_the_old_and_the_new_value(six, done, name):
    config, difference = CHANGES[name]

    with pytest.raises(RunFolderError) as caught:
        search(six, config, done, evaluate=table)

    assert difference in str(caught.value)
    assert str(caught.value).startswith(f"{done} belongs to another run: ")
    assert caught.value.exit_code == 5


def test_another_space_is_refused(six, space_of, done):
    other = space_of(SIX.replace("[4, 8, 12]", "[4, 8, 16]"))

    with pytest.raises(RunFolderError) as caught:
        search(other, blind(), done, evaluate=table)

    assert f"space_fingerprint was {six.fingerprint} and is {other.fingerprint}" in str(caught.value)


def test_a_space_with_another_limit_is_refused(space_of, done):
    with pytest.raises(RunFolderError, match="space_fingerprint was"):
        search(space_of(SIX + "limits: {params: 1M}\n"), blind(), done, evaluate=table)


def test_a_space_with_another_name_is_refused(space_of, done):
    with pytest.raises(RunFolderError, match="space was six and is seven"):
        search(space_of(SIX.replace("name: six", "name: seven")), blind(), done, evaluate=table)


def test_real_training_is_refused_where_a_table_stood_in(six, done):
    with pytest.raises(RunFolderError, match="data_fingerprint was evaluate and is"):
        search(six, blind(), done)


def test_all_differences_are_reported_at_once(six, done):
    with pytest.raises(RunFolderError, match="sampler was auto and is random; seed was 0 and is 3"):
        search(six, blind(seed=3, sampler="random"), done, evaluate=table)


def test_a_refused_search_does_not_touch_the_results_of_the_other(six, done):
    modified = {path: path.stat().st_mtime_ns for path in done.rglob("*.*") if path.name != "run.lock"}

    with pytest.raises(RunFolderError):
        run_study(six, blind(seed=3), done, evaluate=table)

    assert {path: path.stat().st_mtime_ns for path in modified} == modified


def test_settings_are_compared_by_name():
    was, now = {"seed": 0, "data": "a", "old": 1}, {"seed": 3, "data": "a", "new": 2}

    assert list(differing(was, now)) == [
        "new was None and is 2",
        "old was 1 and is None",
        "seed was 0 and is 3",
    ]


def test_comments_and_layout_of_the_space_may_change(space_of, done):
    commented = "# a comment\n" + SIX.replace(
        "image: {channels: 1, height: 8, width: 8}", "image:\n  {width: 8, height: 8, channels: 1}  # small"
    )

    assert len(outcome_of(space_of(commented), blind(trials=4), done)) == 4


def test_the_time_for_a_latency_may_change(six, done):
    assert len(outcome_of(six, blind(trials=4, latency_seconds=0.05), done)) == 4


def test_a_moved_folder_resumes(six, done, tmp_path):
    before = settled(done)
    moved = done.rename(tmp_path / "elsewhere")

    found = outcome_of(six, blind(trials=4), moved)

    assert len(found) == 4
    assert {slot: found[slot] for slot in before} == before


def test_a_copied_folder_resumes_by_a_relative_path(six, done, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert len(outcome_of(six, blind(trials=4), done.name)) == 4


def test_folders_on_the_way_are_made(six, tmp_path):
    search(six, blind(trials=1), tmp_path / "a" / "b" / "c", evaluate=table)

    assert (tmp_path / "a" / "b" / "c" / "study.db").is_file()


def test_a_file_is_written_whole_and_nothing_lies_beside_it(tmp_path):
    write_atomically(tmp_path / "a.txt", "new")

    assert contents(tmp_path) == {Path("a.txt"): b"new"}


def test_bytes_are_written_as_they_are(tmp_path):
    write_atomically(tmp_path / "a.bin", b"\x00\xff")

    assert (tmp_path / "a.bin").read_bytes() == b"\x00\xff"


def test_a_file_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "a.txt", "new")

    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_below_a_file_is_a_fault_of_the_environment(six, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(EnvironmentFaultError, match="choose another folder with --out") as caught:
        search(six, blind(), tmp_path / "file" / "run", evaluate=table)

    assert caught.value.exit_code == 4


def test_a_folder_that_is_a_file_is_a_fault_of_the_environment(six, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(EnvironmentFaultError, match="choose another folder with --out"):
        search(six, blind(), tmp_path / "file", evaluate=table)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_a_fault_of_the_environment(six, tmp_path):
    tmp_path.chmod(0o500)

    with pytest.raises(EnvironmentFaultError, match="Permission denied; choose another folder with --out"):
        search(six, blind(), tmp_path / "run", evaluate=table)


def test_a_manifest_of_garbage_is_a_fault_of_the_environment(six, done):
    (done / "run.json").write_text("garbage")

    with pytest.raises(EnvironmentFaultError, match=r"run\.json"):
        search(six, blind(), done, evaluate=table)


def test_results_that_cannot_be_written_are_a_fault_of_the_environment(six, out):
    (out / "trials.csv").mkdir(parents=True)

    with pytest.raises(EnvironmentFaultError, match=r"trials\.csv"):
        run_study(six, blind(trials=1), out, evaluate=table)

    assert len(recorded(out)) == 1
