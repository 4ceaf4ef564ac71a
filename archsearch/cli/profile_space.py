"""``archsearch profile`` of a space: a summary of random points, or the fit of its latency predictor."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from archsearch.architecture import Architecture
from archsearch.cli.check import fit_hint, show_envelope
from archsearch.cli.tables import console, grid
from archsearch.counting import count_macs, family
from archsearch.errors import EnvironmentFaultError, InfeasibleError, InputError, Problem
from archsearch.formatting import amount
from archsearch.profiling import (
    Conditions,
    Latency,
    LatencyPredictor,
    fit_predictor,
    keep_fitted,
    load_fitted,
    measure_latency,
)
from archsearch.space import Space
from archsearch.stats.rank_correlation import rho
from archsearch.study.space_summary import spread, summarize_space

MEASURED_POINTS = 16
# Draws for one distinct feasible point, before the space is taken to have no more.
DRAWS_EACH = 1_000


@dataclass(frozen=True)
class Measured:
    """One point of a space and its latency."""

    architecture: Architecture
    latency: Latency

    def as_data(self) -> dict[str, Any]:
        """The point as ``--json`` prints it."""
        return {
            "architecture": self.architecture.id,
            "layout": self.architecture.layout,
            "family": family(self.architecture),
            "macs": count_macs(self.architecture).total,
            "latency_ms": self.latency.median_ms,
            "latency": asdict(self.latency),
        }


def summary_command(
    space: Space, file: Path, conditions: Conditions, draws: int, seconds: float, *, as_json: bool
) -> None:
    """What random points of the space cost: counted for all, measured for a few."""
    predictor = load_fitted(space.fingerprint, conditions)
    envelope = summarize_space(space, draws, predictor=predictor)
    points = [
        Measured(a, measure_latency(a.build(), a.image.shape, conditions, seconds=seconds))
        for a in feasible(space, MEASURED_POINTS, at_least=1)
    ]
    correlation = rank_correlation(points)
    if as_json:
        found = {
            "space": space.name,
            "conditions": asdict(conditions),
            "envelope": asdict(envelope),
            "measured": [point.as_data() for point in points],
            "macs_latency_spearman": correlation,
            "predictor": None if predictor is None else asdict(predictor.accuracy),
        }
        console().print_json(json.dumps(found))
        return
    screen = console()
    screen.print(f"{space.name}: {envelope.size:,} architectures, {len(space.open_fields())} open fields")
    show_envelope(envelope)
    rows = sorted(points, key=lambda point: point.latency.median_ms)
    screen.print(
        grid(
            f"Latency of {len(points)} random feasible ones",
            ["architecture", "layout", "MACs", "ms", "quartiles"],
            [measured_row(point) for point in rows],
        )
    )
    ms = spread([point.latency.median_ms for point in points])
    screen.print(
        f"{conditions}\n{ms.low:.3g} to {ms.high:.3g} ms, median {ms.median:.3g}"
        + correlation_line(correlation)
    )
    screen.print(flags_line([point.latency for point in points]), end="")
    screen.print(fitted_line(predictor, file, conditions), markup=False)


def fit_command(space: Space, conditions: Conditions, count: int, seconds: float, *, as_json: bool) -> None:
    """Measure ``count`` random points, fit the predictor, and keep it for ``check`` and ``run``."""
    screen = console()
    measured: list[Measured] = []

    def note(architecture: Architecture, latency: Latency) -> None:
        measured.append(Measured(architecture, latency))
        if not as_json and (len(measured) % 10 == 0 or len(measured) == count):
            screen.print(f"[{len(measured):>3}/{count}] {architecture.layout:<8} {latency.median_ms:8.3f} ms")

    architectures = feasible(space, count, at_least=count)
    predictor = fit_predictor(architectures, conditions, seconds=seconds, on_measured=note)
    try:
        kept = keep_fitted(predictor, space.fingerprint)
    except OSError as error:
        raise EnvironmentFaultError(
            f"{error.filename}: {error.strerror}; the fit is lost: mend the cause, or set ARCHSEARCH_CACHE to "
            "another folder"
        ) from error
    if as_json:
        found = {
            "space": space.name,
            "conditions": asdict(conditions),
            "measured": [point.as_data() for point in measured],
            "accuracy": asdict(predictor.accuracy),
            "weights": dict(predictor.weights),
            "calls": len(predictor.table.ms),
            "file": None if kept is None else str(kept),
        }
        screen.print_json(json.dumps(found))
        return
    screen.print(flags_line([point.latency for point in measured]), end="")
    screen.print(
        f"fitted to {count} candidates and {len(predictor.table.ms):,} distinct calls ({conditions})\n"
        f"each candidate predicted by a fit to the others: {predictor.accuracy}"
    )
    correlation = rank_correlation(measured)
    if correlation is not None:
        screen.print(f"MACs alone rank the same candidates with Spearman {correlation:.3f}")
    screen.print(
        f"kept in {kept}; archsearch check and run use it for studies under these conditions"
        if kept is not None
        else "not kept: ARCHSEARCH_CACHE is empty"
    )


def feasible(space: Space, count: int, *, at_least: int) -> list[Architecture]:
    """``count`` distinct random points within the limits.

    Raises:
        InfeasibleError: there are not even ``at_least``.
    """
    found: dict[str, Architecture] = {}
    for architecture in distinct_draws(space, count):
        found[architecture.id] = architecture
        if len(found) == count:
            break
    if len(found) < at_least:
        raise InfeasibleError(
            f"{space.name}: {len(found)} distinct feasible architectures in {DRAWS_EACH * count:,} draws, and "
            f"{at_least} are wanted; raise the limits{', or ask for fewer' if at_least > 1 else ''}"
        )
    return list(found.values())


def distinct_draws(space: Space, count: int) -> Iterator[Architecture]:
    """Random points within the limits, as many draws as are reasonable."""
    return (a for a in space.draws(0, DRAWS_EACH * count) if not space.violations(a))


def rank_correlation(points: Sequence[Measured]) -> float | None:
    """Spearman's rho of MACs and latency; None for fewer than three points, or equal ones."""
    if len(points) < 3:
        return None
    macs = [count_macs(point.architecture).total for point in points]
    found = rho(macs, [point.latency.median_ms for point in points])
    return None if math.isnan(found) else found


