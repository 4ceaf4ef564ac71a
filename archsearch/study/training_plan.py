"""One architecture to be trained in full: its plan, the folder that belongs to it, and what is written at the end."""

import csv
import fcntl
import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from archsearch.architecture import Architecture, Network, seeded_network
from archsearch.counting import count_macs, count_params, globality
from archsearch.data import ImageData, load_data
from archsearch.errors import RunFolderError
from archsearch.files import disk_faults, file_lock, write_atomically
from archsearch.profiling import device_name, pick_device
from archsearch.proxy import ProxyScore, Recipe
from archsearch.storage.run_folder import RunFolder
from archsearch.storage.weights import load_given_weights, save_weights
from archsearch.study.config import StudyConfig

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class TrainedNetwork:
    """The result of a full training.

    Attributes:
        folder: where everything lies.
        top1: of the validation images, at the end.
        test_top1: of the test images, which nothing was chosen by.
        samples: training images it saw.
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

    @property
    def checkpoint(self) -> Path:
        """From where the training continues after it was stopped."""
        return self.folder.path / CHECKPOINT

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
            return load_given_weights(self.architecture, self.start)
        return seeded_network(self.architecture, self.recipe.seed)


def plan_training(
    architecture: Architecture, study: StudyConfig, out: str | Path, weights: Path | None
) -> TrainingPlan:
    """The plan, with the images loaded; DataError or InputError if data or device cannot be used."""
    recipe = study.recipe.model_copy(update={"seed": study.seed})
    data = load_data(
        study.data,
        architecture.image.shape,
        architecture.classes,
        limit=recipe.samples,
        validation_limit=recipe.validation_images,
    )
    device, folder = pick_device(study.device), RunFolder(Path(out))
    return TrainingPlan(architecture, study, recipe, data, device, weights, folder)


@contextmanager
def claim_folder(plan: TrainingPlan) -> Iterator[None]:
    """Hold the folder for this training alone.

    Raises:
        RunFolderError: it belongs to something else, or another process works in it.
    """
    identity, device = plan.identity(), device_name(plan.device)
    if plan.folder.manifest.exists():
        plan.folder.claim(identity, device)
    with ExitStack() as held:
        try:
            held.enter_context(file_lock(plan.folder.path / "train.lock", fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise RunFolderError(
                f"{plan.folder.path} is in use by another process; wait for it, or give --out"
            ) from error
        plan.folder.claim(identity, device)
        yield


def summarize(plan: TrainingPlan, score: ProxyScore) -> dict[str, Any]:
    """The result on the images that the training may see, what was trained, and under which conditions."""
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


def write_result(
    plan: TrainingPlan, network: Network, curve: list[dict[str, float]], result: dict[str, Any]
) -> None:
    """Every file of a finished training, the result last; its checkpoint is deleted."""
    with disk_faults(plan.folder.path):
        write_atomically(plan.folder.path / "architecture.yaml", plan.architecture.to_yaml())
        save_weights(network.state_dict(), plan.folder.path / "weights.safetensors")
        write_atomically(plan.folder.path / "curve.csv", curve_csv(curve))
        write_atomically(plan.result, json.dumps(result, indent=2) + "\n")
        plan.checkpoint.unlink(missing_ok=True)


def curve_csv(curve: list[dict[str, float]]) -> str:
    """One line a point, the names above them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(curve[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(curve)
    return text.getvalue()


def read_result(plan: TrainingPlan, *, fresh: bool) -> TrainedNetwork:
    """What the folder of a finished training says."""
    result = json.loads(plan.result.read_text(encoding="utf-8"))
    names = ("top1", "test_top1", "samples", "seconds")
    return TrainedNetwork(plan.folder.path, **{name: result[name] for name in names}, fresh=fresh)
