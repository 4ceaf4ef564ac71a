"""The front window of the house: how a candidate becomes a record."""

import json
import math
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace

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
from archsearch.profiling import Profile, profile_architecture
from archsearch.space import Space
from archsearch.storage.trial_record import TrialRecord
from archsearch.study.context import Bench, phase
from archsearch.study.feasible_space import Searched
from archsearch.study.train_candidate import trained


@dataclass(frozen=True)
class Candidate:
    """A candidate that has been judged: its record, what its limits say, and its trained weights."""

    record: TrialRecord
    constraints: dict[str, float]
    weights: dict[str, Tensor] | None = None


def judge(record: TrialRecord, architecture: Architecture, bench: Bench) -> Candidate:
    """What becomes of a candidate: where it breaks, that costs this candidate and not the study."""
    start = time.perf_counter()
    try:
        candidate = judged(record, architecture, bench)
    except FailedTrialError as error:
        candidate = Candidate(replace(record, outcome="failed", error=str(error)), {})
    seconds = (record.seconds or 0.0) + time.perf_counter() - start
    return replace(candidate, record=replace(candidate.record, seconds=seconds))


def judged(record: TrialRecord, architecture: Architecture, bench: Bench) -> Candidate:
    """Count, predict, measure, check the limits, train: in the order of what each costs.

    A candidate over a limit is never trained, and one over a counted limit never measured either, nor one
    whose predicted latency is over the limit by more than the predictor's worst error. Its constraints are
    those that were known by then. One that goes on from a rung is trained on, and nothing else.
    """
    if record.rungs:
        bench.watcher.phase(record.slot, f"training {record.layout} on")
        return with_weights(*trained(record, architecture, bench), {})
    start = time.perf_counter()
    constraints = Searched(bench.space, bench.config).excess(architecture)
    if over(constraints):
        return Candidate(replace(record, outcome="infeasible"), constraints)
    bench.watcher.phase(record.slot, f"profiling {record.layout}")
    with phase("predict"):
        record, excess = predicted(record, architecture, bench)
    if excess > 0:
        return Candidate(replace(record, outcome="infeasible"), constraints | {"latency_ms": excess})
    with phase("profile"):
        profile = measure(architecture, bench)
    record = replace(measured(record, profile, bench), profile_seconds=time.perf_counter() - start)
    limits = sorted(bench.config.limits.items())
    constraints |= {n: profile.objective(n) - limit for n, limit in limits if n not in constraints}
    if over(constraints):
        return Candidate(replace(record, outcome="infeasible"), constraints)
    bench.watcher.phase(record.slot, f"training {record.layout}")
    return with_weights(*trained(record, architecture, bench), constraints)


def with_weights(record: TrialRecord, network: Network | None, constraints: dict[str, float]) -> Candidate:
    """The candidate with its weights on the CPU; only one that is trained to the end has a network."""
    if network is None:
        return Candidate(record, constraints)
    weights = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    return Candidate(record, constraints, weights)


def counted(architecture: Architecture, slot: int, space: Space) -> TrialRecord:
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


def predicted(record: TrialRecord, architecture: Architecture, bench: Bench) -> tuple[TrialRecord, float]:
    """The record with its predicted latency, and by how many ms it is over the limit at the very least."""
    if bench.predictor is None:
        return record, 0.0
    limit = bench.config.limits.get("latency_ms", math.inf)
    record = replace(record, predicted_latency_ms=bench.predictor.predict(architecture))
    return record, bench.predictor.at_least(architecture) - limit


def measure(architecture: Architecture, bench: Bench, *, shares: bool = True) -> Profile:
    """Latency, memory and ``shares`` of time on the run's device, while no other worker of the run uses it."""
    conditions, seconds = bench.config.conditions(bench.device), bench.config.latency_seconds
    with bench.quiet.measuring() if bench.quiet is not None else nullcontext():
        return profile_architecture(
            architecture, conditions=conditions, seconds=seconds, training=False, shares=shares
        )


def measured(record: TrialRecord, profile: Profile, bench: Bench) -> TrialRecord:
    """The record with what was measured."""
    return replace(
        record,
        latency_ms=profile.latency_ms,
        latency_iqr_ms=profile.latency.iqr_ms,
        latency_repeats=profile.latency.repeats,
        latency_batch=bench.config.latency_batch,
        latency_flags="; ".join(profile.latency.flags) or None,
        anchor_ms=profile.latency.anchor_ms,
        peak_memory_mib=profile.peak_memory_mib,
        global_latency_share=profile.global_latency_share,
        device=profile.conditions.device_name,
    )


def over(constraints: dict[str, float]) -> bool:
    """Whether any limit is exceeded."""
    return any(excess > 0 for excess in constraints.values())
