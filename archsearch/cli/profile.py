"""``archsearch profile``."""

import json
from dataclasses import asdict
from pathlib import Path

from archsearch.architecture import Architecture
from archsearch.cli.tables import amount, console, grid
from archsearch.counting import family, global_depth, globality, part_counts
from archsearch.profiling import Profile, pick_device, profile_architecture
from archsearch.space import load_space


def profile_command(file: Path, device: str, batch: int, seed: int, *, as_json: bool) -> None:
    """Count and measure the architecture in ``file``, or one random point of the space in it."""
    space = load_space(file)
    architecture = space.draw(seed)
    profile = profile_architecture(architecture, device=pick_device(device), batch_size=batch)
    if as_json:
        console().print_json(json.dumps(as_data(architecture, profile)))
        return
    screen = console()
    if space.open_fields():
        screen.print(
            f"{file} is a space: this is its random point {seed}\n\n{architecture.to_yaml()}", markup=False
        )
    show(architecture, profile)


def as_data(architecture: Architecture, profile: Profile) -> dict[str, object]:
    """Everything that the tables show, as data."""
    return {
        "architecture": architecture.id,
        "layout": architecture.layout,
        "family": family(architecture),
        "globality": globality(architecture),
        "global_depth": global_depth(architecture),
        "params": profile.params,
        "macs": profile.macs.total,
        "macs_by_stage": dict(profile.macs.by_stage),
        "macs_by_family": dict(profile.macs.by_family),
        "latency_ms": profile.latency_ms,
        "latency": asdict(profile.latency),
        "peak_memory_mib": profile.peak_memory_mib,
        "conditions": asdict(profile.conditions),
    }


def show(architecture: Architecture, profile: Profile) -> None:
    """A table of the parts, then the totals."""
    screen = console()
    screen.print(
        grid(
            f"{architecture.name} ({architecture.id})",
            ["part", "kind", "out", "params", "MACs"],
            rows(architecture),
        )
    )
    latency, conditions = profile.latency, profile.conditions
    families = ", ".join(f"{name} {amount(macs)}" for name, macs in profile.macs.by_family.items() if macs)
    screen.print(f"\n{profile.params:,} parameters; {profile.macs.total:,} MACs: {families}")
    screen.print(f"{family(architecture)}, globality {globality(architecture):.3f} (0 local, 1 global)")
    screen.print(
        f"latency {latency.median_ms:.3f} ms (quartiles {latency.lower_quartile_ms:.3f} to "
        f"{latency.upper_quartile_ms:.3f}, {latency.repeats} repeats), batch {conditions.batch_size}, "
        f"{conditions.dtype}, eager, {conditions.device_name}, one CPU thread, torch {conditions.torch_version}"
    )


def rows(architecture: Architecture) -> list[list[str]]:
    """One row a part, and one for the head."""
    shapes = [str(shape) for shape in architecture.shapes()[1:]]
    kinds = [part.kind for _, part in architecture.parts]
    counts = list(part_counts(architecture))
    return [
        [place, kind, shape, f"{count.params:,}", f"{count.macs:,}"]
        for (place, count), kind, shape in zip(
            counts, [*kinds, architecture.head.pool], [*shapes, str(architecture.classes)], strict=True
        )
    ]
