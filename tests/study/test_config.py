"""How a search is described: in the space, in a study file, by flags; the later one wins, and all are checked."""

import pytest
import torch
from table_search import SIX

from archsearch.errors import StudyFileError
from archsearch.objectives import COSTS, OBJECTIVES
from archsearch.profiling import conditions_of
from archsearch.proxy import Recipe
from archsearch.search import SAMPLER_NAMES
from archsearch.space import load_space
from archsearch.study.config import StudyConfig, load_study

CPU = torch.device("cpu")
STUDY_LINE = SIX.count("\n") + 1


@pytest.fixture
def study_of(tmp_path):
    """The study that the space's ``study:``, a study file and flags make together."""

    def loaded(inline="", file=None, flags=None):
        space_file, study_file = tmp_path / "space.yaml", tmp_path / "study.yaml"
        space_file.write_text(SIX + (f"study: {inline}\n" if inline else ""))
        if file is not None:
            study_file.write_text(file)
        space = load_space(space_file)
        return load_study(space.study, "space.yaml", study_file if file is not None else None, flags)

    return loaded


@pytest.fixture
def refusal_of(study_of, tmp_path):
    """The lines with which a study is refused."""

    def refusal(inline="", file=None, flags=None):
        with pytest.raises(StudyFileError) as caught:
            study_of(inline, file, flags)
        return [line.replace(f"{tmp_path}/", "") for line in caught.value.lines()]

    return refusal


def test_nothing_written_is_every_default(study_of):
    assert study_of() == StudyConfig()


def test_the_defaults_are_accuracy_against_latency_on_digits():
    config = StudyConfig()

    assert (config.data, config.objectives, config.trials) == ("digits", ("top1", "latency_ms"), 24)
    assert (config.sampler, config.seed, config.device, config.limits) == ("auto", 0, "auto", {})


def test_the_space_has_its_own_study(study_of):
    assert study_of("{trials: 3, seed: 7}") == StudyConfig(trials=3, seed=7)


def test_a_study_file_beats_the_space(study_of):
    assert study_of("{trials: 3, seed: 7}", "trials: 5\n") == StudyConfig(trials=5, seed=7)


def test_a_flag_beats_both(study_of):
    study = study_of("{trials: 3, seed: 7}", "trials: 5\ndata: a\n", {"trials": 9})

    assert study == StudyConfig(trials=9, seed=7, data="a")


def test_recipes_are_merged_key_by_key(study_of):
    study = study_of(
        "{recipe: {samples: 256, crop: 1, seed: 3}}",
        "recipe: {samples: 512, crop: 0}\n",
        {"recipe": {"samples": 128}},
    )

    assert study.recipe == Recipe(samples=128, crop=0, seed=3)


def test_limits_are_merged_key_by_key(study_of):
    study = study_of("{limits: {macs: 5M, latency_ms: 3}}", "limits: {latency_ms: 2.5, params: 20k}\n")

    assert study.limits == {"macs": 5_000_000, "latency_ms": 2.5, "params": 20_000}


def test_objectives_are_replaced_and_not_merged(study_of):
    assert study_of("{objectives: [top1, macs]}", "objectives: [top1]\n").objectives == ("top1",)


@pytest.mark.parametrize(
    ("written", "number"), [("5M", 5_000_000), ("1.5k", 1_500), ("20G", 20_000_000_000), ("7", 7)]
)
def test_limits_on_counts_may_be_written_with_a_letter(study_of, written, number):
    assert study_of(f"{{limits: {{macs: {written}}}}}").limits == {"macs": number}


