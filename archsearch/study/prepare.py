"""What a run needs before its first candidate: its device, its images, what it belongs to; refused here if it cannot be."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from archsearch.data import DataSource, ImageData, load_data
from archsearch.data.images import OWN_DATA
from archsearch.data.torch_dataset import source_of
from archsearch.errors import DataError, InputError, Problem, one_of
from archsearch.objectives import COSTS, OBJECTIVES, objective_of
from archsearch.profiling import pick_device
from archsearch.search import Sampler
from archsearch.space import Space
from archsearch.study.callbacks import Callback, CallbackList
from archsearch.study.config import StudyConfig
from archsearch.study.context import TrialContext
from archsearch.study.inputs import Evaluate, Images


def prepare(
    space: Space,
    config: StudyConfig,
    data: Images | None = None,
    evaluate: Evaluate | None = None,
    sampler: Sampler | None = None,
    callbacks: Sequence[Callback] = (),
) -> TrialContext:
    """What candidates are evaluated with: the images that are given as ``data`` or those of the study, or ``evaluate``.

    The arguments are those of ``api.run_study``.

    Raises:
        DataError, InputError: the images, the device or an objective cannot be used; nothing is written.
    """
    device = pick_device(config.device)
    refuse_unmeasurable(config, device)
    config.conditions(device)
    refuse_unknown(config, evaluates=evaluate is not None)
    context = TrialContext(
        space, config, device, evaluate=evaluate, sampler=sampler, callbacks=CallbackList(callbacks)
    )
    if evaluate is not None:
        if data is not None:
            what = "stands in for training, so no images are used"
            raise InputError("run_study", [Problem("evaluate", what, "leave out data, or evaluate")])
        return context
    if data is not None:
        config = config.model_copy(update={"data": data.name if isinstance(data, ImageData) else OWN_DATA})
    images, source = images_of(space, config, data)
    if source is None and config.finalists:
        what, remedy = "there are no test images to judge them on", "give a data set, or finalists: 0"
        raise InputError("run_study", [Problem("finalists", what, remedy)])
    return replace(context, config=config, data=images, source=source)


def images_of(
    space: Space, config: StudyConfig, images: Images | None = None
) -> tuple[ImageData, str | DataSource | None]:
    """Training and validation images, converted as the space says; and what test images come from, if anything.

    Raises:
        DataError: they cannot be read, or do not fit the space.
    """
    if isinstance(images, ImageData):
        refuse_unfit(space, images)
        return images, None
    source = config.data if images is None else source_of(images, space.classes)
    recipe = config.recipe
    data = load_data(
        source,
        space.image.shape,
        space.classes,
        limit=recipe.samples,
        validation_limit=recipe.validation_images,
    )
    return data, source


def refuse_unfit(space: Space, data: ImageData) -> None:
    """DataError for images of another shape or number of classes than the space's."""
    shape = space.image.shape
    wanted, found = (shape.channels, shape.height, shape.width), tuple(data.train.images.shape[1:])
    problems = []
    if found != wanted:
        problems.append(Problem("data", f"images are {found} and the space says {wanted}", "resize them"))
    if data.classes != space.classes:
        what = f"the data has {data.classes} classes and the space says {space.classes}"
        problems.append(Problem("data", what, f"write classes: {data.classes}"))
    if problems:
        raise DataError(data.name, problems)


def refuse_unmeasurable(config: StudyConfig, device: torch.device) -> None:
    """InputError for objectives and limits that only a GPU tells, on another device."""
    names = dict.fromkeys((*config.objectives, *config.limits))
    what, remedy = "cannot be measured on a CPU", "use a GPU (--device cuda), or leave it out"
    problems = [Problem(name, what, remedy) for name in names if objective_of(name).needs_gpu]
    if problems and device.type != "cuda":
        raise InputError("study", problems)


def refuse_unknown(config: StudyConfig, *, evaluates: bool) -> None:
    """InputError for objectives that nothing measures, unless ``evaluate`` returns them; and for limits on these."""
    unknown = [] if evaluates else [name for name in config.objectives if name not in OBJECTIVES]
    problems = [
        Problem(
            "objectives",
            f"{name} is no objective that archsearch measures",
            f"{one_of(tuple(OBJECTIVES), name)}, or return it from evaluate",
        )
        for name in unknown
    ]
    over = [name for name in config.limits if name not in COSTS]
    problems += [Problem(f"limits.{name}", "is no limit of a study", one_of(COSTS, name)) for name in over]
    if problems:
        raise InputError("study", problems)


def identity_of(context: TrialContext) -> dict[str, object]:
    """What a run folder belongs to."""
    settings = context.config.identity()
    if context.sampler is not None:
        settings["sampler"] = qualified_name(context.sampler)
    return {
        **settings,
        "space": context.space.name,
        "space_fingerprint": context.space.fingerprint,
        "data_fingerprint": context.data.fingerprint if context.data is not None else "evaluate",
    }


def qualified_name(function: object) -> str:
    """``module.name`` of a function, or of the class of a callable object."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Operators on ``count`` CPU threads, or on as many as torch chooses; afterwards as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
