"""``archsearch profile`` of a space: a summary of random points, or the fit of its latency predictor."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from archsearch.architecture import Architecture
from archsearch.cli.check import fit_hint, show_summary
from archsearch.cli.tables import Screen, console, grid
from archsearch.counting import count_macs, family
from archsearch.errors import EnvironmentFaultError, InfeasibleError
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

    @property
    def macs(self) -> int:
        """Its multiply-adds for one image."""
        return count_macs(self.architecture).total

    def as_data(self) -> dict[str, Any]:
        """The point as ``--json`` prints it."""
        return {
            "architecture": self.architecture.id,
            "layout": self.architecture.layout,
            "family": family(self.architecture),
            "macs": self.macs,
            "latency_ms": self.latency.median_ms,
            "latency": asdict(self.latency),
        }

    def cells(self) -> list[str]:
        """The point as the table shows it."""
        latency = self.latency
        quartiles = f"{latency.lower_quartile_ms:.3f} to {latency.upper_quartile_ms:.3f}"
        ids = [self.architecture.id, self.architecture.layout]
        return [*ids, amount(self.macs), f"{latency.median_ms:.3f}", quartiles]


def summary_command(
    space: Space, file: Path, conditions: Conditions, draws: int, seconds: float, *, as_json: bool
) -> None:
    """What random points of the space cost: counted for all, measured for a few."""
    predictor = load_fitted(space.fingerprint, conditions)
    summary = summarize_space(space, draws, predictor=predictor)
    points = [
        Measured(a, measure_latency(a.build(), a.image.shape, conditions, seconds=seconds))
        for a in feasible_points(space, MEASURED_POINTS, at_least=1)
    ]
    correlation = rank_correlation(points)
    screen = console()
    if as_json:
        found = {
            "space": space.name,
            "conditions": asdict(conditions),
            "envelope": asdict(summary),
            "measured": [point.as_data() for point in points],
            "macs_latency_spearman": correlation,
            "predictor": None if predictor is None else asdict(predictor.accuracy),
        }
        screen.print_json(data=found)
        return
    screen.write_line(f"{space.name}: {summary.size:,} architectures, {len(space.open_fields())} open fields")
    show_summary(summary)
    rows = [point.cells() for point in sorted(points, key=lambda point: point.latency.median_ms)]
    headings = ["architecture", "layout", "MACs", "ms", "quartiles"]
    screen.print(grid(f"Latency of {len(points)} random feasible points", headings, rows))
    ms = spread([point.latency.median_ms for point in points])
    by_macs = "" if correlation is None else f"; MACs rank them with Spearman {correlation:.2f}"
    screen.write_line(f"{conditions}\n{ms.low:.3g} to {ms.high:.3g} ms, median {ms.median:.3g}{by_macs}")
    show_flags(screen, points)
    screen.write_line(describe_predictor(predictor, file, conditions))


def fit_command(space: Space, conditions: Conditions, count: int, seconds: float, *, as_json: bool) -> None:
    """Measure ``count`` random points, fit the predictor, and keep it for ``check`` and ``run``."""
    screen = console()
    points: list[Measured] = []

    def on_measured(architecture: Architecture, latency: Latency) -> None:
        points.append(Measured(architecture, latency))
        done = len(points)
        if not as_json and (done % 10 == 0 or done == count):
            screen.write_line(f"[{done:>3}/{count}] {architecture.layout:<8} {latency.median_ms:8.3f} ms")

    architectures = feasible_points(space, count, at_least=count)
    predictor = fit_predictor(architectures, conditions, seconds=seconds, on_measured=on_measured)
    try:
        file = keep_fitted(predictor, space.fingerprint)
    except OSError as error:
        raise EnvironmentFaultError(
            f"{error.filename}: {error.strerror}; the fit is lost: mend the cause, or set ARCHSEARCH_CACHE to "
            "another folder"
        ) from error
    if as_json:
        found = {
            "space": space.name,
            "conditions": asdict(conditions),
            "measured": [point.as_data() for point in points],
            "accuracy": asdict(predictor.accuracy),
            "weights": dict(predictor.weights),
            "calls": len(predictor.table.ms),
            "file": None if file is None else str(file),
        }
        screen.print_json(data=found)
        return
    show_flags(screen, points)
    screen.write_line(
        f"fitted to {count} candidates and {len(predictor.table.ms):,} distinct calls ({conditions})\n"
        f"each candidate predicted by a fit to the others: {predictor.accuracy}"
    )
    correlation = rank_correlation(points)
    if correlation is not None:
        screen.write_line(f"MACs alone rank the same candidates with Spearman {correlation:.3f}")
    use = f"kept in {file}; archsearch check and run use it for studies under these conditions"
    screen.write_line("not kept: ARCHSEARCH_CACHE is empty" if file is None else use)


def feasible_points(space: Space, count: int, *, at_least: int) -> list[Architecture]:
    """``count`` distinct random points within the limits.

    Raises:
        InfeasibleError: there are not even ``at_least``.
    """
    found: dict[str, Architecture] = {}
    for architecture in space.draws(0, DRAWS_EACH * count):
        if not space.violations(architecture):
            found[architecture.id] = architecture
        if len(found) == count:
            break
    if len(found) < at_least:
        raise InfeasibleError(
            f"{space.name}: {len(found)} distinct feasible architectures in {DRAWS_EACH * count:,} draws, and "
            f"{at_least} are wanted; raise the limits{', or ask for fewer' if at_least > 1 else ''}"
        )
    return list(found.values())


def rank_correlation(points: Sequence[Measured]) -> float | None:
    """Spearman's rho of MACs and latency; None for fewer than three points, or equal ones."""
    if len(points) < 3:
        return None
    found = rho([point.macs for point in points], [point.latency.median_ms for point in points])
    return None if math.isnan(found) else found


def show_flags(screen: Screen, points: Sequence[Measured]) -> None:
    """Print how many measurements were flagged, and by what most; nothing if none was."""
    flagged = [point.latency.flags for point in points if point.latency.flags]
    if flagged:
        flag, _ = Counter(chain.from_iterable(flagged)).most_common(1)[0]
        screen.write_line(f"flagged: {len(flagged)} of {len(points)} measurements, most often because {flag}")


def describe_predictor(predictor: LatencyPredictor | None, file: Path, conditions: Conditions) -> str:
    """Whether latency is predicted, and how well; or the command that fits a predictor."""
    if predictor is None:
        return f"no predictor is fitted for this: {fit_hint(file, conditions)}"
    return f"the latencies by family are predicted; on candidates unseen by the fit: {predictor.accuracy}"
