"""The front window of the house: how a candidate becomes a record."""

import json
import math
import time
from dataclasses import dataclass, replace

from archsearch.architecture import Architecture, Network
from archsearch.counting import (
    count_activations,
    count_macs,
    count_params,
    family,
    global_depth,
    global_tokens,
    globality,
)
from archsearch.profiling import Profile, profile_architecture
from archsearch.space import Space
from archsearch.study.bench import Bench, phase
from archsearch.study.record import TrialRecord
from archsearch.study.training import trained


@dataclass(frozen=True)
class Candidate:
    """A candidate that has been judged: its record, what its limits say, and its trained network."""

    record: TrialRecord
    constraints: dict[str, float]
    network: Network | None = None


def judge(architecture: Architecture, slot: int, bench: Bench) -> Candidate:
    """Count, predict, measure, check the limits, train: in the order of what each costs.

    A candidate over a limit is never trained, and one over a counted limit never measured either, nor one
    whose predicted latency is over the limit by more than the predictor's worst error. Its constraints are
    those that were known by then.
    """
    start = time.perf_counter()
    record = counted(architecture, slot, bench.space)
    constraints = counted_excess(record, architecture, bench)
    if over(constraints):
        return Candidate(record, constraints)
    bench.watcher.phase(slot, f"profiling {record.layout}")
    with phase("predict"):
        record, excess = predicted(record, architecture, bench)
    if excess > 0:
        return Candidate(record, constraints | {"latency_ms": excess})
    with phase("profile"):
        profile = measure(architecture, bench)
    record = replace(measured(record, profile, bench), profile_seconds=time.perf_counter() - start)
    limits = sorted(bench.config.limits.items())
    constraints |= {n: profile.objective(n) - limit for n, limit in limits if n not in constraints}
    if over(constraints):
        return Candidate(record, constraints)
    bench.watcher.phase(slot, f"training {record.layout}")
    record, network = trained(record, architecture, bench)
    return Candidate(replace(record, seconds=time.perf_counter() - start), constraints, network)


def counted(architecture: Architecture, slot: int, space: Space) -> TrialRecord:
    """What is known of an architecture without running it; infeasible until it is trained."""
    names = {reference.id: reference.name for reference in space.references}
    return TrialRecord(
        reference=names.get(architecture.id),
        slot=slot,
        outcome="infeasible",
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
    )


def predicted(record: TrialRecord, architecture: Architecture, bench: Bench) -> tuple[TrialRecord, float]:
    """The record with its predicted latency, and by how many ms it is over the limit at the very least."""
    if bench.predictor is None:
        return record, 0.0
    limit = bench.config.limits.get("latency_ms", math.inf)
    record = replace(record, predicted_latency_ms=bench.predictor.predict(architecture))
    return record, bench.predictor.at_least(architecture) - limit


def counted_excess(record: TrialRecord, architecture: Architecture, bench: Bench) -> dict[str, float]:
    """Cost minus limit of what is counted, by the stricter of the space's limit and the study's."""
    excess = bench.space.violations(architecture)
    for name, cost in (("macs", record.macs), ("params", record.params)):
        if name in bench.config.limits:
            excess[name] = max(cost - bench.config.limits[name], excess.get(name, -math.inf))
    return excess


def measure(architecture: Architecture, bench: Bench) -> Profile:
    """Latency and memory on the run's device."""
    conditions, seconds = bench.config.conditions(bench.device), bench.config.latency_seconds
    return profile_architecture(architecture, conditions=conditions, seconds=seconds, training=False)


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
        device=profile.conditions.device_name,
    )


def over(constraints: dict[str, float]) -> bool:
    """Whether any limit is exceeded."""
    return any(excess > 0 for excess in constraints.values())