BAD = {
    "an unknown key": (
        "trils: 3",
        (
            "trils: a study has no such field; did you mean trials? (known: data, recipe, objectives, limits, "
            "rungs, reduction_factor, audit, scores, trials, fill_map, finalists, finalist_seeds, finalist_samples, "
            "realised, sampler, seed, device, threads, candidate_seconds, candidate_memory_mib, latency_batch, latency_dtype, latency_mode, latency_seconds)"
        ),
    ),
    "text for a number": ('trials: "8"', "trials: 8 is text; write an integer"),
    "half a trial": ("trials: 2.5", "trials: 2.5 is a decimal number; write an integer"),
    "no trial": ("trials: 0", "trials: 0 is too small; write at least 1"),
    "a negative seed": ("seed: -1", "seed: -1 is too small; write at least 0"),
    "truth for a seed": ("seed: true", "seed: True is a truth value; write an integer"),
    "a number for data": ("data: 5", "data: 5 is an integer; write a word"),
    "an unknown sampler": (
        "sampler: tpee",
        f"sampler: tpee is unknown; did you mean tpe? (known: {', '.join(SAMPLER_NAMES)})",
    ),
    "an empty batch": ("latency_batch: 0", "latency_batch: 0 is too small; write at least 1"),
    "an unknown type of numbers": (
        "latency_dtype: float64",
        "latency_dtype: float64 is unknown; did you mean float16? (known: float32, bfloat16, float16)",
    ),
    "no time for a latency": (
        "latency_seconds: 0",
        "latency_seconds: 0 is too small; write more than 0",
    ),
    "a quarter of an hour for a latency": (
        "latency_seconds: 900.0",
        "latency_seconds: 900.0 is too large; write at most 600",
    ),
    "an unknown way to run": (
        "latency_mode: graph",
        "latency_mode: graph is unknown; did you mean cuda_graph? (known: eager, compiled, cuda_graph)",
    ),
    "no accuracy": ("objectives: [macs]", "objectives: the first objective is not top1; write top1 first"),
    "accuracy second": (
        "objectives: [macs, top1]",
        "objectives: the first objective is not top1; write top1 first",
    ),
    "an objective twice": (
        "objectives: [top1, top1]",
        "objectives: a name stands twice; write each objective once",
    ),
    "an unknown objective": (
        "objectives: [top1, latency]",
        (f"objectives: latency is no objective; did you mean latency_ms? (known: {', '.join(OBJECTIVES)})"),
    ),
    "one objective without a list": (
        "objectives: top1",
        "objectives: top1 is no list of names; write [top1, latency_ms]",
    ),
    "no objective": ("objectives: []", "objectives: () is no list of names; write [top1, latency_ms]"),
    "an unknown limit": (
        "limits: {flops: 3}",
        f"limits.flops: is no limit of a study; use one of {', '.join(COSTS)}",
    ),
    "a limit on accuracy": (
        "limits: {top1: 0.5}",
        f"limits.top1: is no limit of a study; use one of {', '.join(COSTS)}",
    ),
    "a limit of nothing": (
        "limits: {latency_ms: 0}",
        "limits.latency_ms: 0 is no amount above 0; write a number",
    ),
    "millions of milliseconds": (
        "limits: {latency_ms: 5M}",
        "limits.latency_ms: 5M is no amount above 0; write a number",
    ),
    "limits without names": ("limits: 3", "limits: 3 is no mapping; write {latency_ms: 5}"),
    "a recipe without names": ("recipe: 3", "recipe: 3 is no mapping; write {samples: 8192}"),
    "an unknown key of the recipe": (
        "recipe: {crops: 3}",
        (
            "recipe.crops: a recipe has no such field; did you mean crop? (known: samples, batch_size, "
            "learning_rate, schedule, decay, weight_decay, warmup, label_smoothing, flip, crop, cutout, ema, "
            "validation_images, seed)"
        ),
    ),
    "text in the recipe": ("recipe: {samples: abc}", "recipe.samples: abc is text; write an integer"),
    "less than a batch": (
        "recipe: {samples: 100, batch_size: 128}",
        "recipe.samples: 100 samples are less than one batch of 128; write at least 128",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_setting_is_refused_with_its_place_and_a_remedy(refusal_of, name):
    written, message = BAD[name]

    assert refusal_of(file=f"# a study\n{written}\n") == [f"study.yaml:2: {message}"]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_setting_in_the_space_is_placed_in_the_space(refusal_of, name):
    written, message = BAD[name]

    assert refusal_of(f"{{{written}}}") == [f"space.yaml:{STUDY_LINE}: study.{message}"]


def test_a_bound_that_is_itself_too_large_is_reported_as_a_bound(refusal_of):
    lines = refusal_of(file="recipe: {warmup: 1.0}\n")

    assert lines == ["study.yaml:1: recipe.warmup: 1.0 is too large; write less than 1"]


def test_settings_inside_the_recipe_and_the_limits_have_their_own_lines(refusal_of):
    lines = refusal_of(file="trials: 4\nrecipe:\n  crop: 0\n  sample: 3\nlimits:\n  flops: 3\n")

    assert [line.split(": ")[0:2] for line in lines] == [
        ["study.yaml:4", "recipe.sample"],
        ["study.yaml:6", "limits.flops"],
    ]


def test_all_problems_of_a_study_are_reported_at_once(refusal_of):
    lines = refusal_of(file="trials: 0\nseed: -1\nsampler: grid\n")

    assert [line.split(": ")[1] for line in lines] == ["trials", "seed", "sampler"]


def test_problems_of_flags_bear_the_names_of_flags(refusal_of):
    lines = refusal_of(flags={"trials": 0, "seed": -1, "recipe": {"samples": 1}})

    assert lines == [
        "archsearch run: --trials: 0 is too small; write at least 1",
        "archsearch run: --seed: -1 is too small; write at least 0",
        "archsearch run: --samples: 1 is too small; write at least 2",
    ]


def test_a_study_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StudyFileError, match=r"gone\.yaml"):
        load_study(None, "space.yaml", tmp_path / "gone.yaml")


def test_an_objective_that_is_no_word_is_refused(refusal_of):
    lines = refusal_of(file="objectives: [{top1: 1}]\n")

    assert lines[0].startswith("study.yaml:1: objectives: ")


def test_samples_of_one_source_are_held_against_the_batch_of_another(refusal_of):
    lines = refusal_of("{recipe: {batch_size: 1024}}", flags={"recipe": {"samples": 1000}})

    assert len(lines) == 1
    assert "1000 samples are less than one batch of 1024" in lines[0]


def test_samples_that_fit_the_batch_of_another_source_are_taken(study_of):
    study = study_of("{recipe: {samples: 8, batch_size: 4}}", flags={"recipe": {"samples": 4}})

    assert study.recipe == Recipe(samples=4, batch_size=4)


def test_a_batch_that_fits_the_samples_of_another_source_is_taken(study_of):
    study = study_of("{recipe: {samples: 16384}}", "recipe: {batch_size: 16384}\n")

    assert study.recipe == Recipe(samples=16384, batch_size=16384)


@pytest.mark.parametrize(
    "free", [{"trials": 99}, {"latency_seconds": 0.1}, {"realised": False}, {"device": "cpu"}]
)
def test_budgets_and_the_device_are_no_part_of_the_identity(free):
    assert StudyConfig(**free).fingerprint == StudyConfig().fingerprint


CHANGES = {
    "data": {"data": "faces"},
    "recipe": {"recipe": Recipe(crop=0)},
    "recipe seed": {"recipe": Recipe(seed=1)},
    "objectives": {"objectives": ("top1", "macs")},
    "order of objectives": {"objectives": ("top1", "macs", "latency_ms")},
    "another order of objectives": {"objectives": ("top1", "latency_ms", "macs")},
    "limits": {"limits": {"latency_ms": 5.0}},
    "a tighter limit": {"limits": {"latency_ms": 4.0}},
    "sampler": {"sampler": "random"},
    "seed": {"seed": 1},
    "latency batch": {"latency_batch": 8},
    "latency dtype": {"latency_dtype": "bfloat16"},
    "latency mode": {"latency_mode": "compiled"},
}


def test_everything_else_is_part_of_the_identity():
    fingerprints = {StudyConfig(**change).fingerprint for change in CHANGES.values()}

    assert len(fingerprints | {StudyConfig().fingerprint}) == len(CHANGES) + 1


def test_latency_is_measured_as_the_study_says_else_as_anywhere():
    config = StudyConfig(latency_batch=8, latency_dtype="bfloat16", latency_mode="compiled")

    assert StudyConfig().conditions(CPU) == conditions_of(CPU)
    assert config.conditions(CPU) == conditions_of(CPU, batch_size=8, dtype="bfloat16", mode="compiled")


def test_the_identity_is_flat():
    identity = StudyConfig().identity()

    assert identity["recipe.samples"] == 8192
    assert not {"recipe", "trials", "latency_seconds", "device"} & identity.keys()


@pytest.mark.parametrize("data", ["digits", "procedural:layout,size=32"])
def test_images_that_a_mirror_changes_are_not_mirrored(refusal_of, data):
    said = f"study.yaml:2: recipe.flip: a mirrored image of {data} belongs to another class, or to none; write flip: false"

    assert refusal_of(file=f"data: {data}\nrecipe: {{flip: true}}\n") == [said]


def test_a_flag_is_refused_under_the_name_of_its_command():
    with pytest.raises(StudyFileError) as refusal:
        load_study(None, "space.yaml", flags={"threads": 0}, command="archsearch train")

    assert str(refusal.value).startswith("archsearch train: --threads: ")
