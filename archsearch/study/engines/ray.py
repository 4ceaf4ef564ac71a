"""Ray as the engine of a search: this process asks and tells, tasks on the machines of a cluster evaluate.

Where a task runs, on which part of which GPU, and that it runs again when its process or its machine dies, is
left to Ray. The record has one writer, so that the machines need neither the run folder nor a database.
"""

import importlib
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from archsearch.errors import EnvironmentFaultError, FailedTrialError, InputError, Problem
from archsearch.storage.faults import RESUME
from archsearch.storage.trial_record import TrialRecord
from archsearch.study.context import TrialContext
from archsearch.study.engines.ray_task import judge_there, remote_context
from archsearch.study.evaluate_candidate import Candidate
from archsearch.study.loop import POLL_S, Ending, Loop
from archsearch.study.next_job import Job, Wait

INSTALL = "install it with: pip install 'archsearch[ray]'"
# What Ray raises when a task's process or machine died more often than it is to be retried.
LOST = ("WorkerCrashedError", "OutOfMemoryError", "NodeDiedError", "ObjectLostError")


@dataclass(frozen=True)
class OnRay:
    """The engine: ``search(..., engine=OnRay(gpus=0.5))``.

    Attributes:
        workers: candidates at a time; by default as many as the cluster has room for, also when it grows.
        gpus: of a GPU for each candidate; fractions share one.
        cpus: CPU cores for each candidate, which are also its threads unless the study says ``threads``.
        address: of a cluster; None is the one that RAY_ADDRESS names, else an instance on this machine that
            ends with the search. A Ray that this process is connected to already is used as it is, and stays.
        retries: of a candidate whose process or machine dies.
    """

    workers: int | None = None
    gpus: float = 0.0
    cpus: float = 1.0
    address: str | None = None
    retries: int = 2

    def __post_init__(self) -> None:
        problems = [
            Problem(name, f"{getattr(self, name)} is too little", f"write {least}")
            for name, wrong, least in (
                ("workers", self.workers is not None and self.workers < 1, "1 or more, or leave it out"),
                ("gpus", self.gpus < 0, "0 or more"),
                ("cpus", self.cpus <= 0, "1, or a fraction"),
                ("retries", self.retries < 0, "0 or more"),
            )
            if wrong
        ]
        if self.gpus > 1 and self.gpus != int(self.gpus):
            problems.append(
                Problem("gpus", f"{self.gpus} is no whole number", "write one, or a fraction below 1")
            )
        if problems:
            raise InputError("engine", problems)

    def __call__(self, loop: Loop) -> Ending:
        """Use up every slot that is free, several candidates at a time.

        Raises:
            InputError: Ray is not installed, or no machine of the cluster can take a candidate.
            EnvironmentFaultError: the cluster does not answer, or its machines are not alike.
        """
        refuse_other_device(self, loop.context)
        with connected(self.address) as ray:
            if capacity(ray.nodes(), self.cpus, self.gpus) == 0:
                raise InputError("engine", [no_room(self, ray.nodes())])
            return Passage(ray, self, loop).run()


class Passage:
    """One passage through the budget, with candidates in flight."""

    def __init__(self, ray: Any, engine: OnRay, loop: Loop) -> None:
        self.ray = ray
        self.engine = engine
        self.loop = loop
        self.task = ray.remote(judge_there).options(
            num_cpus=engine.cpus, num_gpus=engine.gpus, max_retries=engine.retries
        )
        self.context = ray.put(remote_context(loop.context, loop.folder, engine.gpus, engine.cpus))
        self.flying: dict[Any, Job] = {}
        self.lost = tuple(getattr(ray.exceptions, name) for name in LOST)

    def run(self) -> Ending:
        """As ``Loop.run``, but for where candidates are evaluated."""
        self.loop.begin()
        try:
            while self.fill():
                self.collect()
        except BaseException:
            self.cancel()
            self.loop.release()
            raise
        return self.loop.ending()

    @property
    def room(self) -> int:
        """How many candidates there may be at a time."""
        engine = self.engine
        return engine.workers or max(1, capacity(self.ray.nodes(), engine.cpus, engine.gpus))

    def fill(self) -> bool:
        """Start candidates while there is room and something to start; whether there is anything to wait for."""
        while len(self.flying) < self.room:
            job = self.loop.claim()
            if job is None:
                return bool(self.flying)
            if isinstance(job, Wait):
                break
            self.loop.context.announce(job.record.slot, f"sending {job.record.layout} to Ray")
            self.flying[self.task.remote(self.context, job.record, job.architecture)] = job
        return True

    def collect(self) -> None:
        """Wait for a candidate; not for long where something else may come to be startable meanwhile."""
        if not self.flying:
            time.sleep(POLL_S)
            return
        timeout = None if len(self.flying) >= self.room else POLL_S
        ready, _ = self.ray.wait(list(self.flying), num_returns=1, timeout=timeout)
        for reference in ready:
            job = self.flying.pop(reference)
            candidate = self.result(reference, job.record)
            refuse_another_kind(self.loop, candidate.record)
            self.loop.settle(job, candidate)

    def result(self, reference: Any, record: TrialRecord) -> Candidate:
        """The result of a task. One whose process keeps dying costs this candidate, and not the study."""
        errors = self.ray.exceptions
        try:
            candidate: Candidate = self.ray.get(reference)
        except errors.RayTaskError as error:
            raise fault_of(error.cause, errors.RayError) from error
        except self.lost as error:
            failure = FailedTrialError("train", f"process died ({said(error)})")
            return Candidate(replace(record, outcome="failed", error=str(failure)), {})
        except errors.RayError as error:
            raise EnvironmentFaultError(f"Ray: {said(error)}; {RESUME}") from error
        return candidate

    def cancel(self) -> None:
        """End what is in flight."""
        # The caller has to see what stopped the search.
        with suppress(self.ray.exceptions.RayError):
            for reference in self.flying:
                self.ray.cancel(reference, force=True)
        self.flying.clear()


