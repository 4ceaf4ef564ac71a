"""How a candidate becomes a record: counted, predicted, measured, held against the limits, trained."""

import json
import math
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from archsearch.architecture import Architecture, Network
from archsearch.counting import (
    count_activations,
    count_macs,
    count_params,
    family,
    global_depth,
    global_shares,
    global_tokens,
    globality,
)
from archsearch.errors import FailedTrialError
from archsearch.objectives import MEASURED
from archsearch.profiling import Profile, profile_architecture
from archsearch.space import Space
from archsearch.storage.trial_record import TrialRecord
from archsearch.study.context import TrialContext, phase
from archsearch.study.feasible_space import FeasibleSpace
from archsearch.study.train_candidate import train_candidate


@dataclass(frozen=True)
class Candidate:
    """A candidate that has been evaluated: its record, what its limits say, and its trained weights."""

    record: TrialRecord
    constraints: dict[str, float]
    weights: dict[str, Tensor] | None = None


def evaluate_candidate(record: TrialRecord, architecture: Architecture, context: TrialContext) -> Candidate:
    """The result of a candidate: where it breaks, that costs this candidate and not the study."""
    start = time.perf_counter()
    try:
        candidate = run_phases(record, architecture, context)
    except FailedTrialError as error:
        candidate = Candidate(replace(record, outcome="failed", error=str(error)), {})
    seconds = (record.seconds or 0.0) + time.perf_counter() - start
    return replace(candidate, record=replace(candidate.record, seconds=seconds))


def run_phases(record: TrialRecord, architecture: Architecture, context: TrialContext) -> Candidate:
    """Count, predict, measure, check the limits, train: in the order of what each costs.

    A candidate over a limit is never trained, and one over a counted limit never measured either, nor one
    whose predicted latency is over the limit by more than the predictor's worst error. Its constraints are
    those that were known by then. One that continues from a rung is only trained.
    """
    if record.rungs:
        context.announce(record.slot, f"training {record.layout} further")
        return with_weights(*train_candidate(record, architecture, context), {})
    start = time.perf_counter()
    constraints = FeasibleSpace(context.space, context.config).limited.excess(architecture)
    if over(constraints):
        return Candidate(replace(record, outcome="infeasible"), constraints)
    context.announce(record.slot, f"profiling {record.layout}")
    with phase("predict"):
        record, excess = predict_latency(record, architecture, context)
    if excess > 0:
        return Candidate(replace(record, outcome="infeasible"), constraints | {"latency_ms": excess})
    with phase("profile"):
        profile = profile_candidate(architecture, context)
    record = replace(add_measurements(record, profile, context), profile_seconds=time.perf_counter() - start)
    limits = sorted(context.config.limits.items())
    constraints |= {n: profile.objective(n) - limit for n, limit in limits if n not in constraints}
    if over(constraints):
        return Candidate(replace(record, outcome="infeasible"), constraints)
    context.announce(record.slot, f"training {record.layout}")
    return with_weights(*train_candidate(record, architecture, context), constraints)


def with_weights(record: TrialRecord, network: Network | None, constraints: dict[str, float]) -> Candidate:
    """The candidate with its weights on the CPU; only one that is trained to the end has a network."""
    if network is None:
        return Candidate(record, constraints)
    weights = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    return Candidate(record, constraints, weights)


def new_record(architecture: Architecture, slot: int, space: Space) -> TrialRecord:
    """What is known of an architecture without running it."""
    names = {reference.id: reference.name for reference in space.references}
    shares = global_shares(architecture)
    return TrialRecord(
        reference=names.get(architecture.id),
        slot=slot,
        outcome="running",
        architecture=architecture.id,
        description=json.dumps(architecture.document()),
        layout=architecture.layout,
        family=family(architecture),
        globality=globality(architecture),
        global_depth=global_depth(architecture),
        global_tokens=global_tokens(architecture),
        params=count_params(architecture),
        macs=count_macs(architecture).total,
        activations=count_activations(architecture),
        globality_macs=shares.globality_macs,
        global_macs_share=shares.global_macs,
        global_params_share=shares.global_params,
    )


def predict_latency(
    record: TrialRecord, architecture: Architecture, context: TrialContext
) -> tuple[TrialRecord, float]:
    """The record with its predicted latency, and by how many ms it is over the limit at the very least."""
    if context.predictor is None:
        return record, 0.0
    limit = context.config.limits.get("latency_ms", math.inf)
    record = replace(record, predicted_latency_ms=context.predictor.predict(architecture))
    return record, context.predictor.at_least(architecture) - limit


def profile_candidate(architecture: Architecture, context: TrialContext, *, shares: bool = True) -> Profile:
    """Latency, memory and ``shares`` of time on the run's device, while no other worker of the run uses it."""
    conditions, seconds = context.config.conditions(context.device), context.config.latency_seconds
    with context.device_lock.exclusive() if context.device_lock is not None else nullcontext():
        return profile_architecture(
            architecture, conditions=conditions, seconds=seconds, training=False, shares=shares
        )


def add_measurements(record: TrialRecord, profile: Profile, context: TrialContext) -> TrialRecord:
    """The record with what was measured: every measured objective under its name, and how it was measured."""
    measured: dict[str, Any] = {name: getattr(profile, name) for name in MEASURED}
    return replace(
        record,
        **measured,
        latency_iqr_ms=profile.latency.iqr_ms,
        latency_repeats=profile.latency.repeats,
        latency_batch=context.config.latency_batch,
        latency_flags="; ".join(profile.latency.flags) or None,
        anchor_ms=profile.latency.anchor_ms,
        global_latency_share=profile.global_latency_share,
        device=profile.conditions.device_name,
    )


def over(constraints: dict[str, float]) -> bool:
    """Whether any limit is exceeded."""
    return any(excess > 0 for excess in constraints.values())
