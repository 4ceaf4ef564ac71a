"""The search as one call: data, device, run folder, record, loop, and the frontier on test images."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import optuna
import torch

from archsearch.data import ImageData, load_data
from archsearch.errors import InputError, Problem, RunFolderError
from archsearch.files import disk_faults, write_atomically
from archsearch.objectives import measured_among, objective_of
from archsearch.profiling import (
    Conditions,
    LatencyPredictor,
    device_name,
    load_fitted,
    pick_device,
    read_predictor,
)
from archsearch.space import Space
from archsearch.storage.faults import retry_while_down, storage_faults
from archsearch.storage.open import close, open_for_work
from archsearch.storage.run_folder import RunFolder, study_name
from archsearch.storage.trial_store import TrialStore
from archsearch.study.callbacks import Callback
from archsearch.study.config import StudyConfig
from archsearch.study.context import Evaluate, TrialContext
from archsearch.study.finalists import evaluate_frontier_on_test, train_finalists
from archsearch.study.loop import Ending, Loop
from archsearch.study.measure_globality import measure_winners
from archsearch.workers.device_lock import DeviceLock
from archsearch.workers.locks import Locks, folder_locks, postgres_locks

__all__ = ["Ending", "Engine", "search"]

Engine = Callable[[Loop], Ending]


def search(
    space: Space,
    config: StudyConfig,
    out: str | Path,
    *,
    evaluate: Evaluate | None = None,
    watcher: Callback | None = None,
    storage: str | None = None,
    engine: Engine | None = None,
) -> Ending:
    """Search ``space`` as ``config`` says, in the run folder ``out``; the same call resumes, or is one more worker.

    ``storage`` is the URL of a PostgreSQL database that workers on several machines share; without it the
    record is a SQLite file in ``out``, for the workers of this machine. ``engine`` works through the loop
    in the place of this process alone: ``study.engines.ray.OnRay``, for instance.

    Raises:
        DataError, InputError: the data, the device or the storage cannot be used; nothing is written.
        InfeasibleError: nothing feasible was found, or ten candidates in a row failed.
        EnvironmentFaultError: the disk or the database failed; what is recorded is kept.
        RunFolderError: the folder belongs to another space, study or seed.
    """
    device = pick_device(config.device)
    refuse_unmeasurable(config, device)
    data = None if evaluate is not None else load_images(space, config)
    belongs, conditions = identity(space, config, data), config.conditions(device)
    folder = RunFolder(Path(out))
    name = study_name(belongs) if storage is not None else space.name
    with workers(folder, storage, name) as locks:

        def joined() -> tuple[LatencyPredictor | None, optuna.Study]:
            with locks.turn():
                predictor = predictor_of(folder, space, conditions)
                folder.claim(belongs, device_name(device), storage)
                study = open_for_work(storage or folder.database, name, config.objectives)
                same_device(study, config, device_name(device))
                return predictor, study

        predictor, study = retry_while_down(joined)
        device_lock = DeviceLock(folder.path, str(device))
        context = TrialContext(
            space, config, device, data, evaluate, watcher or Callback(), predictor, folder, device_lock
        )
        try:
            with storage_faults(storage or folder.database), cpu_threads(config.threads):
                loop = Loop(TrialStore(study, config.objectives, locks.worker), folder, context, locks)
                ending = engine(loop) if engine is not None else loop.run()
                train_finalists(loop)
                loop.turn(lambda: evaluate_frontier_on_test(study, folder, context))
                measure_winners(loop)
                return ending
        finally:
            close(study)


def same_device(study: optuna.Study, config: StudyConfig, device: str) -> None:
    """Workers of one study measure on devices of one kind, or latencies could not be compared.

    Raises:
        RunFolderError: the study has begun on another kind.
    """
    begun = study.user_attrs.get("device")
    measured = measured_among((*config.objectives, *config.limits))
    if begun is None:
        study.set_user_attr("device", device)
    elif begun != device and measured:
        raise RunFolderError(
            f"{study.study_name} was begun on {begun}, and this is {device}, where {' and '.join(measured)} "
            "cannot be compared; use the same kind of device, or start another study"
        )


def workers(folder: RunFolder, storage: str | None, name: str) -> AbstractContextManager[Locks]:
    """One more worker of a run: in its folder, or at its database."""
    return folder_locks(folder.path) if storage is None else postgres_locks(storage, name)


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Operators on ``count`` CPU threads, or on as many as torch chooses; afterwards as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def predictor_of(folder: RunFolder, space: Space, conditions: Conditions) -> LatencyPredictor | None:
    """The predictor that is fitted when a run begins; the run keeps it, or its lack, to its end."""
    if folder.manifest.exists():
        return read_predictor(folder.predictor)
    predictor = load_fitted(space.fingerprint, conditions)
    with disk_faults(folder.predictor):
        if predictor is not None:
            write_atomically(folder.predictor, predictor.to_json())
        else:
            folder.predictor.unlink(missing_ok=True)
    return predictor


def refuse_unmeasurable(config: StudyConfig, device: torch.device) -> None:
    """InputError for objectives and limits that only a GPU tells, on another device."""
    asked = dict.fromkeys((*config.objectives, *config.limits))
    what, remedy = "cannot be measured on a CPU", "use a GPU (--device cuda), or leave it out"
    problems = [Problem(name, what, remedy) for name in asked if objective_of(name).needs_gpu]
    if problems and device.type != "cuda":
        raise InputError("study", problems)


def load_images(space: Space, config: StudyConfig) -> ImageData:
    """The images that the recipe needs, converted as the space says."""
    recipe = config.recipe
    return load_data(
        config.data,
        space.image.shape,
        space.classes,
        limit=recipe.samples,
        validation_limit=recipe.validation_images,
    )


def identity(space: Space, config: StudyConfig, data: ImageData | None) -> dict[str, object]:
    """What a run folder belongs to."""
    fingerprint = data.fingerprint if data is not None else "evaluate"
    return {
        **config.identity(),
        "space": space.name,
        "space_fingerprint": space.fingerprint,
        "data_fingerprint": fingerprint,
    }
