"""What the winners really do with place: their realised globality, attention distance and receptive field.

Kept with the study under ``realised:ARCHITECTURE``: who is at it, then what came of it.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState
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
from archsearch.storage.weights import load_network
from archsearch.study.context import TrialContext, phase
from archsearch.study.loop import Loop

# Validation images that a network is asked on, and places of each: 128 places of every mixer. With 16 places of each
# the figure moves by less than 0.01, at four times the cost.
IMAGES = 32
PLACES = 4


@dataclass(frozen=True)
class Winner:
    """An architecture with trained weights: of its finals, one file a seed, else the one that the search kept."""

    architecture: Architecture
    slot: int
    source: str
    weights: tuple[Path, ...]

    @property
    def key(self) -> str:
        """Its name in the record."""
        return f"{REALISED}:{self.architecture.id}"


def measure_winners(loop: Loop) -> None:
    """Ask the frontier and the finalists how far they reach on validation images; several workers share the work.

    Asked once, and again when there are finals where there were none, or more of them. Weights that lie in another
    machine's folder are asked there. A worker that is gone leaves its network to the next.
    """
    if loop.context.data is None or not loop.context.config.realised:
        return
    while (winner := loop.turn(lambda: next_winner(loop))) is not None:
        loop.context.watcher.phase(winner.slot, f"asking how far {winner.architecture.layout} reaches")
        if loop.context.device_lock is not None:
            loop.context.device_lock.wait()
        entry = measure_winner(winner, loop.context)
        loop.turn(lambda: loop.store.study.set_user_attr(winner.key, entry))  # noqa: B023 - called at once


def next_winner(loop: Loop) -> Winner | None:
    """The next network that nobody has asked or is asking, claimed."""
    study = loop.store.study
    known: Mapping[str, Any] = study.user_attrs
    for trial in winning(loop):
        source, weights = trained_weights(trial.user_attrs["architecture"], loop.folder)
        entry = known.get(f"{REALISED}:{trial.user_attrs['architecture']}")
        if not weights or not wanted(entry, source, len(weights), loop):
            continue
        architecture = Architecture.model_validate_json(trial.user_attrs["description"])
        winner = Winner(architecture, trial.user_attrs["slot"], source, weights)
        study.set_user_attr(winner.key, {"worker": loop.locks.worker})
        return winner
    return None


def winning(loop: Loop) -> Iterator[FrozenTrial]:
    """The trials on the frontier, and those that were trained anew."""
    study = loop.store.study
    best = {trial.number for trial in study.best_trials}
    anew = {key.split(":")[1] for key in study.user_attrs if key.startswith(f"{FINAL}:")}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if trial.number in best or trial.user_attrs["architecture"] in anew:
            yield trial


def trained_weights(identity: str, folder: RunFolder) -> tuple[str, tuple[Path, ...]]:
    """``finals`` with a file a seed, or ``search`` with the one file that it kept, if it lies here."""
    finals = tuple(sorted(folder.finals.glob(f"{identity}-seed*.safetensors")))
    if finals:
        return "finals", finals
    kept = folder.weights_of(identity)
    return "search", (kept,) if kept.exists() else ()


def wanted(entry: Mapping[str, Any] | None, source: str, networks: int, loop: Loop) -> bool:
    """Whether there is more to know than ``entry`` says, and nobody is at it."""
    if entry is None:
        return True
    if "worker" in entry:
        return not loop.locks.alive(entry["worker"])
    return source == "finals" and (entry["source"] != "finals" or entry["networks"] < networks)


def measure_winner(winner: Winner, context: TrialContext) -> dict[str, Any]:
    """What came of asking one architecture, one value for each of its trained networks; or why there is nothing."""
    asked = {"source": winner.source, "networks": len(winner.weights), "images": IMAGES}
    start = time.perf_counter()
    try:
        with phase("realised"):
            entry = {**asked, **answers(winner, context)}
    except FailedTrialError as error:
        return {**asked, "error": str(error)}
    return {**entry, "seconds": time.perf_counter() - start}


def answers(winner: Winner, context: TrialContext) -> dict[str, Any]:
    """How far each network reaches, its attentions look (None without any) and its middle sees; and each mixer's mean."""
    images = validation_images(context)
    reached, looked, seen = [], [], []
    for path in winner.weights:
        network = load_network(winner.architecture, path).to(context.device)
        reached.append(measured_globality(network, images, positions=PLACES, seed=context.config.seed))
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


def validation_images(context: TrialContext) -> Tensor:
    """The first validation images, which have the classes in proportion, normalised, on the device."""
    if context.data is None:
        raise ValueError("a bench without evaluate needs data")
    images: Tensor = context.data.normalisation.apply(context.data.validation.images[:IMAGES]).to(
        context.device
    )
    return images


def mean_mixers(networks: list[MeasuredGlobality]) -> list[dict[str, Any]]:
    """Each mixer with its realised reach and weight, as means over the networks."""
    return [
        {
            "place": same[0].place,
            "structural": same[0].structural,
            "realised": math.fsum(mixer.measured for mixer in same) / len(same),
            "weight": math.fsum(mixer.weight for mixer in same) / len(same),
        }
        for same in zip(*(network.mixers for network in networks), strict=True)
    ]
