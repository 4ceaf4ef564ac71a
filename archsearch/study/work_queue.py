"""Work beside the trials that the workers of a run share: trainings of finalists and swaps, measurements of winners.

Each task has an attribute of the study: ``{"worker": NAME}`` while somebody works on it, then its result. The task of a
dead worker is done again by another.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

import optuna

from archsearch.workers.worker_lock import WorkerLock

Entry = Mapping[str, Any]


class Task(Protocol):
    """Something to be done once."""

    @property
    def key(self) -> str:
        """Its name in the record."""


SomeTask = TypeVar("SomeTask", bound=Task)


class WorkQueue:
    """The tasks of a study, for one of its workers."""

    def __init__(self, study: optuna.Study, locks: WorkerLock) -> None:
        self.study = study
        self.locks = locks

    def run(
        self,
        tasks: Callable[[], Iterable[SomeTask]],
        do: Callable[[SomeTask], Entry],
        *,
        outdated: Callable[[SomeTask, Entry], bool] = lambda _task, _result: False,
        recorded: Callable[[SomeTask, Entry], None] = lambda _task, _result: None,
    ) -> None:
        """Do whatever of ``tasks`` has no result, or an ``outdated`` one, and nobody works on; call ``recorded`` after each."""
        while (task := self.locks.with_lock(lambda: self.claim(tasks(), outdated))) is not None:
            result = do(task)
            self.record(task, result)
            recorded(task, result)

    def claim(
        self, tasks: Iterable[SomeTask], outdated: Callable[[SomeTask, Entry], bool]
    ) -> SomeTask | None:
        """The first task that is to be done, this worker's from now on; under the lock."""
        entries: Mapping[str, Entry] = self.study.user_attrs
        for task in tasks:
            entry = entries.get(task.key)
            if entry is None or (outdated(task, entry) if is_result(entry) else self.is_orphan(entry)):
                self.study.set_user_attr(task.key, {"worker": self.locks.worker})
                return task
        return None

    def is_orphan(self, entry: Entry) -> bool:
        """Whether the worker that began the task is dead."""
        return not self.locks.alive(entry["worker"])

    def record(self, task: Task, result: Entry) -> None:
        """Write down the result of a task."""
        self.locks.with_lock(lambda: self.study.set_user_attr(task.key, result))


def is_result(entry: Entry | None) -> bool:
    """Whether a task has come to a result."""
    return entry is not None and "worker" not in entry
