"""How to search: the study file, the space's own ``study:`` and the flags of ``archsearch run``, merged."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from archsearch.data.sources import forbids_mirroring
from archsearch.errors import Problem, StudyFileError, one_of, shown
from archsearch.objectives import COSTS, COUNTED, OBJECTIVES, measured_among
from archsearch.profiling.conditions import Conditions, Dtype, Mode, conditions_of
from archsearch.proxy.recipe import Recipe
from archsearch.search import SAMPLER_NAMES, SuccessiveHalving
from archsearch.space import Table, parse_count, plain, read_document
from archsearch.space.check_fields import field_problems
from archsearch.space.grammar import is_number

# A tuple: what stands in a file need not be hashable.
OBJECTIVE_NAMES = tuple(OBJECTIVES)

BUDGETS = (
    "trials",
    "fill_map",
    "finalists",
    "finalist_seeds",
    "finalist_samples",
    "realised",
    "latency_seconds",
    "candidate_seconds",
    "candidate_memory_mib",
)


def known_sampler(name: str) -> str:
    """The name, if it is one of ``search.samplers``."""
    if name not in SAMPLER_NAMES:
        raise PydanticCustomError("unknown_word", "use one of {known}", {"known": ", ".join(SAMPLER_NAMES)})
    return name


class StudyConfig(BaseModel):
    """A search, apart from its space: what is optimised, within what, with which budget.

    Attributes:
        data: ``digits``, a Parquet file, a folder, ``procedural:TASK``, or a hub name.
        recipe: how each candidate is trained.
        objectives: names with known unit and direction, the first an accuracy.
        limits: upper bounds on costs, in the unit of their name; added to the space's own.
        rungs: shares of the training at which a candidate is read on its way, rising; 0 to 1. They change
            nothing of the training itself; an interrupted one resumes from the last of them.
        scores: whether each candidate is scored before it is trained, to be held against its accuracy.
        reduction_factor: at each rung, one in so many candidates of a family continues, the others are stopped
            there; all continue if it is left out. See ``search.halving``.
        audit: share of the candidates that continues from a rung by chance; 0 to 1.
        trials: candidates to start; infeasible proposals cost nothing and do not count.
        fill_map: so many candidates more, aimed at cells of the map (globality, cost) that hold few or none.
        finalists: candidates of the Pareto front that are retrained at the end, from several seeds.
        finalist_seeds: how many seeds.
        finalist_samples: training images shown to each; as many as in the search if it is left out.
        realised: whether the globality of the winners is measured at the end; see ``study.measure_globality``.
        sampler: how candidates are proposed: a name of ``search.samplers``.
        seed: decides proposals, initial weights and the order of images.
        device: ``auto``, ``cpu`` or ``cuda:N``.
        threads: CPU threads of an operator in training; torch's own choice if it is left out.
        candidate_seconds: training that takes longer costs the candidate; s, no limit if it is left out.
        candidate_memory_mib: training that allocates more beside what is there costs the candidate; MiB.
        latency_batch: images in the batch whose latency is measured.
        latency_dtype: ``float32``, ``bfloat16`` or ``float16``.
        latency_mode: ``eager``, ``compiled`` or ``cuda_graph``; which it is moves ranks more than the GPU does.
        latency_seconds: repeats of a candidate's latency go on for this long at most, and are eleven at least; s.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    data: str = "digits"
    recipe: Recipe = Recipe()
    objectives: Annotated[tuple[str, ...], Field(min_length=1)] = ("top1", "latency_ms")
    limits: dict[str, float] = {}
    rungs: tuple[Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)], ...] = ()
    reduction_factor: Annotated[int, Field(ge=2, le=100)] | None = None
    audit: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.1
    scores: bool = True
    trials: Annotated[int, Field(ge=1, le=100_000)] = 24
    fill_map: Annotated[int, Field(ge=0, le=100_000)] = 0
    finalists: Annotated[int, Field(ge=0, le=1_000)] = 0
    finalist_seeds: Annotated[int, Field(ge=1, le=100)] = 3
    finalist_samples: Annotated[int, Field(ge=1)] | None = None
    realised: bool = True
    sampler: Annotated[str, AfterValidator(known_sampler)] = "auto"
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    device: str = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    candidate_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    candidate_memory_mib: Annotated[int, Field(ge=1)] | None = None
    latency_batch: Annotated[int, Field(ge=1, le=65_536)] = 1
    latency_dtype: Dtype = "float32"
    latency_mode: Mode = "eager"
    latency_seconds: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)] = 0.5

    def identity(self) -> dict[str, Any]:
        """What a run folder belongs to, as flat data: all but the budgets and the device.

        Budgets say how much is known, not what is asked.
        """
        settings = self.model_dump(mode="json", exclude={*BUDGETS, "device", "recipe"})
        recipe = {f"recipe.{name}": value for name, value in self.recipe.model_dump(mode="json").items()}
        return {**settings, **recipe}

    def conditions(self, device: torch.device) -> Conditions:
        """Under which latency is measured on ``device``."""
        return conditions_of(
            device, batch_size=self.latency_batch, dtype=self.latency_dtype, mode=self.latency_mode
        )

    @property
    def measured(self) -> list[str]:
        """The objectives and limits that can be compared on devices of one kind only."""
        return measured_among((*self.objectives, *self.limits))

    @property
    def slots(self) -> int:
        """Candidates to start in all."""
        return self.trials + self.fill_map

    @property
    def promotes(self) -> bool:
        """Whether candidates are stopped at rungs."""
        return self.reduction_factor is not None

    @property
    def halving(self) -> SuccessiveHalving | None:
        """Which candidates continue from a rung; None if all do."""
        if self.reduction_factor is None:
            return None
        return SuccessiveHalving(self.rungs, self.reduction_factor, self.audit, self.seed)

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits of the identity."""
        text = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def load_study(
    inline: Table | None,
    source: str,
    file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    command: str = "archsearch run",
) -> StudyConfig:
    """Merge the space's ``study:``, a study file and the flags of ``command``; a later one beats an earlier one.

    Raises:
        StudyFileError: with every problem of the first source that has any.
    """
    settings: dict[str, Any] = {}
    origin = Origin(source, inline, "study")
    if inline is not None:
        settings = read_settings(plain(inline), origin)
    if file is not None:
        document = read_document(file, StudyFileError)
        origin = Origin(str(file), document, "")
        settings = merged(settings, read_settings(plain(document), origin))
    if flags:
        origin = Origin(command, None, "")
        settings = merged(settings, read_settings(flags, origin))
    return whole(settings, origin)


@dataclass(frozen=True)
class Origin:
    """Where settings were written: a file and its content, under ``prefix`` there; no content for flags."""

    source: str
    table: Table | None
    prefix: str

    def error(self, problems: Iterable[Problem]) -> StudyFileError:
        """The problems, placed."""
        return StudyFileError(self.source, [self.placed(problem) for problem in problems])

    def placed(self, problem: Problem) -> Problem:
        """The problem with the line of its key, or as a flag: ``--samples`` for ``recipe.samples``."""
        if self.table is None:
            return replace(problem, key=f"--{problem.key.rpartition('.')[2]}")
        first, _, second = problem.key.partition(".")
        inner = self.table.entries.get(first)
        line = self.table.key_lines.get(first, self.table.line)
        if isinstance(inner, Table):
            line = inner.key_lines.get(second.split(".")[0], line)
        return replace(problem.under(self.prefix), line=line)


def whole(settings: Mapping[str, Any], origin: Origin) -> StudyConfig:
    """The merged settings as one description; ``origin`` had the last word."""
    recipe = settings.get("recipe", {})
    samples, batch = (recipe.get(n, Recipe.model_fields[n].default) for n in ("samples", "batch_size"))
    if samples < batch:
        what = f"{samples} samples are less than one batch of {batch}"
        raise origin.error([Problem("recipe.samples", what, f"write at least {batch}")])
    config = StudyConfig.model_validate({**settings, "recipe": Recipe.model_validate(recipe)})
    if config.recipe.flip and forbids_mirroring(config.data):
        what = f"a mirrored image of {config.data} belongs to another class, or to none"
        raise origin.error([Problem("recipe.flip", what, "write flip: false")])
    if config.rungs and config.rungs[0] < config.recipe.warmup:
        what = f"{config.rungs[0]:g} lies inside the warm-up of {config.recipe.warmup:g}"
        raise origin.error([Problem("rungs", what, "write later rungs, or a shorter recipe.warmup")])
    if config.promotes and not config.rungs:
        what = "there is no rung at which candidates could be stopped"
        raise origin.error([Problem("reduction_factor", what, "write rungs: [0.11, 0.33], or leave it out")])
    return config


def merged(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """``later`` over ``earlier``, inside ``recipe`` and ``limits`` key by key."""
    result = {**earlier, **later}
    for inner in ("recipe", "limits"):
        if inner in earlier and inner in later:
            result[inner] = {**earlier[inner], **later[inner]}
    return result


def read_settings(written: Any, origin: Origin) -> dict[str, Any]:
    """The settings of a mapping, which one file or the flags have written, each checked on its own."""
    settings = {key: frozen(value) for key, value in written.items()}
    problems = setting_problems(settings)
    if problems:
        raise origin.error(problems)
    if "limits" in settings:
        settings["limits"] = {name: read_limit(name, value) for name, value in settings["limits"].items()}
    return settings


def setting_problems(settings: Mapping[str, Any]) -> list[Problem]:
    """Unknown keys and impossible values, the inner mappings included."""
    others = {"recipe", "limits", "objectives"} | (
        {"rungs"} if not isinstance(settings.get("rungs", ()), tuple) else set()
    )
    plain_ones = {name: (name, value) for name, value in settings.items() if name not in others}
    problems = list(field_problems(StudyConfig, plain_ones, {}, "a study"))
    problems += recipe_problems(settings.get("recipe", {}))
    problems += rung_problems(settings.get("rungs", ()))
    problems += objective_problems(settings.get("objectives", ("top1",)))
    return problems + limit_problems(settings.get("limits", {}))


def recipe_problems(recipe: object) -> list[Problem]:
    """What is wrong with the recipe."""
    if not isinstance(recipe, dict):
        return [Problem("recipe", f"{shown(recipe)} is no mapping", "write {samples: 8192}")]
    fields = {name: (f"recipe.{name}", value) for name, value in recipe.items()}
    return list(field_problems(Recipe, fields, {}, "a recipe"))


def rung_problems(rungs: object) -> list[Problem]:
    """A list in which each rung lies above the one before."""
    if not isinstance(rungs, tuple):
        return [Problem("rungs", f"{shown(rungs)} is no list", "write [0.11, 0.33]")]
    numbers = rungs if all(is_number(rung) for rung in rungs) else ()
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        return [Problem("rungs", "the shares do not rise", f"write {sorted(set(numbers))}")]
    return []


def objective_problems(objectives: object) -> list[Problem]:
    """Known names, each once, an accuracy among them."""
    if not isinstance(objectives, tuple) or not objectives:
        return [Problem("objectives", f"{shown(objectives)} is no list of names", "write [top1, latency_ms]")]
    problems = [
        Problem("objectives", f"{shown(name)} is no objective", one_of(OBJECTIVE_NAMES, str(name)))
        for name in objectives
        if name not in OBJECTIVE_NAMES
    ]
    if not problems and len(set(objectives)) < len(objectives):
        problems.append(Problem("objectives", "a name stands twice", "write each objective once"))
    if not problems and objectives[0] != "top1":
        problems.append(Problem("objectives", "the first objective is not top1", "write top1 first"))
    return problems


def limit_problems(limits: object) -> list[Problem]:
    """Known costs, bounds above 0."""
    if not isinstance(limits, dict):
        return [Problem("limits", f"{shown(limits)} is no mapping", "write {latency_ms: 5}")]
    problems = []
    for name, value in limits.items():
        if name not in COSTS:
            problems.append(Problem(f"limits.{name}", "is no limit of a study", one_of(COSTS, name)))
        elif read_limit(name, value) is None:
            problems.append(
                Problem(f"limits.{name}", f"{shown(value)} is no amount above 0", "write a number")
            )
    return problems


def read_limit(name: str, value: Any) -> float | None:
    """A bound as a number; counts may be written as ``5M``."""
    if name in COUNTED:
        count = parse_count(value)
        return None if count is None else float(count)
    return float(value) if is_number(value) and value > 0 else None


def frozen(value: object) -> Any:
    """Lists as tuples, the way descriptions hold them."""
    if isinstance(value, list):
        return tuple(frozen(item) for item in value)
    return value
