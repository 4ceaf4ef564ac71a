"""Workers of one folder: what is special to locks of the kernel on its files."""

import pytest
from lock_workers import worker

from archsearch.errors import EnvironmentFaultError
from archsearch.workers.folder_locks import FolderLocks


def files(folder):
    return sorted(path.name for path in (folder / "workers").iterdir())


def test_a_name_that_leads_out_of_the_folder_touches_nothing(tmp_path):
    (tmp_path / "precious.lock").touch()
    with FolderLocks(tmp_path / "run") as here:
        assert not here.alive("../../precious")
        assert not here.alive(str(tmp_path / "precious"))

    assert (tmp_path / "precious.lock").exists()


def test_a_lock_file_that_was_removed_is_made_again(tmp_path):
    with FolderLocks(tmp_path) as here:
        for _ in range(2):
            with here.locked():
                assert (tmp_path / "run.lock").read_text() == here.worker
            (tmp_path / "run.lock").unlink()


def test_a_folder_that_was_removed_is_a_fault_of_the_environment(tmp_path):
    with FolderLocks(tmp_path / "run") as here:
        (tmp_path / "run").rename(tmp_path / "elsewhere")

        with pytest.raises(EnvironmentFaultError, match="No such file"), here.locked():
            pass


def test_a_folder_below_a_file_is_a_fault_of_the_environment(tmp_path):
    (tmp_path / "file").touch()

    with (
        pytest.raises(EnvironmentFaultError, match="choose another folder with --out"),
        FolderLocks(tmp_path / "file"),
    ):
        pass


def test_a_worker_that_ended_leaves_no_file(tmp_path):
    with FolderLocks(tmp_path) as here, FolderLocks(tmp_path) as other:
        assert files(tmp_path) == sorted([f"{here.worker}.lock", f"{other.worker}.lock"])

    assert files(tmp_path) == []


def test_the_file_of_a_killed_worker_is_removed_by_whoever_looks(tmp_path):
    with worker(tmp_path) as (process, name), FolderLocks(tmp_path) as here:
        process.kill()
        process.wait()

        assert not here.alive(name)
        assert files(tmp_path) == [f"{here.worker}.lock"]
