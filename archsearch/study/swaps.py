"""Matched swaps of a trained candidate: it and its variants trained from the same seeds, to be compared in pairs.

What is to be done and what came of it stand in the attributes of the study, as with the finalists:
``swap:NUMBER:COST:PLACE:KIND`` is a swap (see ``described``), ``swap_training:ARCHITECTURE:SAMPLES:SEED`` a training:
who is at it, then what came of it. A worker that is gone leaves its training to the next. A network is trained as a
finalist is, from the same seeds: a finalist's training of the same length is taken over and not repeated.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import optuna
from optuna.trial import FrozenTrial
from pydantic import ValidationError

from archsearch.architecture import Architecture
from archsearch.counting import globality
from archsearch.errors import InfeasibleError, InputError, Problem, RunFolderError
from archsearch.files import disk_faults
from archsearch.profiling import device_name, pick_device
from archsearch.space import Space
from archsearch.space.grammar import PartSpace
from archsearch.space.swap import TOLERANCE, Swap, matched_swaps
from archsearch.stages import Part
from archsearch.storage.faults import storage_faults
from archsearch.storage.run_folder import RunFolder, differing
from archsearch.storage.trial_record import SWAP, SWAP_TRAINING
from archsearch.storage.trial_store import frontier_trials
from archsearch.study.callbacks import Callback
from archsearch.study.config import StudyConfig
from archsearch.study.context import TrialContext
from archsearch.study.finalists import Finalist, retrain_and_test
from archsearch.study.loop import with_lock
from archsearch.study.run import cpu_threads, load_images, workers
from archsearch.workers.device_lock import DeviceLock
from archsearch.workers.locks import Locks

Result = TypeVar("Result")
# What a manifest's identity says besides the study's own settings.
BESIDES = ("space", "space_fingerprint", "data_fingerprint", "device")


@dataclass(frozen=True)
class SwapOptions:
    """Which swaps are wanted, and how they are trained.

    Attributes:
        number: of the trial whose stages are swapped.
        stage: which of them, from 0; None for each.
        cost: what is kept equal, ``macs`` or ``params``.
        tolerance: how nearly, as a share of it.
        seeds: trainings of each network.
        samples: training images shown in each; as many as to a candidate of the search if it is None.
    """

    number: int
    stage: int | None = None
    cost: str = "macs"
    tolerance: float = TOLERANCE
    seeds: int = 3
    samples: int | None = None


class SwapWatcher(Callback):
    """Hears what a study of swaps does. This one is silent."""

    def planned(self, swaps: Sequence[Swap], trainings: int, done: int) -> None:
        """The swaps are matched; ``done`` of ``trainings`` are in the record."""

    def trained(self, final: Finalist, came_of_it: Mapping[str, Any]) -> None:
        """A training has been stored: accuracies, or an ``error``."""


def plan_swaps(study: optuna.Study, asked: SwapOptions) -> list[Swap]:
    """The swaps of a trained trial, matched and not yet trained; kinds are written as the run's own trials write them.

    Raises:
        InputError: there is no such trained trial, stage or cost.
    """
    trials = [t for t in study.get_trials(deepcopy=False) if t.user_attrs.get("outcome") == "trained"]
    trial = next((trial for trial in trials if trial.number == asked.number), None)
    if trial is None:
        what = f"{asked.number} is no trained trial of this run"
        known = ", ".join(str(trial.number) for trial in frontier_trials(study)) or "none"
        raise InputError("archsearch swap", [Problem("--trial", what, f"on the frontier are: {known}")])
    return matched_swaps(
        described_by(trial),
        cost=asked.cost,
        tolerance=asked.tolerance,
        stage=asked.stage,
        examples=examples(trials),
    )


def examples(trials: Sequence[FrozenTrial]) -> dict[tuple[int, str], Part]:
    """Each stage and kind as the most accurate trial writes it that has the kind there."""
    found: dict[tuple[int, str], Part] = {}
    for trial in sorted(trials, key=lambda trial: (-trial.user_attrs["top1"], trial.number)):
        for index, stage in enumerate(described_by(trial).stages):
            found.setdefault((index, stage.kind), stage)
    return found


def described_by(trial: FrozenTrial) -> Architecture:
    """The architecture of a trial."""
    return Architecture.model_validate_json(trial.user_attrs["description"])


def train_swaps(
    study: optuna.Study,
    folder: RunFolder,
    asked: SwapOptions,
    *,
    device: str = "auto",
    threads: int | None = None,
    watcher: SwapWatcher | None = None,
) -> None:
    """Train a trial and its swaps from the same seeds; the same call resumes, or is one more worker.

    Recipe and images are those of the search that ``folder`` belongs to; more ``samples`` are more epochs of the
    same images. ``threads`` is the study's own number if it is left out.

    Raises:
        InputError: no such trial, stage, cost or device, or the run's candidates were not trained by a recipe.
        RunFolderError: the images are no longer those of the run, or another version made it.
        InfeasibleError: no stage can be swapped at equal cost, or every training broke.
        EnvironmentFaultError: the disk or the database failed; what is recorded is kept.
    """
    config = config_of(folder)
    samples = asked.samples or config.recipe.samples
    refuse_too_few(samples, asked, config)
    swaps, trial = plan_swaps(study, asked), study.get_trials(deepcopy=False)[asked.number]
    context = context_for_swaps(
        folder, config, described_by(trial), samples, device, watcher or SwapWatcher()
    )
    finals = trainings(swaps, trial.user_attrs["slot"], asked.seeds)
    with (
        storage_faults(folder.storage or folder.database),
        workers(folder, folder.storage, study.study_name) as locks,
        cpu_threads(threads or config.threads),
    ):
        work = Work(study, locks, context, samples, finals)
        work.begin(swaps, asked)
        work.train()


def refuse_too_few(samples: int, asked: SwapOptions, config: StudyConfig) -> None:
    """InputError for less than a step of training, or no training at all."""
    problems, batch = [], config.recipe.batch_size
    if samples < batch:
        what = f"{samples} are less than one batch of {batch}"
        problems.append(Problem("--samples", what, f"write at least {batch}"))
    if asked.seeds < 1:
        problems.append(Problem("--seeds", f"{asked.seeds} are none", "write 1 or more; 3 tell a spread"))
    if problems:
        raise InputError("archsearch swap", problems)


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
    settings["recipe"] = {n.removeprefix("recipe."): v for n, v in recorded.items() if n not in settings}
    try:
        config = StudyConfig.model_validate_json(json.dumps(settings))
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()]
        raise unlike(folder, wrong) from error
    differences = list(differing(recorded, json.loads(json.dumps(config.identity()))))
    if differences:
        raise unlike(folder, differences)
    return config


def unlike(folder: RunFolder, differences: Sequence[str]) -> RunFolderError:
    """The error for a run that this version would not make like this."""
    return RunFolderError(
        f"{folder.manifest}: another version made this run, and here it would be another one: "
        f"{'; '.join(differences)}; use the version that made it, or search again"
    )


def context_for_swaps(
    folder: RunFolder,
    config: StudyConfig,
    architecture: Architecture,
    samples: int,
    device: str,
    watcher: SwapWatcher,
) -> TrialContext:
    """What the search's candidates were trained with, its images above all."""
    place = pick_device(device)
    space = alone(architecture)
    data = load_images(space, config)
    recorded = folder.identity()["data_fingerprint"]
    if data.fingerprint != recorded:
        raise RunFolderError(
            f"{config.data}: the images are not those of {folder.path} (fingerprint {data.fingerprint}, "
            f"it was {recorded}); bring the old ones back, or search again"
        )
    with disk_faults(folder.swaps.path):
        folder.swaps.path.mkdir(exist_ok=True)
    longer = config.model_copy(update={"finalist_samples": samples})
    device_lock = DeviceLock(folder.path, str(place))
    return TrialContext(
        space, longer, place, data, None, watcher, checkpoints=folder.swaps, device_lock=device_lock
    )


