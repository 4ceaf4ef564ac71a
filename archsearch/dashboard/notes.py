"""What the dashboard shows as notes, in Markdown: a trial with its architecture, and the study with its outcomes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from optuna.trial import FrozenTrial

from archsearch.errors import ArchsearchError
from archsearch.formatting import amount
from archsearch.objectives import OBJECTIVES
from archsearch.results.parts import architecture_table, markdown_rows
from archsearch.storage.trial_record import ALWAYS_RECORDED

# ``COMPLETE``, ``PRUNED`` and ``FAIL`` are Optuna's words; these are ours, and what they mean.
MEANINGS = {
    "trained": "trained to the end",
    "infeasible": "over a limit: never trained, no values",
    "stopped": "stopped at a rung, where others continued: no values",
    "paused": "evaluated at a rung; it may continue",
    "running": "a worker trains it",
    "failed": "ended in an error, and used up its slot",
    "interrupted": "its process was stopped; the slot is run again",
}
WHERE = (
    "On the first page, below its timeline: the **Pareto front**, and the **map** of globality against cost. Each trial "
    "has its drawing, its parts and its limits as a note, and its files as artifacts."
)
# Counts stand in the line before them.
FIGURES = tuple(name for name, objective in OBJECTIVES.items() if not objective.counted)


def trial_note(study_id: int, trial: FrozenTrial) -> str:
    """What one trial is: what became of it, its drawing, its parts, and how far it is from each limit."""
    if any(name not in trial.user_attrs for name in ALWAYS_RECORDED):
        return "no architecture is recorded"
    address = f"/artifacts/{study_id}/{trial._trial_id}/{trial.user_attrs['architecture']}-d0"  # noqa: SLF001 - addresses have it
    parts = describe_parts(trial.user_attrs["description"])
    return "\n\n".join([*facts(trial), f"![drawing]({address})", parts, *limits(trial)])


def facts(trial: FrozenTrial) -> Iterator[str]:
    """Identity, outcome and the figures that are known."""
    known: Mapping[str, Any] = trial.user_attrs
    named = f" ({inline(known['reference'])})" if known.get("reference") else ""
    yield (
        f"**{known['layout']}**{named}, {known['family']}, globality {known['globality']:.3f}, "
        f"{amount(known['macs'])} MACs, {amount(known['params'])} parameters, id {known['architecture']}"
    )
    outcome = outcome_of(trial)
    figures = [f"{name} {known[name]:.4g}" for name in FIGURES if known.get(name) is not None]
    yield f"**{outcome}** ({MEANINGS[outcome]})" + "".join(f", {figure}" for figure in figures)
    if known.get("error"):
        yield f"error: {inline(known['error'])}"


def outcome_of(trial: FrozenTrial) -> str:
    """What became of it; ``running`` until it has ended or paused."""
    outcome = str(trial.user_attrs.get("outcome", "running"))
    return outcome if trial.state.is_finished() or outcome == "paused" else "running"


@lru_cache(maxsize=16_384)
def describe_parts(description: str) -> str:
    """The parts; or why an architecture of another version cannot be read."""
    try:
        return widen(architecture_table(description).splitlines())
    except (ValueError, ArchsearchError) as error:
        return f"this version cannot read the architecture: {inline(str(error).splitlines()[0])}"


def limits(trial: FrozenTrial) -> Iterator[str]:
    """How far each limited cost is above its limit, with its sign: +1.2M, -0.4."""
    if trial.constraints:
        rows = [
            (name, f"{'+' if over > 0 else '-'}{amount(abs(over))}", "over" if over > 0 else "within")
            for name, over in trial.constraints.items()
        ]
        yield widen(markdown_rows([("limit", "cost minus limit", ""), ("---", "---:", "---"), *rows]))


def widen(lines: Iterable[str]) -> str:
    """A Markdown table whose cells end in a wide space, for the page sets no space between them."""
    head, rule, *body = (line.replace(" |", "\u2003 |") for line in lines)
    return "\n".join([head, rule.replace("\u2003", ""), *body])


def inline(text: object) -> str:
    """Text as it stands, whatever it contains: as Markdown's code."""
    return "`" + str(text).replace("`", "'").replace("\n", " ") + "`"


def study_note(name: str, objectives: Sequence[str], trials: Sequence[FrozenTrial], *, writable: bool) -> str:
    """What the run searched for, how many trials had which outcome, and where to find our figures."""
    counts = Counter(map(outcome_of, trials))
    rows = [(outcome, str(counts[outcome]), MEANINGS[outcome]) for outcome in MEANINGS if counts[outcome]]
    return "\n\n".join(
        [
            f"**{inline(name)}** searched for {', '.join(objectives)}",
            widen(markdown_rows([("outcome", "trials", "meaning"), ("---", "---:", "---"), *rows])),
            WHERE,
            f"{'Changes are written into' if writable else 'Read-only: nothing here changes'} the record.",
        ]
    )
