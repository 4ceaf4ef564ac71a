"""What runs on a machine of a Ray cluster: one candidate, evaluated with what that machine has."""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from archsearch.architecture import Architecture
from archsearch.data import ImageData
from archsearch.errors import DataError, Problem
from archsearch.profiling import pick_device
from archsearch.storage.run_folder import RunFolder
from archsearch.storage.trial_record import TrialRecord
from archsearch.study.callbacks import CallbackList
from archsearch.study.context import TrialContext
from archsearch.study.evaluate_candidate import Candidate, evaluate_candidate
from archsearch.study.prepare import cpu_threads, images_of
from archsearch.workers.device_lock import DeviceLock


@dataclass(frozen=True)
class RemoteContext:
    """A context as plain data, from which each machine makes its own.

    Attributes:
        context: without images that each machine can load, and without what belongs to this process alone.
        fingerprint: of the images that this process found; None if none are needed.
        folder: the run folder, as this process sees it.
        manifest: what is written there; where the same is found, the folder is shared.
        gpus, cpus: for each candidate.
    """

    context: TrialContext
    fingerprint: str | None
    folder: RunFolder
    manifest: str
    gpus: float
    cpus: float


def remote_context(context: TrialContext, folder: RunFolder, gpus: float, cpus: float) -> RemoteContext:
    """What a machine has to know. Images of the caller's own travel with it, others are loaded by their name."""
    folder = RunFolder(folder.path.resolve())
    named = isinstance(context.source, str)
    stripped = replace(
        context,
        data=None if named else context.data,
        source=None,
        sampler=None,
        callbacks=CallbackList(),
        checkpoints=None,
        device_lock=None,
    )
    fingerprint = context.data.fingerprint if named and context.data is not None else None
    return RemoteContext(stripped, fingerprint, folder, folder.manifest.read_text(), gpus, cpus)


def judge_there(remote: RemoteContext, record: TrialRecord, architecture: Architecture) -> Candidate:
    """The task: a candidate evaluated on the machine that Ray chose."""
    with cpu_threads(remote.context.config.threads or max(1, int(remote.cpus))):
        return evaluate_candidate(record, architecture, context_there(remote))


def context_there(remote: RemoteContext) -> TrialContext:
    """The context of the machine that this runs on."""
    context = remote.context
    device, predictor = pick_device("cuda" if remote.gpus else "cpu"), context.predictor
    if predictor is not None and predictor.conditions != context.config.conditions(device):
        predictor = None
    return replace(
        context,
        device=device,
        data=images_there(remote),
        predictor=predictor,
        checkpoints=remote.folder if is_shared(remote) else None,
        device_lock=device_lock_there(remote, str(device)),
    )


def is_shared(remote: RemoteContext) -> bool:
    """Whether this machine sees the run folder. If not, trainings start again at each rung, with the same result."""
    try:
        return remote.folder.manifest.read_text() == remote.manifest
    except OSError:
        return False


def device_lock_there(remote: RemoteContext, device: str) -> DeviceLock:
    """What keeps the measurements on one device of this machine and its other candidates apart."""
    belongs = json.dumps(json.loads(remote.manifest)["identity"], sort_keys=True)
    run = hashlib.sha256(belongs.encode()).hexdigest()[:12]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "") if remote.gpus else ""
    return DeviceLock(Path(tempfile.gettempdir()) / f"archsearch-{run}", f"{device} {visible}".strip())


# One set of images for all candidates of a process.
IMAGES: dict[str, ImageData] = {}


def images_there(remote: RemoteContext) -> ImageData | None:
    """The images as this machine has them, loaded once a process.

    Raises:
        DataError: they are not here, or are not those of the run.
    """
    space, config = remote.context.space, remote.context.config
    if remote.fingerprint is None:
        return remote.context.data
    key = f"{space.fingerprint}:{config.fingerprint}:{remote.fingerprint}"
    if key not in IMAGES:
        data, _ = images_of(space, config)
        if data.fingerprint != remote.fingerprint:
            what = "a machine of the cluster has other images under this name"
            raise DataError(config.data, [Problem("", what, "copy the same there, or share the folder")])
        IMAGES.clear()
        IMAGES[key] = data
    return IMAGES[key]
