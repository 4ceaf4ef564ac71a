"""What a study remembers of a candidate: the one schema that is written to and read from the storage.

The record holds readable choices (the trial's parameters), raw units (its values) and honest states:

    RUNNING  outcome running     some worker works on it
    RUNNING  outcome paused      read at a rung, and nobody works on it: it may continue
    COMPLETE outcome trained     every objective has a finite value
    PRUNED   outcome infeasible  over a limit, found before training; every constraint set, no values
    PRUNED   outcome stopped     others continued from its rung; its readings are in ``rungs``, no values
    FAIL     outcome failed      this candidate broke; ``error`` says why; it used up its slot
    FAIL     outcome interrupted the process was stopped; the slot is run again
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal

from archsearch.families import read_family

Outcome = Literal["running", "paused", "trained", "stopped", "infeasible", "failed", "interrupted"]


@dataclass(frozen=True)
class TrialRecord:
    """One candidate, flat, as the dashboard and pandas show it. None is what was not measured.

    Attributes:
        slot: the place in the budget, from 0; a candidate that is run again keeps it.
        outcome: its result, in a word; see above.
        architecture: its id; ``description`` is the architecture itself as JSON.
        reference: its name, if it is one of the space's references.
        layout: one letter a part, such as ``P-CMT``.
        family: ``all-local``, ``global-from-K``, ``all-global`` or ``mixed``.
        globality: mean reach of its spatial mixers, in [0, 1].
        global_depth: where the global mixers sit, 0 first to 1 last.
        global_tokens: tokens of the first grid that is mixed globally.
        globality_macs: globality, each mixer weighted by its MACs.
        global_macs_share, global_params_share, global_latency_share: what attentions with their projections take
            of all MACs, of the trainable parameters, and of the measured time of a pass, in [0, 1].
        params: trainable parameters.
        macs: multiply-adds for one image.
        activations: elements that convolutions, linear layers and matrix products write for one image.
        predicted_latency_ms: what the space's fitted predictor says of ``latency_ms``.
        latency_ms: median of one forward pass of a batch of ``latency_batch``.
        latency_iqr_ms: distance between the quartiles of that.
        latency_repeats: how often it was timed.
        latency_flags: what was wrong with the machine meanwhile, in words.
        anchor_ms: median of the anchor network, timed between the passes: drifts with the machine alone.
        peak_memory_mib: most memory of one forward pass, on a GPU.
        device: on what it was measured and trained.
        top1: share of validation images classified right.
        val_loss, train_loss: cross-entropy in nats, on validation and over the last tenth of training.
        samples: training images seen.
        nwot, nwot_per_image, synflow, trainability: zero-cost scores of the untrained network; see
            ``proxy.zero_cost``. None where the score has no finite value.
        rungs: what was read on the way, rung by rung: ``share`` of the training, ``samples``, ``top1``,
            ``val_loss``, ``train_loss``, ``seconds`` so far.
        audit: whether it continued from a rung by chance alone; see ``search.halving``.
        profile_seconds, score_seconds, train_seconds, seconds: counting and measuring, scoring, and training
            alone; and the whole trial.
        values: what ``evaluate`` returned under names of its own; stored as attributes of these names.
        error: one line saying why it failed, or why it has no zero-cost scores.
    """

    slot: int
    outcome: Outcome
    architecture: str
    description: str
    layout: str
    family: str
    globality: float
    global_depth: float | None
    global_tokens: int | None
    params: int
    macs: int
    activations: int | None = None
    globality_macs: float | None = None
    global_macs_share: float | None = None
    global_params_share: float | None = None
    global_latency_share: float | None = None
    reference: str | None = None
    predicted_latency_ms: float | None = None
    latency_ms: float | None = None
    latency_iqr_ms: float | None = None
    latency_repeats: int | None = None
    latency_batch: int | None = None
    latency_flags: str | None = None
    anchor_ms: float | None = None
    peak_memory_mib: float | None = None
    device: str | None = None
    top1: float | None = None
    val_loss: float | None = None
    train_loss: float | None = None
    samples: int | None = None
    nwot: float | None = None
    nwot_per_image: float | None = None
    synflow: float | None = None
    trainability: float | None = None
    rungs: tuple[Mapping[str, float], ...] | None = None
    audit: bool | None = None
    profile_seconds: float | None = None
    score_seconds: float | None = None
    train_seconds: float | None = None
    seconds: float | None = None
    error: str | None = None
    values: Mapping[str, float] | None = None

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> "TrialRecord":
        """What ``attributes`` gave, read back from the storage."""
        known: dict[str, Any] = {name: attributes.get(name) for name in FIELDS}
        lacking = [name for name in ALWAYS_RECORDED if known[name] is None]
        if lacking:
            raise ValueError(f"a recorded candidate has no {', '.join(lacking)}")
        known["family"] = read_family(known["family"])
        rungs = tuple(known["rungs"]) if known["rungs"] else None
        return cls(**{**known, "rungs": rungs, "values": own_values(attributes) or None})

    def attributes(self) -> dict[str, Any]:
        """What is stored with the trial: everything that is known."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return {**known.pop("values", {}), **known}

    def value(self, objective: str) -> float:
        """The raw value of an objective; a COMPLETE trial has a finite one."""
        value = getattr(self, objective) if objective in FIELDS else (self.values or {}).get(objective)
        if value is None or not math.isfinite(value):
            raise ValueError(f"{objective} of {self.architecture} is {value}")
        return float(value)


# Attributes of the study, with the id of an architecture behind them, and of a training its seed: see ``study.finalists``.
FINAL = "final"
TIMED = "final_latency"
# With the id of an architecture: see ``study.measure_globality``.
REALISED = "realised"
# The swaps of a trial, by its number, what was matched, place and kind; and their trainings, by architecture, samples
# and seed: see ``study.train_swaps``.
SWAP = "swap"
SWAP_TRAINING = "swap_training"
# What uses up a slot of the budget, once it is finished.
USED = ("trained", "stopped", "failed")
# What a candidate can end as; an interrupted trial is rerun and stands for none.
ENDED = (*USED, "infeasible")
SCORES = ("nwot", "nwot_per_image", "synflow", "trainability")
# What is None where nothing is mixed globally.
NONE_IF_LOCAL = ("global_depth", "global_tokens")
# What is known of every candidate from the moment it is claimed.
ALWAYS_RECORDED = tuple(
    f.name for f in fields(TrialRecord) if f.default is MISSING and f.name not in NONE_IF_LOCAL
)
FIELDS = tuple(field.name for field in fields(TrialRecord) if field.name != "values")
# The names of attributes that archsearch writes: the record's, and who works on the trial.
RESERVED = frozenset((*FIELDS, "worker", "deaths"))


def own_values(attributes: Mapping[str, Any]) -> dict[str, float]:
    """What ``evaluate`` returned under names of its own, among the attributes of a trial.

    These are numbers; a note that somebody added in a dashboard is left alone.
    """
    return {
        name: value
        for name, value in attributes.items()
        if name not in RESERVED and isinstance(value, int | float) and not isinstance(value, bool)
    }