def fault_of(cause: Exception, ray_error: type[Exception]) -> Exception:
    """What a task raised; where not even the candidate arrived, what the machine lacks."""
    if not isinstance(cause, ray_error):
        return cause
    return EnvironmentFaultError(
        f"a machine of the cluster cannot read a candidate ({said(cause)}); "
        "install the same archsearch there, and the module that evaluate is in"
    )


def said(error: Exception) -> str:
    """Its kind and its first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def imported() -> Any:
    """Ray, which is an extra.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise InputError("engine", [Problem("ray", "is not installed", INSTALL)]) from error


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Ray, connected to a cluster; what was there stays, what is begun here ends here.

    Raises:
        EnvironmentFaultError: no cluster answers, or it runs another Python or another Ray.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = imported()
    if ray.is_initialized():
        yield ray
        return
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    quietly = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        with own_stop():
            ray.init(address=where, **quietly, **({"include_dashboard": False} if where == "local" else {}))
    except (OSError, RuntimeError, ValueError) as error:
        remedy = (
            "start it with: ray start --head, or use its address; all machines need the same Python and Ray"
        )
        raise EnvironmentFaultError(f"Ray at {where}: {said(error)}; {remedy}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def own_stop() -> Iterator[None]:
    """SIGTERM means afterwards what it meant before: Ray puts a handler of its own in the place of any."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def capacity(nodes: Iterable[Mapping[str, Any]], cpus: float, gpus: float) -> int:
    """How many candidates the living machines take at a time, each machine whole ones and each GPU whole shares."""
    total = 0
    for node in nodes:
        if node["Alive"]:
            resources = node["Resources"]
            by_cpu = whole(resources.get("CPU", 0) / cpus)
            there = int(resources.get("GPU", 0))
            by_gpu = there * whole(1 / gpus) if 0 < gpus < 1 else whole(there / (gpus or 1))
            total += min(by_cpu, by_gpu) if gpus else by_cpu
    return total


def whole(number: float) -> int:
    """Rounded down, but for what floating point lacks."""
    return math.floor(number + 1e-9)


def no_room(engine: OnRay, nodes: Iterable[Mapping[str, Any]]) -> Problem:
    """No machine can take a candidate: what each would need, and what the largest amounts are."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    most = {name: max((node.get(name, 0) for node in alive), default=0) for name in ("CPU", "GPU")}
    what = (
        f"no machine has {engine.cpus:g} CPUs and {engine.gpus:g} GPUs for a candidate, "
        f"at most {most['CPU']:g} and {most['GPU']:g}"
    )
    return Problem("cpus, gpus", what, "ask for less, or add a machine to the cluster")


def refuse_other_device(engine: OnRay, context: TrialContext) -> None:
    """Candidates are evaluated on GPUs if Ray is asked for them, and on CPUs if not; the study has to agree."""
    if engine.gpus and context.config.device == "cpu":
        problem = Problem(
            "gpus", f"{engine.gpus:g} of a GPU, and the study says device: cpu", "leave one out"
        )
    elif not engine.gpus and context.device.type == "cuda":
        what = f"the study is to run on {context.device}, and Ray is asked for no GPU"
        problem = Problem("gpus", what, "write gpus: 1 or a fraction, or device: cpu in the study")
    else:
        return
    raise InputError("engine", [problem])


def refuse_another_kind(loop: Loop, record: TrialRecord) -> None:
    """Candidates that are compared by latency or memory are measured on devices of one kind.

    Raises:
        EnvironmentFaultError: this one was measured on another kind than those before.
    """
    if record.device is None or not loop.context.config.measured:
        return
    known = {trial.user_attrs.get("device") for trial in loop.locks.with_lock(loop.store.trials)} - {None}
    if known - {record.device}:
        raise EnvironmentFaultError(
            f"candidates were measured on {', '.join(sorted(map(str, known)))}, and one on {record.device}, "
            f"which cannot be compared; use machines of one kind; {RESUME}"
        )