def correlation_line(correlation: float | None) -> str:
    """What MACs say of latency here."""
    return "" if correlation is None else f"; MACs rank them with Spearman {correlation:.2f}"


def measured_row(point: Measured) -> list[str]:
    """One measured point."""
    latency = point.latency
    quartiles = f"{latency.lower_quartile_ms:.3f} to {latency.upper_quartile_ms:.3f}"
    macs = amount(count_macs(point.architecture).total)
    return [point.architecture.id, point.architecture.layout, macs, f"{latency.median_ms:.3f}", quartiles]


def flags_line(latencies: Sequence[Latency]) -> str:
    """How many measurements were flagged, and by what most; nothing if none was."""
    flagged = [latency for latency in latencies if latency.flags]
    if not flagged:
        return ""
    flag, _ = Counter(flag for latency in flagged for flag in latency.flags).most_common(1)[0]
    return f"flagged: {len(flagged)} of {len(latencies)} measurements, most often because {flag}\n"


def fitted_line(predictor: LatencyPredictor | None, file: Path, conditions: Conditions) -> str:
    """Whether latency can be predicted here."""
    if predictor is None:
        return f"no predictor is fitted for this: {fit_hint(file, conditions)}"
    return f"the table's latency is predicted; on candidates unseen by the fit: {predictor.accuracy}"


def checked_fit(count: int) -> int:
    """How many candidates to fit to."""
    if count < 10:
        problem = Problem("--fit", f"{count} candidates are too few", "use 10 or more; 60 do well")
        raise InputError("archsearch profile", [problem])
    return count
