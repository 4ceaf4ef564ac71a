"""The search as one call: data, device, run folder, record, loop, and the frontier on test images."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from archsearch.errors import InputError, Problem
from archsearch.profiling import (
    Conditions,
    LatencyPredictor,
    device_name,
    load_fitted,
    pick_device,
    read_predictor,
)
from archsearch.proxy import ImageData, load_data
from archsearch.space import Space
from archsearch.study.bench import Bench, Evaluate
from archsearch.study.config import StudyConfig
from archsearch.study.finals import judge_on_test
from archsearch.study.folder import RunFolder, disk_faults, write_atomically
from archsearch.study.loop import Ending, Loop
from archsearch.study.storage import close, open_study, storage_faults
from archsearch.study.watch import Watcher

__all__ = ["Ending", "search"]


def search(
    space: Space,
    config: StudyConfig,
    out: str | Path,
    *,
    evaluate: Evaluate | None = None,
    watcher: Watcher | None = None,
) -> Ending:
    """Search ``space`` as ``config`` says, in the run folder ``out``; the same call resumes.

    Raises:
        DataError, InputError: the data or the device cannot be used; nothing is written.
        InfeasibleError: nothing feasible was found, or ten candidates in a row failed.
        EnvironmentFaultError: the disk or the database failed; what is recorded is kept.
        RunFolderError: the folder is in use, or belongs to another space, study or seed.
    """
    device = pick_device(config.device)
    refuse_unmeasurable(config, device)
    data = None if evaluate is not None else load_images(space, config)
    conditions = config.conditions(device)
    folder = RunFolder(Path(out))
    with folder.owned():
        predictor = predictor_of(folder, space, conditions)
        folder.claim(identity(space, config, data), device_name(device))
        bench = Bench(space, config, device, data, evaluate, watcher or Watcher(), predictor, folder)
        study = open_study(folder.database, space.name, config.objectives)
        try:
            with storage_faults(folder.database), cpu_threads(config.threads):
                ending = Loop(study, folder, bench).run()
                judge_on_test(study, folder, bench)
                return ending
        finally:
            close(study)


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
    """A CPU does not tell how much memory a network takes."""
    if device.type != "cuda" and "peak_memory_mib" in (*config.objectives, *config.limits):
        what, remedy = "cannot be measured on a CPU", "use a GPU (--device cuda), or leave it out"
        raise InputError("study", [Problem("peak_memory_mib", what, remedy)])


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
