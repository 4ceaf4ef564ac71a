"""Matched swaps: one stage of a network as another kind, the whole network at the cost that it had.

What is rescaled is the stage's ``channels``: the width that its blocks keep between them and hand on. Depth and
stride stay as they are, so the other stages see the same maps and run at the same places; the next stage takes
whatever width arrives, and its entry is part of the cost that is matched. Steps that heads and ratios allow are
coarse in small networks, so where no width alone is near enough, the inner width (``expansion`` of a bottleneck,
``mlp_ratio`` of a transformer) closes the gap at one of the nearest; where the next stage takes one width only (a
direct entry, groups), the inner width is all that there is. Where that does not do either, the heads are halved,
and then depth changes, as little as possible. What none of this matches is refused, and the nearest is named; so
is a last stage whose class token the head reads, as no other kind has one.

The same architecture always has the same swaps.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from archsearch.architecture import Architecture
from archsearch.errors import InputError, Problem, one_of, shown
from archsearch.objectives import OBJECTIVES
from archsearch.shapes import FeatureShape
from archsearch.space.space import COUNTERS
from archsearch.stages import STAGE_KINDS, Part

TOLERANCE = 0.02
# A stage becomes at most so many times as wide or as narrow as it was, and so its inner width.
WIDEST = 8
INNER_WIDEST = 4
MOST_GUESSES = 10
# What every stage has. The other fields that mean the same are those that both kinds name in their swap rules.
SHARED = ("channels", "depth", "stride")

Examples = Mapping[tuple[int, str], Part]


@dataclass(frozen=True)
class Swap:
    """One stage of ``original`` as another kind.

    Attributes:
        index: which stage, from 0.
        kind: what it becomes.
        variant: the network with that; None if no such network is near enough to the cost.
        cost: what was matched, ``macs`` or ``params``.
        cost_from: of the original.
        cost_to: of the variant, or of the nearest that there is; None if nothing can be built.
        note: what had to change besides the width, or why there is no variant; empty if there is nothing to say.
    """

    original: Architecture
    index: int
    kind: str
    variant: Architecture | None
    cost: str
    cost_from: int
    cost_to: int | None
    note: str = ""

    @property
    def place(self) -> str:
        """The stage's place in the file."""
        return f"stages.{self.index}"

    @property
    def cost_ratio(self) -> float | None:
        """Cost of the variant over that of the original."""
        return None if self.cost_to is None else self.cost_to / self.cost_from


def matched_swaps(
    architecture: Architecture,
    *,
    cost: str = "macs",
    tolerance: float = TOLERANCE,
    stage: int | None = None,
    examples: Examples | None = None,
) -> list[Swap]:
    """Each stage (or ``stage`` alone, from 0) as each other kind, at a cost within ``tolerance`` (a share) of equal.

    ``examples`` say how a kind is written at a stage, by index and kind: all its fields but ``channels``,
    ``depth`` and ``stride`` are taken from there. Without one, or where it does not fit, the kind has its defaults,
    and what means the same in both kinds stays (``SwapRules.alike``).

    Raises:
        InputError: there is no such cost or stage, or the tolerance is no share.
    """
    problems = find_option_problems(architecture, cost, tolerance, stage)
    if problems:
        raise InputError("archsearch swap", problems)
    chosen = range(len(architecture.stages)) if stage is None else [stage]
    return [
        swapped(architecture, index, kind, Target.of(architecture, index, cost, tolerance), examples or {})
        for index in chosen
        for kind in STAGE_KINDS
        if kind != architecture.stages[index].kind
    ]


def find_option_problems(
    architecture: Architecture, cost: str, tolerance: float, stage: int | None
) -> list[Problem]:
    """What is wrong with what was asked for."""
    problems, count = [], len(architecture.stages)
    if cost not in COUNTERS:
        problems.append(Problem("--cost", f"{shown(cost)} cannot be matched", one_of(sorted(COUNTERS), cost)))
    if not 0 < tolerance < 1:
        problems.append(Problem("--tolerance", f"{tolerance:g} is no share", "write 0.02 for 2 %"))
    if stage is not None and not 0 <= stage < count:
        problems.append(Problem("--stage", f"there is no stage {stage}", f"use one of 0 to {count - 1}"))
    return problems


