"""``archsearch profile``."""

import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from archsearch.architecture import Architecture, Image
from archsearch.cli.profile_space import checked_fit, fit_command, summary_command
from archsearch.cli.tables import console, grid
from archsearch.counting import count_frozen, family, global_depth, globality
from archsearch.errors import InputError, Problem, shown
from archsearch.formatting import amount
from archsearch.profiling import Conditions, Profile, profile_architecture
from archsearch.results.parts import PartRow, part_rows
from archsearch.space import Published, Space, load_space

SIZE = re.compile(r"(\d{1,4})(?:x(\d{1,4}))?")


@dataclass(frozen=True)
class ProfileOptions:
    """What of a file is to be profiled: all of it as it is, another image size, one point, many, a fit."""

    seconds: float = 0.5
    image: str | None = None
    seed: int | None = None
    draws: int = 100
    fit: int | None = None


def profile_command(file: Path, conditions: Conditions, asked: ProfileOptions, *, as_json: bool) -> None:
    """Count and measure the architecture in ``file``, or one or many random points of the space in it."""
    space = load_space(file)
    if asked.image is not None:
        space = replace(space, image=resized(space.image, asked.image))
    if asked.fit is not None:
        fit_command(
            open_space(space, file), conditions, checked_fit(asked.fit), asked.seconds, as_json=as_json
        )
        return
    if space.open_fields() and asked.seed is None:
        summary_command(space, file, conditions, asked.draws, asked.seconds, as_json=as_json)
        return
    architecture = point(space, asked.seed or 0)
    profile = profile_architecture(architecture, conditions=conditions, seconds=asked.seconds, shares=False)
    if as_json:
        console().print_json(json.dumps(as_data(architecture, profile, space.published)))
        return
    screen = console()
    if space.open_fields():
        screen.print(
            f"{file} is a space: this is its random point {asked.seed}\n\n{architecture.to_yaml()}",
            markup=False,
        )
    show(architecture, profile, space.published)


def open_space(space: Space, file: Path) -> Space:
    """The space, if it leaves anything open."""
    if not space.open_fields():
        problem = Problem("--fit", "nothing is open in this file", "give a space, such as spaces/hybrid.yaml")
        raise InputError(str(file), [problem])
    return space


def point(space: Space, seed: int) -> Architecture:
    """The one architecture of a space with nothing left open, limits or not; else a random feasible one."""
    return space.draw(seed) if space.open_fields() else next(space.draws(seed, 1))


def resized(image: Image, size: str) -> Image:
    """``image`` at ``160`` or ``224x160`` (height x width) pixels."""
    match = SIZE.fullmatch(size)
    height, width = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not (1 <= height <= 4_096 and 1 <= width <= 4_096):
        problem = Problem("--image", f"{shown(size)} is no size", "write 160, or 224x160 for height x width")
        raise InputError("archsearch profile", [problem])
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
    """A table of the parts, then the totals beside what others print."""
    screen = console()
    families = [name for name, macs in profile.macs.by_family.items() if macs]
    columns = ["part", "kind", "out", "params", "MACs", *families, "activations", "reach"]
    rows = [part_cells(row, families) for row in part_rows(architecture)]
    screen.print(grid(f"{architecture.name} ({architecture.id})", columns, rows))
    screen.print(f"\n{params_line(profile.params, count_frozen(architecture))}")
    screen.print(macs_line(profile))
    screen.print(f"{profile.activations:,} activations: what convolutions, linear layers and products write")
    if published is not None:
        screen.print(published_line(published, profile, count_frozen(architecture)), markup=False)
    screen.print(f"{family(architecture)}, globality {globality(architecture):.3f} (0 local, 1 global)")
    latency = profile.latency
    screen.print(
        f"latency {latency.median_ms:.3f} ms (quartiles {latency.lower_quartile_ms:.3f} to "
        f"{latency.upper_quartile_ms:.3f}, {latency.repeats} repeats), {profile.conditions}"
    )
    for flag in latency.flags:
        screen.print(f"flagged: {flag}")
    for what, mib in (
        ("inference", profile.peak_memory_mib),
        ("a step of training", profile.training_memory_mib),
    ):
        if mib is not None:
            screen.print(f"peak memory of {what}: {mib:,.1f} MiB")


def part_cells(row: PartRow, families: list[str]) -> list[str]:
    """One part as the table shows it."""
    count = row.count
    by_family = [amount(count.by_family[name]) for name in families]
    reach = "-" if row.reach is None else f"{row.reach:.3f}"
    out = "x".join(map(str, row.out))
    return [
        row.place,
        row.kind,
        out,
        f"{row.params:,}",
        f"{row.macs:,}",
        *by_family,
        amount(count.activations),
        reach,
    ]


def params_line(params: int, frozen: int) -> str:
    """Trainable parameters, and all of them where some are frozen."""
    return f"{params:,} parameters" + (
        f" to train, {params + frozen:,} with the frozen ones" if frozen else ""
    )


def macs_line(profile: Profile) -> str:
    """MACs in all, and without what papers leave out."""
    macs = profile.macs
    return f"{macs.total:,} MACs; {macs.without_norms:,} without norms, as papers count"


def published_line(published: Published, profile: Profile, frozen: int) -> str:
    """What others print, and how far ours is from it."""
    macs = profile.macs.without_norms
    figures = []
    if (printed := published.params) is not None:
        ours = min((profile.params, profile.params + frozen), key=lambda params: abs(params - printed))
        figures.append(f"{amount(printed)} parameters ({deviation(ours, printed)})")
    if published.macs is not None:
        figures.append(f"{amount(published.macs)} MACs ({deviation(macs, published.macs)})")
    if published.top1 is not None:
        figures.append(f"top-1 {published.top1:.2%}")
    return f"published: {', '.join(figures)} [{published.source}]"


def deviation(ours: int, theirs: int) -> str:
    """How much ours is above theirs."""
    return f"ours {ours / theirs - 1:+.1%}"
