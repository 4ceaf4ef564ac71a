"""One architecture trained in full: written down on its way, resumed bit for bit, judged on validation and test.

The folder of a training:

    run.json                 whose folder it is: architecture, data, recipe, seed, threads, start, device
    checkpoint.safetensors   how far it is; gone at the end
    architecture.yaml        what was trained
    weights.safetensors      its weights at the end
    curve.csv                the learning curve, see ``study.train_candidate.rung_reading`` for the columns
    result.json              what it came to, under which conditions; written last
"""

import csv
import fcntl
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from archsearch.architecture import Architecture, Network, seeded_network
from archsearch.counting import count_macs, count_params, globality
from archsearch.data import ImageData, load_data, load_test
from archsearch.errors import FailedTrialError, InfeasibleError, RunFolderError
from archsearch.files import disk_faults, file_lock, write_atomically
from archsearch.profiling import device_name, pick_device
from archsearch.proxy import ProxyScore, Recipe, Training, evaluate
from archsearch.proxy.schedule import rung_end
from archsearch.storage.checkpoint import Checkpoint
from archsearch.storage.given_weights import load_weights
from archsearch.storage.run_folder import RunFolder
from archsearch.storage.weights import save_weights
from archsearch.study.config import StudyConfig
from archsearch.study.run import cpu_threads
from archsearch.study.train_candidate import rung_reading

CHECKPOINT = "checkpoint.safetensors"
# Points of the learning curve; and how often, beside these, a long training may be written down.
POINTS = 20
STOPS = 200
SECONDS_BETWEEN_CHECKPOINTS = 60.0

Reading = Mapping[str, float]
Tell = Callable[[Reading], None]


