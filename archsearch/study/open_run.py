"""One more worker of a run: its folder is claimed, its record opened, its locks held, until the work is done."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import optuna

from archsearch.errors import RunFolderError
from archsearch.files import disk_faults, write_atomically
from archsearch.profiling import device_name, load_fitted, read_predictor
from archsearch.storage.faults import retry_while_down, storage_faults
from archsearch.storage.open import close, open_for_work
from archsearch.storage.run_folder import study_name
from archsearch.storage.trial_store import TrialStore
from archsearch.study.loop import Loop
from archsearch.study.prepare import cpu_threads, identity_of
from archsearch.workers.device_lock import DeviceLock
from archsearch.workers.join import join

if TYPE_CHECKING:
    from archsearch.profiling import LatencyPredictor
    from archsearch.storage.run_folder import RunFolder
    from archsearch.study.context import TrialContext
    from archsearch.workers.worker_lock import WorkerLock


@contextmanager
def open_run(context: "TrialContext", folder: "RunFolder", storage: str | None) -> Iterator[Loop]:
    """The loop of one more worker, which works in ``folder`` and on the record there or in ``storage``.

    Raises:
        InputError, EnvironmentFaultError: the record cannot be opened.
        RunFolderError: the folder belongs to another space, study or seed.
    """
    identity = identity_of(context)
    name = study_name(identity) if storage is not None else context.space.name
    with working(folder, storage, name, context.config.threads) as locks:

        def begin() -> "tuple[LatencyPredictor | None, optuna.Study]":
            with locks.locked():
                predictor = predictor_of(folder, context)
                folder.claim(identity, device_name(context.device), storage)
                study = open_for_work(storage or folder.database, name, context.config.objectives)
                refuse_another_device(study, context)
                return predictor, study

        predictor, study = retry_while_down(begin)
        device_lock = DeviceLock(folder.path, str(context.device))
        context = replace(context, predictor=predictor, checkpoints=folder, device_lock=device_lock)
        try:
            yield Loop(TrialStore(study, context.config.objectives, locks.worker), folder, context, locks)
        finally:
            close(study)


@contextmanager
def working(
    folder: "RunFolder", storage: str | None, name: str, threads: int | None
) -> "Iterator[WorkerLock]":
    """One more worker, whose faults of the record are said to be such, on so many CPU ``threads``."""
    with (
        join(folder.path, storage, name) as locks,
        storage_faults(storage or folder.database),
        cpu_threads(threads),
    ):
        yield locks


def refuse_another_device(study: optuna.Study, context: "TrialContext") -> None:
    """Workers of one study measure on devices of one kind, or latencies could not be compared.

    Raises:
        RunFolderError: the study has begun on another kind.
    """
    device, begun, measured = (
        device_name(context.device),
        study.user_attrs.get("device"),
        context.config.measured,
    )
    if begun is None:
        study.set_user_attr("device", device)
    elif begun != device and measured:
        raise RunFolderError(
            f"{study.study_name} was begun on {begun}, and this is {device}, where {' and '.join(measured)} "
            "cannot be compared; use the same kind of device, or start another study"
        )


def predictor_of(folder: "RunFolder", context: "TrialContext") -> "LatencyPredictor | None":
    """The predictor that is fitted when a run begins; the run keeps it, or its lack, to its end."""
    if folder.manifest.exists():
        return read_predictor(folder.predictor)
    predictor = load_fitted(context.space.fingerprint, context.config.conditions(context.device))
    with disk_faults(folder.predictor):
        if predictor is not None:
            write_atomically(folder.predictor, predictor.to_json())
        else:
            folder.predictor.unlink(missing_ok=True)
    return predictor
