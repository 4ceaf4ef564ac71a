"""Which candidates are trained, how, and what is read off on the way."""

import hashlib
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from archsearch.architecture import Architecture, Network, seeded_network
from archsearch.counting import count_activations, count_macs, count_params, family
from archsearch.counting.globality import reach
from archsearch.data import ImageData, load_data
from archsearch.proxy import Recipe, Training, evaluate, zero_cost_scores
from archsearch.proxy.schedule import rung_end, stable_until
from archsearch.space import Space, load_space

HERE = Path(__file__).parent
RUNGS = (1 / 9, 1 / 3)
GROUPS = ("all-conv", "all-token", "global-from", "mixed")
IN_EACH_GROUP = 16
POOL = 3 * IN_EACH_GROUP
SECOND_SEED_EVERY = 3
LEAST_MACS = 1_500_000
SCORED_IMAGES = 64
RECIPE = Recipe(
    samples=48_000,
    batch_size=32,
    learning_rate=2e-3,
    schedule="wsd",
    warmup=0.03,
    flip=True,
    crop=4,
    ema=0.1,
    validation_images=5000,
)

worker_data: list[ImageData] = []


@dataclass(frozen=True)
class Job:
    """One training: which candidate, and the seed of its weights, batches and dropout."""

    architecture: Architecture
    seed: int

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from the others."""
        return self.architecture.id, self.seed


def jobs() -> list[Job]:
    """Every candidate once, groups in turn; then every third of them again with another seed."""
    found = candidates(load_space(HERE / "space.yaml"))
    return [Job(a, 0) for a in found] + [Job(a, 1) for a in found[::SECOND_SEED_EVERY]]


def candidates(space: Space) -> list[Architecture]:
    """Sixteen of each group, spread evenly over the globality of those that random draws find."""
    pools: dict[str, dict[str, Architecture]] = defaultdict(dict)
    for draw in draws(space):
        name = group_of(draw.layout)
        if len(pools[name]) < POOL and count_macs(draw).total >= LEAST_MACS:
            pools[name][draw.id] = draw
        if all(len(pools[name]) == POOL for name in GROUPS):
            break
    chosen = [spread(list(pools[name].values())) for name in GROUPS]
    # 5 and 16 have no common factor: the second seeds fall on all globalities of all groups.
    return [group[5 * place % IN_EACH_GROUP] for place in range(IN_EACH_GROUP) for group in chosen]


def group_of(layout: str) -> str:
    """The group of a layout such as ``P-CCT``, in the words of the recorded tables; of a stage, C alone is local.

    Families have other names today, and all-global ones were not a family when the study was run.
    """
    stages = layout.partition("-")[2]
    if set(stages) == {"C"}:
        return "all-conv"
    if set(stages) == {"T"}:
        return "all-token"
    return "mixed" if "C" in stages.lstrip("C") else "global-from"


def globality(architecture: Architecture) -> float:
    """Globality as the recorded tables have it: an attention over a single place counts as global, which it no longer does."""
    reaches = [1.0 if mixer.window is None else reach(mixer) for _, mixer in architecture.mixers()]
    return sum(reaches) / len(reaches)


def draws(space: Space) -> Iterator[Architecture]:
    """Random points of the space, without end."""
    seed = 0
    while True:
        yield space.draw(seed)
        seed += 1


def spread(pool: list[Architecture]) -> list[Architecture]:
    """Those at equal distances in the order of globality, ends included."""
    ordered = sorted(pool, key=lambda a: (globality(a), a.id))
    last = len(ordered) - 1
    return [ordered[round(place * last / (IN_EACH_GROUP - 1))] for place in range(IN_EACH_GROUP)]


def load_images(train: Path) -> None:
    """Once for each worker process."""
    worker_data.append(images(train, load_space(HERE / "space.yaml")))


def run_in_worker(job: Job) -> dict[str, object]:
    """One training on the worker's images."""
    return run_job(job, worker_data[0])


def images(train: Path, space: Space) -> ImageData:
    """CIFAR-10's training images; a tenth of them, held out, judges."""
    return load_data(str(train), space.image.shape, space.classes, validation_limit=RECIPE.validation_images)


def run_job(job: Job, data: ImageData) -> dict[str, object]:
    """One row of the table: what the candidate is, its scores before training, and its readings."""
    device = torch.device("cpu")
    torch.set_num_threads(1)
    start = time.monotonic()
    network = seeded(job)
    batch = data.normalisation.apply(data.train.images[:SCORED_IMAGES])
    scores = zero_cost_scores(job.architecture, batch, seed=job.seed, device=device)
    training = Training(network, data, RECIPE.model_copy(update={"seed": job.seed}), device)
    readings = read_on_the_way(training, network, data)
    return {
        "architecture": job.architecture.id,
        "seed": job.seed,
        "layout": job.architecture.layout,
        "family": family(job.architecture),
        "globality": globality(job.architecture),
        "params": count_params(job.architecture),
        "macs": count_macs(job.architecture).total,
        "activations": count_activations(job.architecture),
        "nwot": scores.nwot,
        "nwot_per_image": scores.nwot_per_image,
        "synflow": scores.synflow,
        "trainability": scores.trainability,
        **readings,
        "train_seconds": training.seconds,
        "seconds": time.monotonic() - start,
    }


def seeded(job: Job) -> Network:
    """The network with initial weights by architecture and seed."""
    digest = hashlib.sha256(f"{job.seed}:{job.architecture.id}".encode()).digest()
    return seeded_network(job.architecture, int.from_bytes(digest[:8], "big") >> 1)


def read_on_the_way(training: Training, network: Network, data: ImageData) -> dict[str, float]:
    """Accuracy at each rung in four ways, and at the end in two.

    ``raw`` and ``ema`` are read where the training passes the rung, at the full learning rate: its last
    weights, and their average. ``annealed`` and ``annealed_ema`` are read of a copy that spent the last
    fifth of the rung on a falling rate.
    """
    readings: dict[str, float] = {}
    for number, share in enumerate(RUNGS, 1):
        end = rung_end(share, training.steps)
        training.advance(stable_until(end, RECIPE))
        before = training.state()
        training.advance(end, end)
        readings |= named(number, "annealed", training, network, data)
        training.load(before)
        training.advance(end)
        readings |= named(number, "raw", training, network, data)
    training.advance(training.steps)
    top1, loss = judged(network, data)
    average = training.finish()
    return readings | {
        "top1": top1,
        "val_loss": loss,
        "ema_top1": average.top1,
        "train_loss": average.train_loss,
        "samples": average.samples,
    }


def named(number: int, way: str, training: Training, network: Network, data: ImageData) -> dict[str, float]:
    """The readings of one rung, of the last weights and of their average."""
    average = training.score()
    ema = "ema" if way == "raw" else f"{way}_ema"
    return {
        f"rung_{number}_{way}_top1": judged(network, data)[0],
        f"rung_{number}_{ema}_top1": average.top1,
        f"rung_{number}_{way}_train_loss": average.train_loss,
    }


def judged(network: Network, data: ImageData) -> tuple[float, float]:
    """Top-1 and loss of the weights as they are."""
    return evaluate(network, data.validation, data.normalisation, torch.device("cpu"))
