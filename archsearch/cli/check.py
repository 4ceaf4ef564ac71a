"""``archsearch check``."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from archsearch.cli.tables import console, grid
from archsearch.formatting import amount, duration
from archsearch.profiling import Conditions, conditions_of, load_fitted, pick_device
from archsearch.space import load_space
from archsearch.study.config import load_study
from archsearch.study.space_summary import Forecast, SpaceSummary, Spread, forecast, summarize_space


def check_command(
    space_file: Path, study_file: Path | None, draws: int, flags: Mapping[str, Any], *, as_json: bool
) -> None:
    """Load everything, count a sample, train a few steps."""
    space = load_space(space_file)
    study = load_study(space.study, str(space_file), study_file, flags, "archsearch check")
    device = pick_device(study.device)
    predictor = load_fitted(space.fingerprint, study.conditions(device))
    if as_json:
        found = {
            "references": [reference.name for reference in space.references],
            "envelope": asdict(summarize_space(space, draws, predictor=predictor)),
            "forecast": asdict(forecast(space, study, device)),
        }
        console().print_json(json.dumps(found))
        return
    screen = console()
    fields = len(space.open_fields())
    screen.print(f"{space_file}: {space.name} is well-formed, with {fields} open fields", markup=False)
    screen.print(f"distinct architectures: {space.size():,}")
    if space.references:
        names = ", ".join(reference.name for reference in space.references)
        screen.print(f"references, points of it that are evaluated first: {names}")
    show_envelope(summarize_space(space, draws, predictor=predictor))
    if predictor is None:
        hint = fit_hint(space_file, study.conditions(device))
        screen.print(f"latency: not fitted here; {hint} measures and fits it", markup=False)
    else:
        screen.print(f"latency is predicted for {predictor.conditions}: {predictor.accuracy}")
    show_forecast(forecast(space, study, device), study.slots)


def fit_hint(file: Path, conditions: Conditions) -> str:
    """The command that fits a predictor under these conditions."""
    usual = conditions_of("cpu")
    flags = {
        "--device": (conditions.device, usual.device),
        "--batch": (conditions.batch_size, usual.batch_size),
        "--dtype": (conditions.dtype, usual.dtype),
        "--mode": (conditions.mode, usual.mode),
        "--memory-format": (conditions.memory_format, usual.memory_format),
        "--threads": (conditions.threads, usual.threads),
    }
    given = "".join(f" {flag} {value}" for flag, (value, default) in flags.items() if value != default)
    return f"archsearch profile {file} --fit 60{given}"


def show_envelope(envelope: SpaceSummary) -> None:
    """Size, feasible share, costs by family."""
    screen = console()
    low, high = envelope.share
    screen.print(
        f"feasible: {envelope.feasible} of {envelope.drawn} drawn ({low:.0%} to {high:.0%} of the space)"
        + "".join(f"; {reason}: {count}" for reason, count in envelope.failures.items())
    )
    costs = {"params": envelope.params, "MACs": envelope.macs, "activations": envelope.activations}
    if envelope.latency_ms is not None:
        costs["ms"] = envelope.latency_ms
    columns = [column for cost in costs for column in (f"{cost} min", "median", "max")]
    rows = [
        [name, str(envelope.counts[name]), *(text for cost in costs.values() for text in three(cost[name]))]
        for name in sorted(envelope.counts)
    ]
    screen.print(grid("Costs of the feasible ones", ["family", "drawn", *columns], rows))


def three(spread: Spread) -> list[str]:
    """Smallest, median, largest."""
    return [amount(value) for value in (spread.low, spread.median, spread.high)]


def show_forecast(expected: Forecast, trials: int) -> None:
    """How long a study will take here."""
    console().print(
        f"built, profiled and trained for {expected.steps} steps each: {', '.join(expected.timed)}\n"
        f"forecast: about {duration(expected.seconds_per_trial)} a trial, {duration(expected.seconds)} for {trials} "
        "trials here"
    )