@dataclass(frozen=True)
class Trained:
    """What a full training came to.

    Attributes:
        folder: where everything lies.
        top1: of the validation images, at the end.
        test_top1: of the test images, which nothing was chosen by.
        samples: training images shown.
        seconds: training and validation, from the first step, interruptions apart.
        fresh: whether this call finished it; False if it was finished before.
    """

    folder: Path
    top1: float
    test_top1: float
    samples: int
    seconds: float
    fresh: bool

    @property
    def weights(self) -> Path:
        """The trained weights, safetensors."""
        return self.folder / "weights.safetensors"

    @property
    def architecture(self) -> Path:
        """The architecture file."""
        return self.folder / "architecture.yaml"


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained, by which recipe, from which start, where."""

    architecture: Architecture
    study: StudyConfig
    recipe: Recipe
    data: ImageData
    device: torch.device
    start: Path | None
    folder: RunFolder

    @property
    def result(self) -> Path:
        """What says that the training is finished."""
        return self.folder.path / "result.json"

    def identity(self) -> dict[str, Any]:
        """What the folder belongs to: all that the weights at the end depend on, but for the device."""
        start = None if self.start is None else hashlib.sha256(self.start.read_bytes()).hexdigest()[:12]
        return {
            "space": "one architecture, trained in full",
            "architecture": self.architecture.id,
            "data": self.study.data,
            "data_fingerprint": self.data.fingerprint,
            "start": start,
            "threads": self.study.threads,
            **{f"recipe.{name}": value for name, value in self.recipe.model_dump(mode="json").items()},
        }

    def network(self) -> Network:
        """The network before its first step."""
        if self.start is not None:
            return load_weights(self.architecture, self.start)
        return seeded_network(self.architecture, self.recipe.seed)


def train_architecture(
    architecture: Architecture,
    study: StudyConfig,
    out: str | Path,
    *,
    weights: Path | None = None,
    tell: Tell | None = None,
) -> Trained:
    """Train ``architecture`` by the recipe of ``study`` in the folder ``out``; the same call resumes.

    Of the study count ``data``, ``recipe``, ``seed``, which decides initial weights and the order of images,
    ``device`` and ``threads``. ``weights`` are those to start from, under our names. ``tell`` hears each point
    of the learning curve. A training that is stopped goes on where it was last written down, with the same
    bits at the end on a CPU.

    Raises:
        DataError, InputError: data, device or weights cannot be used; nothing is written.
        InfeasibleError: the loss is no number, or the memory does not suffice.
        RunFolderError: the folder belongs to something else, or another process is at it.
        EnvironmentFaultError: the disk failed.
    """
    recipe = study.recipe.model_copy(update={"seed": study.seed})
    shape = architecture.image.shape
    data = load_data(
        study.data,
        shape,
        architecture.classes,
        limit=recipe.samples,
        validation_limit=recipe.validation_images,
    )
    folder = RunFolder(Path(out))
    plan = TrainingPlan(architecture, study, recipe, data, pick_device(study.device), weights, folder)
    network = plan.network()
    with claimed(plan), cpu_threads(study.threads):
        if plan.result.exists():
            return finished(plan, fresh=False)
        try:
            train_and_judge(plan, network, tell or (lambda _: None))
        except FailedTrialError as error:
            remedy = "write a lower learning_rate, or a smaller batch_size, in the recipe of a study file"
            raise InfeasibleError(f"{architecture.name}: {error}; {remedy}") from error
    return finished(plan, fresh=True)


@contextmanager
def claimed(plan: TrainingPlan) -> Iterator[None]:
    """The folder is this training's, and no other process is at it."""
    identity, device = plan.identity(), device_name(plan.device)
    if plan.folder.manifest.exists():
        plan.folder.claim(identity, device)
    held = file_lock(plan.folder.path / "train.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        held.__enter__()
    except BlockingIOError as error:
        raise RunFolderError(
            f"{plan.folder.path} is in use by another process; wait for it, or give --out"
        ) from error
    try:
        plan.folder.claim(identity, device)
        yield
    finally:
        held.__exit__(None, None, None)


def train_and_judge(plan: TrainingPlan, network: Network, tell: Tell) -> None:
    """Train to the end, judge, and write what came of it; the result last."""
    training = Training(network, plan.data, plan.recipe, plan.device)
    owner = hashlib.sha256(json.dumps(plan.identity(), sort_keys=True).encode()).hexdigest()
    checkpoint = Checkpoint(plan.folder.path / CHECKPOINT, owner)
    score, curve = run_training(training, checkpoint, tell)
    test = load_test(plan.study.data, plan.architecture.image.shape, plan.architecture.classes)
    test_top1, _ = evaluate(network, test, plan.data.normalisation, plan.device)
    with disk_faults(plan.folder.path):
        write_atomically(plan.folder.path / "architecture.yaml", plan.architecture.to_yaml())
        save_weights(network.state_dict(), plan.folder.path / "weights.safetensors")
        write_atomically(plan.folder.path / "curve.csv", curve_csv(curve))
        result = {**summary(plan, score), "test_top1": test_top1, "test_images": len(test)}
        write_atomically(plan.result, json.dumps(result, indent=2) + "\n")
        checkpoint.path.unlink(missing_ok=True)


def run_training(training: Training, checkpoint: Checkpoint, tell: Tell) -> tuple[ProxyScore, list[Reading]]:
    """The score at the end and the curve to it, from where the checkpoint stands."""
    kept = checkpoint.load()
    curve: list[dict[str, float]] = []
    if kept is not None:
        training.load(kept[0])
        curve = kept[1]
    saved = time.monotonic()
    for until, judged in stops(training.steps).items():
        if until <= training.done:
            continue
        training.advance(until)
        if judged:
            curve.append(rung_reading(until / training.steps, training.score()))
        if judged or time.monotonic() - saved >= SECONDS_BETWEEN_CHECKPOINTS:
            checkpoint.save(training.state(), curve)
            saved = time.monotonic()
        if judged:
            tell(curve[-1])
    score = training.finish()
    last = rung_reading(1.0, score)
    tell(last)
    return score, [*curve, last]


def stops(steps: int) -> dict[int, bool]:
    """The steps before the last at which a training may be written down, and whether it is judged there."""
    all_of_them = {rung_end(stop / STOPS, steps): False for stop in range(1, STOPS)}
    judged = {rung_end(point / POINTS, steps): True for point in range(1, POINTS)}
    both = {**all_of_them, **judged}
    return {until: both[until] for until in sorted(both) if until < steps}


def curve_csv(curve: list[Reading]) -> str:
    """One line a point, the names above them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(curve[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(curve)
    return text.getvalue()


def summary(plan: TrainingPlan, score: ProxyScore) -> dict[str, Any]:
    """What the training came to on the images it may see, what was trained, and under which conditions."""
    architecture = plan.architecture
    return {
        "name": architecture.name,
        "architecture": architecture.id,
        "layout": architecture.layout,
        "params": count_params(architecture),
        "macs": count_macs(architecture).total,
        "globality": globality(architecture),
        "top1": score.top1,
        "val_loss": score.loss,
        "train_loss": score.train_loss,
        "samples": score.samples,
        "seconds": score.seconds,
        "data": plan.study.data,
        "data_fingerprint": plan.data.fingerprint,
        "validation_images": len(plan.data.validation),
        "normalisation": asdict(plan.data.normalisation),
        "recipe": plan.recipe.model_dump(mode="json"),
        "started_from": None if plan.start is None else str(plan.start),
        "conditions": {
            "device": device_name(plan.device),
            "precision": "bfloat16" if plan.device.type == "cuda" else "float32",
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        },
    }


def finished(plan: TrainingPlan, *, fresh: bool) -> Trained:
    """What the folder of a finished training says."""
    result = json.loads(plan.result.read_text(encoding="utf-8"))
    names = ("top1", "test_top1", "samples", "seconds")
    return Trained(plan.folder.path, **{name: result[name] for name in names}, fresh=fresh)
