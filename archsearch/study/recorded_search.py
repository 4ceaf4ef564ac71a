"""A finished search, read back from its folder, so that more networks are trained as its candidates were."""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from archsearch.architecture import Architecture
from archsearch.errors import InputError, Problem, RunFolderError
from archsearch.profiling import pick_device
from archsearch.search import SAMPLER_NAMES
from archsearch.space import Space
from archsearch.space.grammar import PartSpace
from archsearch.storage.run_folder import RunFolder, differing
from archsearch.study.config import StudyConfig
from archsearch.study.context import TrialContext
from archsearch.study.inputs import Images
from archsearch.study.prepare import images_of
from archsearch.workers.device_lock import DeviceLock

# What a manifest's identity says besides the study's own settings.
BESIDES = ("space", "space_fingerprint", "data_fingerprint", "device")


def config_of(folder: RunFolder) -> StudyConfig:
    """The search that ``folder`` belongs to, read back from its manifest; budgets have their defaults.

    Raises:
        InputError: something stood in for training.
        RunFolderError: it does not read back to the same search.
    """
    identity = folder.identity()
    if identity.get("data_fingerprint") == "evaluate":
        what = "something stood in for training in this run, so no recipe says how a swap is trained"
        raise InputError(str(folder.path), [Problem("", what, "use a run that trains its candidates")])
    recorded = {name: value for name, value in identity.items() if name not in BESIDES}
    settings: dict[str, Any] = {n: v for n, v in recorded.items() if not n.startswith("recipe.")}
    if settings.get("sampler") not in SAMPLER_NAMES:
        # The caller's own: it proposes nothing here.
        del settings["sampler"]
    settings["recipe"] = {n.removeprefix("recipe."): v for n, v in recorded.items() if n not in settings}
    try:
        config = StudyConfig.model_validate_json(json.dumps(settings))
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()]
        raise unlike(folder, wrong) from error
    now = json.loads(json.dumps(config.identity()))
    differences = list(differing(recorded, {**now, "sampler": recorded.get("sampler", now["sampler"])}))
    if differences:
        raise unlike(folder, differences)
    return config


def unlike(folder: RunFolder, differences: Sequence[str]) -> RunFolderError:
    """The error for a run that this version would not make like this."""
    return RunFolderError(
        f"{folder.manifest}: another version made this run, and here it would be another one: "
        f"{'; '.join(differences)}; use the version that made it, or search again"
    )


def context_of(
    folder: RunFolder,
    config: StudyConfig,
    architecture: Architecture,
    device: str,
    data: Images | None = None,
) -> TrialContext:
    """What the search's candidates were trained with, its images above all, for trainings in the folder of swaps.

    Raises:
        RunFolderError: the images are no longer those of the run.
    """
    place = pick_device(device)
    space = space_of(architecture)
    images, source = images_of(space, config, data)
    recorded = folder.identity()["data_fingerprint"]
    if images.fingerprint != recorded:
        raise RunFolderError(
            f"{config.data}: the images are not those of {folder.path} (fingerprint {images.fingerprint}, "
            f"it was {recorded}); bring the old ones back, or search again"
        )
    return TrialContext(
        space,
        config,
        place,
        images,
        source=source,
        checkpoints=folder.swaps,
        device_lock=DeviceLock(folder.path, str(place)),
    )


def space_of(architecture: Architecture) -> Space:
    """The space whose only point is ``architecture``: a run keeps its candidates, and not its space."""
    parts = [
        PartSpace(
            place,
            {n: v for n, v in part.active().items() if n != "kind"},
            {part.kind: {}},
            kind_is_open=False,
        )
        for place, part in architecture.parts
    ]
    return Space(
        name=architecture.name,
        image=architecture.image,
        classes=architecture.classes,
        params={},
        stem=parts[0],
        stages=tuple(parts[1:]),
        head=architecture.head.model_dump(),
        limits={},
    )
