"""Work beside the trials is done once, by whoever is there, and what a dead worker was at is done again."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from archsearch.storage.open import close, open_for_work
from archsearch.study.work_queue import WorkQueue, is_result
from archsearch.workers.folder_locks import FolderLocks


@dataclass(frozen=True)
class Square:
    """A number to be squared."""

    number: int

    @property
    def key(self):
        return f"square:{self.number}"


TASKS = tuple(map(Square, range(4)))


def squared(task):
    return {"result": task.number**2}


@pytest.fixture
def study(tmp_path):
    study = open_for_work(tmp_path / "study.db", "one", ("top1", "macs"))
    yield study
    close(study)


@pytest.fixture
def locks(tmp_path):
    with FolderLocks(tmp_path) as held:
        yield held


def results(study):
    return {key: value for key, value in study.user_attrs.items() if key.startswith("square:")}


ALL = {task.key: squared(task) for task in TASKS}


def test_every_task_is_done_once_and_reported_when_it_is_recorded(study, locks):
    done, told = [], []

    def do(task):
        done.append(task)
        return squared(task)

    def recorded(task, result):
        assert study.user_attrs[task.key] == result
        told.append(task)

    for _ in range(2):
        WorkQueue(study, locks).run(lambda: TASKS, do, recorded=recorded)

    assert results(study) == ALL
    assert done == told == [*TASKS]


def test_while_a_task_is_done_it_is_this_workers_and_the_record_is_free(study, locks):
    entries = []

    def do(task):
        with locks.locked():
            entries.append(study.user_attrs[task.key])
        return squared(task)

    WorkQueue(study, locks).run(lambda: TASKS, do)

    assert entries == [{"worker": locks.worker}] * 4
    assert not is_result(entries[0])


def test_the_task_of_a_living_worker_is_left_to_it_and_that_of_a_dead_one_is_not(study, locks, tmp_path):
    with FolderLocks(tmp_path) as other:
        study.set_user_attr("square:2", {"worker": other.worker})
        WorkQueue(study, locks).run(lambda: TASKS, squared)
        meanwhile = results(study)
    WorkQueue(study, locks).run(lambda: TASKS, squared)

    assert meanwhile == {**ALL, "square:2": {"worker": other.worker}}
    assert results(study) == ALL


def test_an_outdated_result_is_made_again(study, locks):
    study.set_user_attr("square:3", {"result": "of another version"})
    study.set_user_attr("square:1", {"result": "kept"})
    WorkQueue(study, locks).run(
        lambda: TASKS, squared, outdated=lambda _, entry: entry["result"] == "of another version"
    )

    assert results(study) == {**ALL, "square:1": {"result": "kept"}}


def test_tasks_that_appear_meanwhile_are_done_too(study, locks):
    tasks = [TASKS[0]]

    def do(task):
        if task.number < 3:
            tasks.append(TASKS[task.number + 1])
        return squared(task)

    WorkQueue(study, locks).run(lambda: tasks, do)

    assert results(study) == ALL


def killed_at(folder: Path, moment: str) -> int:
    """A worker that is killed at the third task: as it is claimed, done, or recorded."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    study = open_for_work(folder / "study.db", "one", ("top1", "macs"))
    set_user_attr, writes = study.set_user_attr, []

    def strike(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    def writing(key, value):
        writes.append(key)
        if (
            key == "square:2"
            and moment in ("claimed", "recorded")
            and len(writes) == (5, 6)[moment == "recorded"]
        ):
            strike()
        set_user_attr(key, value)

    study.set_user_attr = writing
    with FolderLocks(folder) as locks:
        do = lambda task: strike() if (task.number, moment) == (2, "done") else squared(task)  # noqa: E731
        WorkQueue(study, locks).run(lambda: TASKS, do)
    os._exit(0)


@pytest.mark.parametrize("moment", ["claimed", "done", "recorded"])
def test_a_worker_that_is_killed_at_any_moment_leaves_its_task_to_the_next(tmp_path, moment):
    assert killed_at(tmp_path, moment) == -signal.SIGKILL
    done = []
    study = open_for_work(tmp_path / "study.db", "one", ("top1", "macs"))
    with FolderLocks(tmp_path) as locks:
        WorkQueue(study, locks).run(lambda: TASKS, lambda task: done.append(task) or squared(task))

    assert done == [*TASKS[2:]]
    assert results(study) == ALL
    close(study)
