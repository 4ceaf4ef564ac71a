"""How long a study will take: a few random candidates are profiled and trained for a few steps on noise."""

import statistics
import time
from dataclasses import dataclass
from itertools import pairwise

import torch

from archsearch.architecture import Architecture, seeded_network
from archsearch.data import ImageData, Normalisation, Split
from archsearch.profiling import profile_architecture
from archsearch.proxy import Training, zero_cost_scores
from archsearch.space import Space
from archsearch.study.config import StudyConfig
from archsearch.study.train_candidate import SCORED_IMAGES

TIMED_CANDIDATES = 8
TIMED_STEPS = 12
TIMED_BATCH = 16


@dataclass(frozen=True)
class Forecast:
    """Seconds that a candidate will take, by a few that were profiled and trained for a few steps, and the study.

    Attributes:
        timed: the layouts of those few.
        steps: training steps that each of them took.
    """

    seconds_per_trial: float
    seconds: float
    timed: tuple[str, ...]
    steps: int


def forecast_time(space: Space, config: StudyConfig, device: torch.device) -> Forecast:
    """Profile and train a few random candidates for a few steps on noise of the right shape, and scale up."""
    timed = [space.draw(seed) for seed in range(TIMED_CANDIDATES)]
    each = statistics.mean(time_candidate(architecture, config, device) for architecture in timed)
    layouts = tuple(architecture.layout for architecture in timed)
    return Forecast(each, each * config.slots, layouts, TIMED_STEPS)


def time_candidate(architecture: Architecture, config: StudyConfig, device: torch.device) -> float:
    """Profiling, scoring, training and validation of one candidate, scaled up from a few steps; the first one sets things up and does not count."""
    start = time.perf_counter()
    conditions, seconds = config.conditions(device), config.latency_seconds
    profile_architecture(architecture, conditions=conditions, seconds=seconds, training=False)
    if config.scores:
        shape = architecture.image.shape
        blank = torch.zeros(SCORED_IMAGES, shape.channels, shape.height, shape.width)
        zero_cost_scores(architecture, blank, seed=0, device=device)
    before_training = time.perf_counter() - start
    batch = config.recipe.batch_size
    if device.type == "cpu":  # whose time an image hardly depends on the batch
        batch = min(batch, TIMED_BATCH)
    recipe = config.recipe.model_copy(update={"samples": TIMED_STEPS * batch, "batch_size": batch})
    ticks: list[float] = []
    data = noise(architecture, batch)
    network = seeded_network(architecture, config.seed)
    Training(network, data, recipe, device, lambda *_: ticks.append(time.perf_counter())).finish()
    per_image = statistics.median(later - earlier for earlier, later in pairwise(ticks)) / batch
    # A forward pass is a third of a training step.
    images = config.recipe.samples + config.recipe.validation_images / 3
    return before_training + per_image * images


def noise(architecture: Architecture, batch: int) -> ImageData:
    """Random images of the space's shape: timing needs no real ones."""
    image, classes = architecture.image, architecture.classes
    generator = torch.Generator().manual_seed(0)
    shape = (2 * batch, image.channels, image.height, image.width)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, classes, (2 * batch,), generator=generator)
    split = Split(images, labels)
    return ImageData("noise", split, split.first(batch), classes, Normalisation.of(images), "noise")
