"""What a space holds and what a study of it will take, before any of it is trained for real."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from archsearch.architecture import Architecture, seeded_network
from archsearch.counting import count_activations, count_macs, count_params, family
from archsearch.data import ImageData, Normalisation, Split
from archsearch.profiling import LatencyPredictor, profile_architecture
from archsearch.proxy import Training, zero_cost_scores
from archsearch.space import Space
from archsearch.stats.intervals import wilson
from archsearch.study.config import StudyConfig
from archsearch.study.train_candidate import SCORED_IMAGES

TIMED_CANDIDATES = 8
TIMED_STEPS = 12
TIMED_BATCH = 16


@dataclass(frozen=True)
class Spread:
    """Smallest, median and largest of some amounts."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class SpaceSummary:
    """A space by a random sample of it.

    Attributes:
        size: exact number of distinct architectures.
        drawn: points drawn uniformly, option by option.
        feasible: those of them that can be built and are within the limits.
        share: interval (95 %, Wilson 1927) of the feasible share.
        failures: why the others are not, with counts.
        params, macs, activations: for each family, the spread over the feasible ones.
        latency_ms: the same by the space's predictor; None if none is fitted.
        counts: feasible points of each family.
    """

    size: int
    drawn: int
    feasible: int
    share: tuple[float, float]
    failures: dict[str, int]
    params: dict[str, Spread]
    macs: dict[str, Spread]
    activations: dict[str, Spread]
    latency_ms: dict[str, Spread] | None
    counts: dict[str, int]


def summarize_space(
    space: Space, draws: int, seed: int = 0, predictor: LatencyPredictor | None = None
) -> SpaceSummary:
    """Draw ``draws`` points, count what they cost, and predict their latency where that is possible."""
    failures: Counter[str] = Counter()
    feasible: list[Architecture] = []
    for architecture in space.draws(seed, draws):
        reasons = space.violations(architecture)
        failures.update(reasons)
        feasible += [] if reasons else [architecture]
    by_family: dict[str, list[Architecture]] = {}
    for architecture in feasible:
        by_family.setdefault(family(architecture), []).append(architecture)

    def spreads(cost: Callable[[Architecture], float]) -> dict[str, Spread]:
        return {name: spread([cost(a) for a in members]) for name, members in by_family.items()}

    return SpaceSummary(
        size=space.size(),
        drawn=draws,
        feasible=len(feasible),
        share=wilson(len(feasible), draws),
        failures=dict(failures.most_common()),
        params=spreads(count_params),
        macs=spreads(lambda a: count_macs(a).total),
        activations=spreads(count_activations),
        latency_ms=spreads(predictor.predict) if predictor is not None else None,
        counts={name: len(members) for name, members in by_family.items()},
    )


def spread(amounts: Sequence[float]) -> Spread:
    """Smallest, median, largest."""
    return Spread(min(amounts), statistics.median(amounts), max(amounts))


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


def forecast(space: Space, config: StudyConfig, device: torch.device) -> Forecast:
    """Profile and train a few random candidates for a few steps on noise of the right shape, and scale up."""
    timed = [space.draw(seed) for seed in range(TIMED_CANDIDATES)]
    each = statistics.mean(seconds_of(architecture, config, device) for architecture in timed)
    layouts = tuple(architecture.layout for architecture in timed)
    return Forecast(each, each * config.slots, layouts, TIMED_STEPS)


def seconds_of(architecture: Architecture, config: StudyConfig, device: torch.device) -> float:
    """Profiling, scoring, training and validation of one candidate, from the steps behind the first (it sets things up)."""
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