def swapped(architecture: Architecture, index: int, kind: str, target: "Target", examples: Examples) -> Swap:
    """One stage as one other kind: the first form of it that can be matched, else the nearest there is."""
    forms = list(forms_of(architecture.stages[index], kind, examples.get((index, kind))))
    tried: list[Part] = []
    for form in by_depth(forms):
        if not tried and form.depth != forms[0].depth:  # type: ignore[attr-defined]  # every stage has it
            break  # what fits at no width fits at no other depth
        found = target.match(form)
        if found is not None and target.meets(found):
            return target.swap(kind, target.network(found), target.cost_of(found), changed(forms[0], found))
        tried += [found] if found is not None else []
    if not tried:
        problem = next(iter(target.network(forms[-1]).problems()), None)
        why = f": {problem.what}" if problem is not None else ", which would change the map behind it"
        return target.swap(kind, None, None, f"no {kind} can be built here{why}")
    cost = target.cost_of(min(tried, key=target.gap))
    note = (
        f"no {kind} is within {100 * target.tolerance:.3g} % of {target.amount:,} {OBJECTIVES[target.name].unit}: "
        f"the nearest has {cost:,}"
    )
    return target.swap(kind, None, cost, note)


def forms_of(stage: Part, kind: str, example: Part | None) -> Iterator[Part]:
    """How the kind may be written in the place of ``stage``, before any width is rescaled."""
    stays = {name: getattr(stage, name) for name in SHARED}
    if example is not None:
        yield example.model_copy(update=stays)
    spec = STAGE_KINDS[kind]
    alike = {n: getattr(stage, n) for n in spec.swap_rules.alike if n in stage.swap_rules.alike}
    plain = spec.model_validate({**stays, **alike, **spec.fields_at_stride(stays["stride"])})
    yield plain
    halved = spec.swap_rules.halved
    value: int = getattr(plain, halved) if halved is not None else 1
    while halved is not None and (value := value // 2) > 0:
        yield plain.model_copy(update={halved: value})


def changed(form: Part, found: Part) -> str:
    """What a match changed besides ``channels``, in words."""
    rules = found.swap_rules
    names = [name for name in ("depth", rules.halved, rules.inner_width) if name in found.active()]
    return ", ".join(
        f"{name} {getattr(found, name):.4g} instead of {getattr(form, name):.4g}"
        for name in names
        if getattr(found, name) != getattr(form, name)
    )


@dataclass(frozen=True)
class Target:
    """What a swap has to meet: ``amount`` of a cost, with one stage of ``architecture`` changed.

    ``arriving`` and ``leaving`` are the maps before and behind that stage, as it was.
    """

    architecture: Architecture
    index: int
    name: str
    amount: int
    tolerance: float
    arriving: FeatureShape
    leaving: FeatureShape

    @classmethod
    def of(cls, architecture: Architecture, index: int, cost: str, tolerance: float) -> "Target":
        """The cost that ``architecture`` has."""
        # The image's shape comes first, then the one behind the stem.
        arriving, leaving = architecture.shapes()[index + 1 : index + 3]
        return cls(architecture, index, cost, COUNTERS[cost](architecture), tolerance, arriving, leaving)

    def swap(self, kind: str, variant: Architecture | None, cost: int | None, note: str) -> Swap:
        """The result. The variant is read back from its description: it is what its file says."""
        text = variant.model_dump_json() if variant is not None else None
        whole = Architecture.model_validate_json(text) if text is not None else None
        return Swap(self.architecture, self.index, kind, whole, self.name, self.amount, cost, note)

    def network(self, stage: Part) -> Architecture:
        """The architecture with ``stage`` in the place."""
        stages = list(self.architecture.stages)
        stages[self.index] = stage  # type: ignore[call-overload]  # a stage of any kind
        return self.architecture.model_copy(update={"stages": tuple(stages)})

    def cost_of(self, stage: Part) -> int:
        """The cost of the whole network with ``stage`` in the place."""
        return COUNTERS[self.name](self.network(stage))

    def gap(self, stage: Part) -> float:
        """How far from equal, as a share of the cost."""
        return abs(self.cost_of(stage) - self.amount) / self.amount

    def meets(self, stage: Part) -> bool:
        """Whether that is near enough."""
        return self.gap(stage) <= self.tolerance

    def fits(self, stage: Part) -> bool:
        """Whether the network can be built, and the stage hands on a map of the same height and width."""
        if stage.problems(self.arriving) or self.network(stage).problems():
            return False
        now = stage.out_shape(self.arriving)
        return (now.height, now.width) == (self.leaving.height, self.leaving.width)

    def match(self, form: Part) -> Part | None:
        """The form at the widths that meet the cost, with the least changed; else the nearest; None if none fits."""
        widths = self.widths(form)
        plain = self.enclosing(widths)
        if near := [stage for stage in plain if self.meets(stage)]:
            return min(near, key=self.gap)
        inner = [
            s for base in beside(widths, plain) or [form] for s in self.enclosing(self.inner_widths(base))
        ]
        if near := [stage for stage in inner if self.meets(stage)]:
            return min(near, key=lambda stage: (distortion(form, stage), self.gap(stage)))
        return min([*plain, *inner], key=self.gap, default=None)

    def widths(self, form: Part) -> list[Part]:
        """The form at every width that fits, narrow to wide."""
        own: int = self.architecture.stages[self.index].channels
        wide = range(math.ceil(own / WIDEST), WIDEST * own + 1)
        return self.fitting(form, ({"channels": channels} for channels in wide))

    def inner_widths(self, form: Part) -> list[Part]:
        """The form at every inner width that fits, narrow to wide; none where it has no inner width."""
        name = inner_of(form)
        if name is None:
            return []
        channels, ratio = form.channels, getattr(form, name)  # type: ignore[attr-defined]  # every stage has them
        low, high = channels * ratio / INNER_WIDEST, channels * ratio * INNER_WIDEST
        inner = range(max(1, math.ceil(low)), math.floor(high) + 1)
        return self.fitting(form, ({name: width / channels} for width in inner))

    def fitting(self, form: Part, changes: Iterator[dict[str, Any]]) -> list[Part]:
        """The form with each of these changes, as far as there can be such a stage and it fits."""
        fields = form.model_dump()
        stages = (validated(type(form), {**fields, **change}) for change in changes)
        return [stage for stage in stages if stage is not None and self.fits(stage)]

    def enclosing(self, stages: list[Part]) -> list[Part]:
        """The two neighbours whose costs enclose the target, or the one at the nearer end.

        Costs rise along the list; they dip only where a width is that of a neighbour and a projection falls away,
        which can cost a match that is near by, and never makes a wrong one.
        """
        if not stages:
            return []
        last = len(stages) - 1
        known = {index: self.cost_of(stages[index]) for index in sorted({0, last // 2, last})}
        if known[0] >= self.amount or known[last] <= self.amount:
            return [stages[0 if known[0] >= self.amount else last]]
        low, high = 0, last
        while high - low > 1:
            guess = crossing(known, self.amount, low, high)
            known[guess] = self.cost_of(stages[guess])
            low, high = (guess, high) if known[guess] < self.amount else (low, guess)
        return stages[low : high + 1]


def crossing(known: Mapping[int, int], amount: int, low: int, high: int) -> int:
    """Where between ``low`` and ``high`` the cost passes ``amount``, by the parabola through three known costs.

    Costs of evenly spaced widths lie on one, so a few counts find the place; where they do not, halving does.
    """
    if len(known) > MOST_GUESSES:
        return (low + high) // 2
    near = sorted(known, key=lambda index: (abs(index - low) + abs(index - high), index))[:3]

    def parabola(x: int) -> float:
        others = {one: [other for other in near if other != one] for one in near}
        return sum(
            known[one] * math.prod((x - other) / (one - other) for other in rest)
            for one, rest in others.items()
        )

    inside = range(low + 1, high)
    return inside[min(bisect_left(inside, float(amount), key=parabola), len(inside) - 1)]


def by_depth(forms: Sequence[Part]) -> Iterator[Part]:
    """The forms at their own depth, then at others up to twice as deep, the nearest first."""
    own: int = forms[0].depth  # type: ignore[attr-defined]  # every stage has it
    for depth in sorted(range(1, 2 * own + 1), key=lambda depth: (abs(depth - own), depth)):
        yield from (form.model_copy(update={"depth": depth}) for form in forms)


def beside(stages: list[Part], some: list[Part]) -> list[Part]:
    """``some`` neighbours among ``stages``, and one more on either side."""
    if not some:
        return []
    first = stages.index(some[0])
    return stages[max(first - 1, 0) : first + len(some) + 1]


def validated(spec: type[Part], fields: Mapping[str, Any]) -> Part | None:
    """The stage with these fields; None if one is beyond its bounds."""
    try:
        return spec.model_validate(fields)
    except ValidationError:
        return None


def inner_of(stage: Part) -> str | None:
    """The field that sets the inner width, where the stage has one."""
    name = stage.swap_rules.inner_width
    return name if name in stage.active() else None


def distortion(form: Part, stage: Part) -> float:
    """How far the inner width is from the form's own ratio: the absolute logarithm of what it was multiplied by."""
    name = inner_of(form)
    return abs(math.log(getattr(stage, name) / getattr(form, name))) if name is not None else 0.0
