"""``archsearch check``."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from archsearch.cli.tables import console, grid
from archsearch.formatting import amount, duration
from archsearch.profiling import Conditions, conditions_of, load_fitted, pick_device
from archsearch.space import load_space
from archsearch.study.config import load_study
from archsearch.study.forecast import forecast_time
from archsearch.study.space_summary import SpaceSummary, Spread, summarize_space

# Of ``archsearch profile``: the option of each condition.
FLAGS = {
    "--device": "device",
    "--batch": "batch_size",
    "--dtype": "dtype",
    "--mode": "mode",
    "--memory-format": "memory_format",
    "--threads": "threads",
}


def check_command(
    space_file: Path, study_file: Path | None, draws: int, flags: Mapping[str, Any], *, as_json: bool
) -> None:
    """Load everything, count a sample, train a few steps."""
    space = load_space(space_file)
    study = load_study(space.study, str(space_file), study_file, flags, "archsearch check")
    device = pick_device(study.device)
    conditions = study.conditions(device)
    predictor = load_fitted(space.fingerprint, conditions)
    summary = summarize_space(space, draws, predictor=predictor)
    references = [reference.name for reference in space.references]
    screen = console()
    if as_json:
        expected = asdict(forecast_time(space, study, device))
        found = {"references": references, "envelope": asdict(summary), "forecast": expected}
        screen.print_json(data=found)
        return
    fields = len(space.open_fields())
    screen.write_line(f"{space_file}: {space.name} is well-formed, with {fields} open fields")
    screen.write_line(f"distinct architectures: {summary.size:,}")
    if references:
        screen.write_line(f"references in this space, which are evaluated first: {', '.join(references)}")
    show_summary(summary)
    if predictor is None:
        hint = fit_hint(space_file, conditions)
        screen.write_line(f"latency: no predictor is fitted; {hint} measures and fits it")
    else:
        screen.write_line(f"latency is predicted for {predictor.conditions}: {predictor.accuracy}")
    expects = forecast_time(space, study, device)
    screen.write_line(
        f"built, profiled and trained for {expects.steps} steps each: {', '.join(expects.timed)}\n"
        f"forecast: about {duration(expects.seconds_per_trial)} a trial, {duration(expects.seconds)} for "
        f"{study.slots} trials here"
    )


def fit_hint(file: Path, conditions: Conditions) -> str:
    """The command that fits a predictor under these conditions."""
    ours, usual = asdict(conditions), asdict(conditions_of("cpu"))
    flags = "".join(f" {flag} {ours[name]}" for flag, name in FLAGS.items() if ours[name] != usual[name])
    return f"archsearch profile {file} --fit 60{flags}"


def show_summary(summary: SpaceSummary) -> None:
    """Print the feasible share of a space, and the costs of its families."""
    low, high = summary.share
    failures = "".join(f"; {reason}: {count}" for reason, count in summary.failures.items())
    costs = {"params": summary.params, "MACs": summary.macs, "activations": summary.activations}
    if summary.latency_ms is not None:
        costs["ms"] = summary.latency_ms
    headings = [heading for cost in costs for heading in (f"{cost} min", "median", "max")]
    rows = [
        [family, str(count), *(text for spreads in costs.values() for text in write_spread(spreads[family]))]
        for family, count in sorted(summary.counts.items())
    ]
    screen = console()
    screen.print(
        f"feasible: {summary.feasible} of {summary.drawn} drawn ({low:.0%} to {high:.0%} of the space){failures}"
    )
    screen.print(grid("Costs of the feasible points", ["family", "drawn", *headings], rows))


def write_spread(spread: Spread) -> list[str]:
    """Smallest, median, largest."""
    return [amount(value) for value in (spread.low, spread.median, spread.high)]
