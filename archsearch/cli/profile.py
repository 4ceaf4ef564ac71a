"""``archsearch profile``."""

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from archsearch.architecture import Architecture, Image
from archsearch.cli.profile_space import fit_command, summary_command
from archsearch.cli.tables import console, grid
from archsearch.counting import count_frozen, family, global_depth, globality
from archsearch.errors import InputError, Problem, shown
from archsearch.formatting import amount
from archsearch.profiling import Conditions, Profile, profile_architecture
from archsearch.results.parts import PartRow, part_rows
from archsearch.space import Published, load_space

SIZE = re.compile(r"(\d{1,4})(?:x(\d{1,4}))?")


@dataclass(frozen=True)
class ProfileOptions:
    """How a file is profiled.

    Attributes:
        seconds: longest time for one latency.
        image: another image size, ``160`` or ``224x160``.
        seed: of a space, only the random point of this seed.
        draws: of a space, points to count.
        fit: of a space, points to measure for a latency predictor.
    """

    seconds: float
    image: str | None
    seed: int | None
    draws: int
    fit: int | None


def profile_command(file: Path, conditions: Conditions, options: ProfileOptions, *, as_json: bool) -> None:
    """Count and measure the architecture in ``file``, or one or many random points of the space in it."""
    space = load_space(file)
    is_open = bool(space.open_fields())
    if options.image is not None:
        space = replace(space, image=resize(space.image, options.image))
    if options.fit is not None:
        refuse_fit(options.fit, file, is_open=is_open)
        fit_command(space, conditions, options.fit, options.seconds, as_json=as_json)
        return
    if is_open and options.seed is None:
        summary_command(space, file, conditions, options.draws, options.seconds, as_json=as_json)
        return
    # Of a space with nothing left open the one architecture, within the limits or not.
    architecture = space.draw(options.seed or 0) if is_open else next(space.draws(0, 1))
    profile = profile_architecture(architecture, conditions=conditions, seconds=options.seconds, shares=False)
    screen = console()
    if as_json:
        screen.print_json(data=as_data(architecture, profile, space.published))
        return
    if is_open:
        screen.write_line(
            f"{file} is a space: this is its random point {options.seed}\n\n{architecture.to_yaml()}"
        )
    show(architecture, profile, space.published)


def refuse_fit(count: int, file: Path, *, is_open: bool) -> None:
    """A predictor needs a space, and ten candidates."""
    if not is_open:
        problem = Problem(
            "--fit", "this file leaves nothing open", "give a space, such as spaces/hybrid.yaml"
        )
        raise InputError(str(file), [problem])
    if count < 10:
        problem = Problem("--fit", f"{count} candidates are too few", "use 10 or more, best 60")
        raise InputError("archsearch profile", [problem])


def resize(image: Image, size: str) -> Image:
    """``image`` at ``160`` or ``224x160`` (height x width) pixels."""
    match = SIZE.fullmatch(size)
    height, width = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not (1 <= height <= 4_096 and 1 <= width <= 4_096):
        remedy = "write 160, or 224x160 for height x width"
        raise InputError("archsearch profile", [Problem("--image", f"{shown(size)} is not a size", remedy)])
    return image.model_copy(update={"height": height, "width": width})


def as_data(architecture: Architecture, profile: Profile, published: Published | None) -> dict[str, object]:
    """Everything that the tables show, as data."""
    return {
        "name": architecture.name,
        "architecture": architecture.id,
        "layout": architecture.layout,
        "family": family(architecture),
        "globality": globality(architecture),
        "global_depth": global_depth(architecture),
        "params": profile.params,
        "frozen_params": count_frozen(architecture),
        "macs": profile.macs.total,
        "macs_by_stage": dict(profile.macs.by_stage),
        "macs_by_family": dict(profile.macs.by_family),
        "activations": profile.activations,
        "parts": [part_record(row) for row in part_rows(architecture)],
        "published": None if published is None else published.model_dump(),
        "latency_ms": profile.latency_ms,
        "latency": asdict(profile.latency),
        "peak_memory_mib": profile.peak_memory_mib,
        "training_memory_mib": profile.training_memory_mib,
        "conditions": asdict(profile.conditions),
    }


def part_record(row: PartRow) -> dict[str, Any]:
    """One part, or the head, as data: shape, parameters, MACs by family, mean reach of its mixers."""
    count = row.count
    return {
        "part": row.place,
        "kind": row.kind,
        "out": list(row.out),
        "params": count.params,
        "frozen_params": count.frozen,
        "macs": count.macs,
        "macs_by_family": dict(count.by_family),
        "activations": count.activations,
        "activations_by_family": dict(count.activations_by_family),
        "mixers": row.mixers,
        "reach": row.reach,
    }


def show(architecture: Architecture, profile: Profile, published: Published | None) -> None:
    """Print a table of the parts, then the totals beside what others print."""
    screen = console()
    macs, latency, frozen = profile.macs, profile.latency, count_frozen(architecture)
    families = [name for name, count in macs.by_family.items() if count]
    headings = ["part", "kind", "out", "params", "MACs", *families, "activations", "reach"]
    rows = [part_cells(row, families) for row in part_rows(architecture)]
    screen.print(grid(f"{architecture.name} ({architecture.id})", headings, rows))
    with_frozen = f" to train, {profile.params + frozen:,} with the frozen ones" if frozen else ""
    screen.write_line(f"\n{profile.params:,} parameters{with_frozen}")
    screen.write_line(f"{macs.total:,} MACs; {macs.without_norms:,} without norms, as papers count")
    screen.write_line(
        f"{profile.activations:,} activations: outputs of convolutions, linear layers and products"
    )
    if published is not None:
        screen.write_line(published_line(published, profile, frozen))
    screen.write_line(f"{family(architecture)}, globality {globality(architecture):.3f} (0 local, 1 global)")
    screen.write_line(
        f"latency {latency.median_ms:.3f} ms (quartiles {latency.lower_quartile_ms:.3f} to "
        f"{latency.upper_quartile_ms:.3f}, {latency.repeats} repeats), {profile.conditions}"
    )
    for flag in latency.flags:
        screen.write_line(f"flagged: {flag}")
    memory = {"inference": profile.peak_memory_mib, "a training step": profile.training_memory_mib}
    for use, mib in memory.items():
        if mib is not None:
            screen.write_line(f"peak memory of {use}: {mib:,.1f} MiB")


def part_cells(row: PartRow, families: list[str]) -> list[str]:
    """One part as the table shows it."""
    return [
        row.place,
        row.kind,
        "x".join(map(str, row.out)),
        f"{row.params:,}",
        f"{row.macs:,}",
        *(amount(row.count.by_family[name]) for name in families),
        amount(row.count.activations),
        "-" if row.reach is None else f"{row.reach:.3f}",
    ]


def published_line(published: Published, profile: Profile, frozen: int) -> str:
    """The figures that others print, and how far ours are from them."""
    figures = []
    if (printed := published.params) is not None:
        ours = min((profile.params, profile.params + frozen), key=lambda params: abs(params - printed))
        figures.append(f"{amount(printed)} parameters (ours {ours / printed - 1:+.1%})")
    if published.macs is not None:
        deviation = profile.macs.without_norms / published.macs - 1
        figures.append(f"{amount(published.macs)} MACs (ours {deviation:+.1%})")
    if published.top1 is not None:
        figures.append(f"top-1 {published.top1:.2%}")
    return f"published: {', '.join(figures)} [{published.source}]"
