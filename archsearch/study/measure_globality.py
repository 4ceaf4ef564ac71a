"""The winners' measured globality, attention distance and receptive field.

Kept with the study under ``realised:ARCHITECTURE``.
"""

import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState
from torch import Tensor

from archsearch.analysis import (
    MeasuredGlobality,
    effective_receptive_field,
    mean_attention_distance,
    measured_globality,
)
from archsearch.architecture import Architecture
from archsearch.errors import FailedTrialError
from archsearch.storage.run_folder import RunFolder
from archsearch.storage.trial_record import FINAL, REALISED
from archsearch.storage.trial_store import architecture_of, frontier_trials
from archsearch.storage.weights import load_network
from archsearch.study.context import TrialContext, phase
from archsearch.study.loop import Loop
from archsearch.study.work_queue import WorkQueue

# Validation images that a network is measured on, and positions of each: 128 positions of every mixer. With 16 positions
# of each the figure moves by less than 0.01, at four times the cost.
IMAGES = 32
POSITIONS = 4


@dataclass(frozen=True)
class Winner:
    """An architecture with trained weights: one file for each seed of its finals, else the one that the search kept."""

    architecture: Architecture
    slot: int
    source: str
    weights: tuple[Path, ...]

    @property
    def key(self) -> str:
        """Its name in the record."""
        return f"{REALISED}:{self.architecture.id}"


def measure_winners(loop: Loop) -> None:
    """Measure on validation images the globality of the frontier and the finalists; several workers share the work.

    Measured once, and again when there are finals where there were none, or more of them. Weights that lie in another
    machine's folder are measured there.
    """
    context = loop.context
    if context.data is None or not context.config.realised:
        return

    def measure(winner: Winner) -> Mapping[str, Any]:
        context.announce(winner.slot, f"measuring the globality of {winner.architecture.layout}")
        if context.device_lock is not None:
            context.device_lock.wait()
        return measure_winner(winner, context)

    WorkQueue(loop.store.study, loop.locks).run(lambda: winners(loop), measure, outdated=has_more_finals)


def winners(loop: Loop) -> Iterator[Winner]:
    """The networks on the frontier, and those that were retrained, whose weights lie here."""
    study = loop.store.study
    best = {trial.number for trial in frontier_trials(study)}
    retrained = {key.split(":")[1] for key in study.user_attrs if key.startswith(f"{FINAL}:")}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        identity = trial.user_attrs["architecture"]
        if trial.number not in best and identity not in retrained:
            continue
        source, weights = trained_weights(identity, loop.folder)
        if weights:
            yield Winner(architecture_of(trial), trial.user_attrs["slot"], source, weights)


def has_more_finals(winner: Winner, result: Mapping[str, Any]) -> bool:
    """Whether more networks were trained than ``result`` was measured on."""
    return winner.source == "finals" and (
        result["source"] != "finals" or result["networks"] < len(winner.weights)
    )


def trained_weights(identity: str, folder: RunFolder) -> tuple[str, tuple[Path, ...]]:
    """``finals`` with a file a seed, or ``search`` with the one file that it kept, if it lies here."""
    finals = tuple(sorted(folder.finals.glob(f"{identity}-seed*.safetensors")))
    if finals:
        return "finals", finals
    kept = folder.weights_of(identity)
    return "search", (kept,) if kept.exists() else ()


def measure_winner(winner: Winner, context: TrialContext) -> dict[str, Any]:
    """The result for one architecture, one value for each of its trained networks; or why there is none."""
    conditions = {"source": winner.source, "networks": len(winner.weights), "images": IMAGES}
    start = time.perf_counter()
    try:
        with phase("realised"):
            entry = {**conditions, **measurements(winner, context)}
    except FailedTrialError as error:
        return {**conditions, "error": str(error)}
    return {**entry, "seconds": time.perf_counter() - start}


def measurements(winner: Winner, context: TrialContext) -> dict[str, Any]:
    """How far each network reaches, its attentions look (None without any) and its middle sees; and each mixer's mean."""
    data = context.images
    # The first validation images have the classes in proportion.
    images: Tensor = data.normalisation.apply(data.validation.images[:IMAGES]).to(context.device)
    reached, looked, seen = [], [], []
    for path in winner.weights:
        network = load_network(winner.architecture, path).to(context.device)
        reached.append(measured_globality(network, images, positions=POSITIONS, seed=context.config.seed))
        looked.append(mean_attention_distance(network, images))
        seen.append(effective_receptive_field(network, images, seed=context.config.seed).side)
    distances = [distance for distance in looked if distance is not None]
    return {
        "images": len(images),
        "realised_globality": [one.mean for one in reached],
        "attention_distance": [distance.share for distance in distances] or None,
        "attention_pixels": [distance.pixels for distance in distances] or None,
        "erf_side": seen,
        "mixers": mean_mixers(reached),
    }


def mean_mixers(networks: list[MeasuredGlobality]) -> list[dict[str, Any]]:
    """Each mixer with its measured reach and weight, as means over the networks."""
    return [
        {
            "place": same[0].place,
            "structural": same[0].structural,
            "realised": statistics.fmean(mixer.measured for mixer in same),
            "weight": statistics.fmean(mixer.weight for mixer in same),
        }
        for same in zip(*(network.mixers for network in networks), strict=True)
    ]
