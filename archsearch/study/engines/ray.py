"""Ray as the engine of a search: this process asks and tells, tasks on the machines of a cluster judge.

Where a task runs, on which part of which GPU, and that it runs again when its process or its machine dies, is
left to Ray. The record has one writer, so that the machines need neither the run folder nor a database.
"""

import hashlib
import importlib
import json
import logging
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archsearch.architecture import Architecture
from archsearch.data import ImageData
from archsearch.errors import DataError, EnvironmentFaultError, FailedTrialError, InputError, Problem
from archsearch.objectives import measured_among
from archsearch.profiling import LatencyPredictor, pick_device
from archsearch.space import Space
from archsearch.storage.faults import RESUME
from archsearch.storage.run_folder import RunFolder
from archsearch.storage.trial_record import TrialRecord
from archsearch.study.callbacks import Callback
from archsearch.study.config import StudyConfig
from archsearch.study.context import Evaluate, TrialContext
from archsearch.study.evaluate_candidate import Candidate, evaluate_candidate
from archsearch.study.loop import POLL_S, Ending, Job, Loop, Wait
from archsearch.study.run import cpu_threads, load_images
from archsearch.workers.device_lock import DeviceLock

INSTALL = "install it with: pip install 'archsearch[ray]'"
# What Ray raises when a task's process or machine is gone more often than it is to be retried.
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


@dataclass(frozen=True)
class Setting:
    """A bench as plain data, from which each machine makes its own.

    Attributes:
        data: the fingerprint of the images that this process found; None if none are needed.
        folder: the run folder, as this process sees it.
        manifest: what is written there; where the same is found, the folder is shared.
    """

    space: Space
    config: StudyConfig
    evaluate: Evaluate | None
    predictor: LatencyPredictor | None
    data: str | None
    folder: RunFolder
    manifest: str
    gpus: float
    cpus: float


class Passage:
    """One passage through the budget, with candidates in flight."""

    def __init__(self, ray: Any, engine: OnRay, loop: Loop) -> None:
        self.ray = ray
        self.engine = engine
        self.loop = loop
        self.task = ray.remote(judge_there).options(
            num_cpus=engine.cpus, num_gpus=engine.gpus, max_retries=engine.retries
        )
        self.setting = ray.put(setting_of(loop, engine))
        self.flying: dict[Any, Job] = {}
        self.lost = tuple(getattr(ray.exceptions, name) for name in LOST)

    def run(self) -> Ending:
        """As ``Loop.run``, but for where candidates are judged."""
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
            move = self.loop.claimed()
            if move is None:
                return bool(self.flying)
            if isinstance(move, Wait):
                break
            self.loop.context.watcher.phase(move.record.slot, f"sending {move.record.layout} to Ray")
            self.flying[self.task.remote(self.setting, move.record, move.architecture)] = move
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
            candidate = self.judged(reference, job.record)
            refuse_another_kind(self.loop, candidate.record)
            self.loop.settle(job, candidate)

    def judged(self, reference: Any, record: TrialRecord) -> Candidate:
        """What came of a task. One whose process keeps dying costs this candidate, and not the study."""
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
        # What stopped the search is what the caller has to hear.
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
    """Candidates are judged on GPUs if Ray is asked for them, and on CPUs if not; the study has to agree."""
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
    config = loop.context.config
    if record.device is None or not measured_among((*config.objectives, *config.limits)):
        return
    known = {trial.user_attrs.get("device") for trial in loop.turn(loop.store.trials)} - {None}
    if known - {record.device}:
        raise EnvironmentFaultError(
            f"candidates were measured on {', '.join(sorted(map(str, known)))}, and one on {record.device}, "
            f"which cannot be compared; use machines of one kind; {RESUME}"
        )


def setting_of(loop: Loop, engine: OnRay) -> Setting:
    """What a machine has to know."""
    context, folder = loop.context, RunFolder(loop.folder.path.resolve())
    data = context.data.fingerprint if context.data is not None else None
    manifest = folder.manifest.read_text()
    plain = context.space, context.config, context.evaluate, context.predictor
    return Setting(*plain, data, folder, manifest, engine.gpus, engine.cpus)


def judge_there(setting: Setting, record: TrialRecord, architecture: Architecture) -> Candidate:
    """The task: a candidate judged on the machine that Ray chose."""
    with cpu_threads(setting.config.threads or max(1, int(setting.cpus))):
        return evaluate_candidate(record, architecture, bench_there(setting))


def bench_there(setting: Setting) -> TrialContext:
    """The bench of the machine that this runs on."""
    config, predictor = setting.config, setting.predictor
    device = pick_device("cuda" if setting.gpus else "cpu")
    if predictor is not None and predictor.conditions != config.conditions(device):
        predictor = None
    checkpoints = setting.folder if is_shared(setting) else None
    data = images_there(setting)
    device_lock = device_lock_there(setting, str(device))
    return TrialContext(
        setting.space, config, device, data, setting.evaluate, Callback(), predictor, checkpoints, device_lock
    )


def is_shared(setting: Setting) -> bool:
    """Whether this machine sees the run folder. If not, trainings start anew at each rung, with the same result."""
    try:
        return setting.folder.manifest.read_text() == setting.manifest
    except OSError:
        return False


def device_lock_there(setting: Setting, device: str) -> DeviceLock:
    """What keeps the measurements on one device of this machine and its other candidates apart."""
    belongs = json.dumps(json.loads(setting.manifest)["identity"], sort_keys=True)
    run = hashlib.sha256(belongs.encode()).hexdigest()[:12]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "") if setting.gpus else ""
    return DeviceLock(Path(tempfile.gettempdir()) / f"archsearch-{run}", f"{device} {visible}".strip())


# One set of images for all candidates of a process.
IMAGES: dict[str, ImageData] = {}


def images_there(setting: Setting) -> ImageData | None:
    """The images as this machine has them, loaded once a process.

    Raises:
        DataError: they are not here, or are not those of the run.
    """
    if setting.data is None:
        return None
    key = f"{setting.space.fingerprint}:{setting.config.fingerprint}:{setting.data}"
    if key not in IMAGES:
        data = load_images(setting.space, setting.config)
        if data.fingerprint != setting.data:
            what = "a machine of the cluster has other images under this name"
            raise DataError(
                setting.config.data, [Problem("", what, "copy the same there, or share the folder")]
            )
        IMAGES.clear()
        IMAGES[key] = data
    return IMAGES[key]