def alone(architecture: Architecture) -> Space:
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


def trainings(swaps: Sequence[Swap], slot: int, seeds: int) -> tuple[Finalist, ...]:
    """What is to be trained, seed by seed, the original before its variants; nothing where there are no variants."""
    variants = [swap.variant for swap in swaps if swap.variant is not None]
    networks = [swaps[0].original, *variants] if variants else []
    return tuple(Finalist(network, slot, seed) for seed in range(seeds) for network in networks)


@dataclass(frozen=True)
class Work:
    """One worker's passage through the trainings of some swaps."""

    study: optuna.Study
    locks: Locks
    context: TrialContext
    samples: int
    finals: tuple[Finalist, ...]

    @property
    def watcher(self) -> SwapWatcher:
        """Who hears of it."""
        watcher = self.context.watcher
        return watcher if isinstance(watcher, SwapWatcher) else SwapWatcher()

    def key(self, final: Finalist) -> str:
        """The name of a training in the record."""
        return f"{SWAP_TRAINING}:{final.architecture.id}:{self.samples}:{final.seed}"

    def turn(self, action: Callable[[], Result]) -> Result:
        """Do something to the record while nobody else does; see ``study.loop.with_lock``."""
        return with_lock(self.locks, action)

    def begin(self, swaps: Sequence[Swap], asked: SwapOptions) -> None:
        """Write down what is to be done; InfeasibleError if that is nothing."""
        self.turn(lambda: self.note(swaps, asked.number))
        self.watcher.planned(swaps, len(self.finals), len(list(self.ended())))
        if not self.finals:
            reasons = "; ".join(f"{swap.place}: {swap.note}" for swap in swaps)
            raise InfeasibleError(
                f"trial {asked.number}: no stage can be swapped at equal {asked.cost} ({reasons}); "
                "allow more with --tolerance, or take another trial"
            )

    def note(self, swaps: Sequence[Swap], number: int) -> None:
        """The swaps into the record, in the place of what they were; and what finalists of the run came to."""
        for swap in swaps:
            key = f"{SWAP}:{number}:{swap.cost}:{swap.place}:{swap.kind}"
            self.study.set_user_attr(key, described(swap, number, self.samples))
        known: Mapping[str, Any] = self.study.user_attrs
        for final in self.finals:
            same = self.as_finalist(final, known)
            if same is not None and "top1" not in known.get(self.key(final), {}):
                self.study.set_user_attr(self.key(final), same)

    def train(self) -> None:
        """Train whatever nobody is at; InfeasibleError if every training broke."""
        while (final := self.turn(self.next_final)) is not None:
            self.context.watcher.phase(final.slot, f"training {final.architecture.layout}, seed {final.seed}")
            came_of_it = {**retrain_and_test(final, self.context), "device": device_name(self.context.device)}
            self.turn(lambda: self.study.set_user_attr(self.key(final), came_of_it))  # noqa: B023 - called at once
            self.watcher.trained(final, came_of_it)
        ended = list(self.ended())
        if len(ended) == len(self.finals) and all("error" in entry for entry in ended):
            raise InfeasibleError(f"every training broke, the last one with: {ended[-1]['error']}")

    def ended(self) -> Iterator[Mapping[str, Any]]:
        """What came of those trainings that have come to something."""
        known = self.study.user_attrs
        entries = (known.get(self.key(final)) for final in self.finals)
        return (entry for entry in entries if entry is not None and "worker" not in entry)

    def next_final(self) -> Finalist | None:
        """The next training that nobody is at, claimed."""
        known: Mapping[str, Any] = self.study.user_attrs
        for final in self.finals:
            entry = known.get(self.key(final))
            if entry is None or ("worker" in entry and not self.locks.alive(entry["worker"])):
                self.study.set_user_attr(self.key(final), {"worker": self.locks.worker})
                return final
        return None

    def as_finalist(self, final: Finalist, known: Mapping[str, Any]) -> dict[str, Any] | None:
        """The same training, as the run's own finalist: of the same length, on the same kind of device."""
        entry, recipe = known.get(final.key, {}), self.context.config.recipe
        shown = self.samples // recipe.batch_size * recipe.batch_size
        device = known.get("device")
        if entry.get("samples") != shown or device != device_name(self.context.device):
            return None
        return {**entry, "device": device}


def described(swap: Swap, number: int, samples: int) -> dict[str, Any]:
    """A swap as the record keeps it: what ``results.swaps`` shows, and the variant as JSON."""
    before, now = swap.original, swap.variant
    return {
        "number": number,
        "place": swap.place,
        "kind_from": before.stages[swap.index].kind,
        "kind_to": swap.kind,
        "architecture_from": before.id,
        "architecture_to": now.id if now is not None else None,
        "layout_from": before.layout,
        "layout_to": now.layout if now is not None else None,
        "cost_name": swap.cost,
        "cost_from": swap.cost_from,
        "cost_to": swap.cost_to,
        "channels_from": before.stages[swap.index].channels,
        "channels_to": now.stages[swap.index].channels if now is not None else None,
        "globality_from": globality(before),
        "globality_to": globality(now) if now is not None else None,
        "samples": samples,
        "note": swap.note or None,
        "description": now.model_dump_json() if now is not None else None,
    }
