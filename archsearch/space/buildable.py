"""Options and alternatives from which nothing can ever be built, found by arithmetic at loading.

The maps that can arrive at each part are carried from the image on. What fails with every combination
of the other fields and every arriving map is an error in the file; what fails with some is not: such
points are left out when the space is drawn from.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

from archsearch.errors import Problem
from archsearch.shapes import FeatureShape
from archsearch.space.grammar import Choice, Field, PartSpace, Reference, Value, count_of, label, values_of
from archsearch.space.space import Space
from archsearch.stages import HEAD_READS, STAGE_KINDS, kinds_with

# Beyond this many combinations of one alternative and the maps that arrive, nothing is claimed.
MAX_COMBINATIONS = 50_000


@dataclass
class Findings:
    """Which options work, and which fail, over the combinations of one alternative."""

    leaving: set[FeatureShape] = field(default_factory=set)
    working: set[tuple[str, str]] = field(default_factory=set)
    failing: dict[tuple[str, str], Problem] = field(default_factory=dict)

    def note(self, values: Mapping[str, Value], problems: list[Problem], shape: FeatureShape | None) -> None:
        """One combination: every option in it works, or has failed once more."""
        for name, value in values.items():
            option = (name, str(label(value)))
            if shape is not None:
                self.working.add(option)
            else:
                self.failing.setdefault(option, blamed(name, problems))
        if shape is not None:
            self.leaving.add(shape)


def dead_ends(space: Space) -> list[Problem]:
    """Every option that no buildable network has, placed; ``[]`` for a space without any."""
    problems = list(head_problems(space))
    arriving = {space.image.shape}
    for part in space.parts:
        if any(too_many(part, kind, space.params, arriving) for kind in part.alternatives):
            break
        leaving: set[FeatureShape] = set()
        found = {kind: explore(part, kind, space.params, arriving) for kind in part.alternatives}
        works = {option for findings in found.values() for option in findings.working}
        for kind, findings in found.items():
            problems += unused(part, kind, findings, works)
            leaving |= findings.leaving
        arriving = leaving
    return list(dict.fromkeys(problems))


def too_many(part: PartSpace, kind: str, params: Mapping[str, Field], arriving: set[FeatureShape]) -> bool:
    """Whether this alternative has more combinations than are looked at."""
    counts = (count_of(value, params) for _, _, value in part.fields(kind))
    return prod(counts) * len(arriving) > MAX_COMBINATIONS


def explore(part: PartSpace, kind: str, params: Mapping[str, Field], arriving: set[FeatureShape]) -> Findings:
    """Every combination of one alternative's fields with every map that may arrive."""
    findings = Findings()
    spec = part.kinds[kind]
    for values in combinations(part, kind, params):
        described = spec.model_construct(**values)
        for shape in arriving:
            problems = described.problems(shape)
            findings.note(values, problems, None if problems else described.out_shape(shape))
    return findings


def combinations(part: PartSpace, kind: str, params: Mapping[str, Field]) -> Iterator[dict[str, Any]]:
    """All settings of one alternative's fields; a parameter of ``params`` is taken as free in each."""
    fields = list(part.fields(kind))
    for values in product(*(list(values_of(value, params)) for _, _, value in fields)):
        yield {name: value for (name, _, _), value in zip(fields, values, strict=True)}


def unused(part: PartSpace, kind: str, findings: Findings, works: set[tuple[str, str]]) -> Iterator[Problem]:
    """The alternative as a whole if nothing in it works, else each option that never does.

    An option of a shared field is only unused if it is in ``works`` for no alternative.
    """
    prefix = f"{part.path}.{kind}" if part.kind_is_open else part.path
    if not findings.working:
        # Nothing arrives behind a part that cannot be built: it alone is reported.
        for problem in dict.fromkeys(findings.failing.values()):
            shared = problem.key.split(".")[0] in part.shared
            yield problem.under(part.path if shared else prefix)
        return
    for name, path, content in part.fields(kind):
        useful = works if name in part.shared else findings.working
        for (failing, option), problem in findings.failing.items():
            if failing == name and (name, option) not in useful and isinstance(content, Choice | Reference):
                what = f"the option {option} can never be built: {problem.what}"
                yield Problem(path, what, problem.remedy)


def blamed(name: str, problems: list[Problem]) -> Problem:
    """The problem that names this field, else the first one."""
    return next((problem for problem in problems if problem.key.split(".")[0] == name), problems[0])


def head_problems(space: Space) -> Iterator[Problem]:
    """A head needs a last stage that may carry the tokens which it reads; other stages must not."""
    last = space.stages[-1]
    pools = list(values_of(space.head.get("pool", "mean"), space.params))
    for pool, token in HEAD_READS.items():
        if pool in pools and not any(may_carry(space, last, kind, token) for kind in last.alternatives):
            what = f"no last stage of this space carries a {token.replace('_', ' ')}"
            remedy = f"write pool: mean, or let the last stage be {kinds_with(token)} with {token}: true"
            yield Problem("head.pool", what, remedy)
    for stage in space.stages[:-1]:
        for kind in stage.alternatives:
            for name, path, content in stage.fields(kind):
                if name in STAGE_KINDS[kind].token_fields and True in values_of(content, space.params):
                    what = "a stage follows that has no use for it"
                    yield Problem(path, what, "write it in the last stage only")


def may_carry(space: Space, stage: PartSpace, kind: str, token: str) -> bool:
    """Whether this alternative can have a token of its own of this name."""
    contents = (content for name, _, content in stage.fields(kind) if name == token)
    return any(True in values_of(content, space.params) for content in contents)
