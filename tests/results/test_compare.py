"""Runs against each other: costs and indicators by hand on made-up runs, then on real searches."""

import json
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsearch.api import run_study
from archsearch.errors import EnvironmentFaultError, InputError
from archsearch.plots.comparison import comparison_figure
from archsearch.plots.style import save_figure
from archsearch.results import Run, compare, load_run
from archsearch.results.compare import SAME, SAME_MEASURED, add_spent, comparison_lines
from archsearch.results.trials import columns, dtypes
from archsearch.space import load_space
from archsearch.study.config import StudyConfig

MIDNIGHT = pd.Timestamp("2026-01-01")
IDENTITY = {
    "space": "tiny",
    "space_fingerprint": "aaaaaaaaaaaa",
    "data": "digits",
    "data_fingerprint": "bbbbbbbbbbbb",
    "recipe.validation_images": 64,
    "device": "one",
    "latency_batch": 1,
    "latency_dtype": "float32",
    "latency_mode": "eager",
    "seed": 0,
}
# Errors 0.5, 0.25 and 0, log10 MACs 6, 7 and 8: in units of the ranges (1, 0), (0.5, 0.5) and (0, 1).
SMALL, MIDDLE, LARGE = (0.5, 1e6), (0.75, 1e7), (1.0, 1e8)
# Alone and together, of a space that is 1.1 x 1.1 such units.
OF_SMALL, OF_LARGE, OF_MIDDLE = 0.11 / 1.21, 0.11 / 1.21, 0.36 / 1.21
OF_ALL = (0.05 + 0.3 + 0.11) / 1.21


def trial(point=None, *, samples=100, seconds=10.0, **fields):
    """A trial as the table has it; trained if it has a point."""
    usual = {"outcome": "trained", "state": "COMPLETE", "samples": samples, "seconds": seconds}
    values = {} if point is None else {"top1": point[0], "macs": point[1], "architecture": f"{point[1]:.0f}"}
    return {**usual, **values, **fields}


def table_of(*rows):
    """Trials one after the other, numbered from 0, unless they say otherwise."""
    clock, full = 0.0, []
    for number, row in enumerate(rows):
        full.append({"number": number, "started": MIDNIGHT + pd.Timedelta(seconds=clock), **row})
        clock += row["seconds"] or 0
    return pd.DataFrame(full, columns=columns(full)).astype(dtypes())


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A run out of trials, of which only the manifest is on the disk."""

    def make(*rows, objectives=("top1", "macs"), **identity):
        folder = tmp_path_factory.mktemp("made")
        (folder / "run.json").write_text(json.dumps({"identity": {**IDENTITY, **identity}}))
        return Run(folder, objectives, table_of(*rows), pd.DataFrame(), {})

    return make


def refusal(runs):
    with pytest.raises(InputError) as caught:
        compare(runs)
    return caught.value.lines()


# ---- what a search has cost


def sums(*rows):
    ended = add_spent(table_of(*rows))
    return list(zip(ended["trials"], ended["samples"], ended["seconds"], strict=True))


def test_costs_are_summed_from_trial_to_trial():
    assert sums(trial(SMALL), trial(LARGE, samples=50, seconds=5.0)) == [(1, 100, 10.0), (2, 150, 15.0)]


def test_a_failed_trial_costs_what_it_has():
    failed = trial(outcome="failed", state="FAIL", samples=None, seconds=4.0)

    assert sums(failed, trial(SMALL)) == [(1, 0, 4.0), (2, 100, 14.0)]


def test_a_trial_that_was_stopped_costs_the_samples_of_its_last_rung():
    rungs = {"rung_1_samples": 11.0, "rung_2_samples": 33.0}
    stopped = trial(outcome="infeasible", state="PRUNED", samples=None, seconds=3.0, **rungs)

    assert sums(stopped, trial(SMALL, **rungs)) == [(1, 33, 3.0), (2, 133, 13.0)]


def test_a_trial_that_never_reached_the_second_rung_costs_the_first():
    stopped = trial(outcome="failed", state="FAIL", samples=None, rung_1_samples=11.0)

    assert sums(stopped, trial(SMALL, rung_2_samples=33.0))[0] == (1, 11, 10.0)


def test_a_trial_without_seconds_costs_its_known_parts():
    infeasible = trial(
        outcome="infeasible",
        state="PRUNED",
        samples=None,
        seconds=None,
        profile_seconds=0.5,
        train_seconds=1.0,
    )

    assert sums(infeasible, trial(SMALL)) == [(1, 0, 1.5), (2, 100, 11.5)]


def test_a_trial_that_is_going_on_is_not_counted():
    going_on = trial(outcome=None, state="RUNNING", samples=None, seconds=None)

    assert sums(trial(SMALL), going_on) == [(1, 100, 10.0)]


def test_trials_count_in_the_order_of_their_ends():
    slow = trial(SMALL, seconds=9.0, started=MIDNIGHT)
    quick = trial(LARGE, seconds=2.0, samples=7, started=MIDNIGHT + pd.Timedelta(seconds=1))

    assert list(add_spent(table_of(slow, quick))["number"]) == [1, 0]
    assert sums(slow, quick) == [(1, 7, 2.0), (2, 107, 11.0)]


def test_where_something_stood_in_for_training_nobody_knows_the_samples():
    known = sums(trial(SMALL), trial(LARGE, samples=None), trial(MIDDLE))

    assert [pd.isna(samples) for _, samples, _ in known] == [False, True, True]
    assert [seconds for *_, seconds in known] == [10.0, 20.0, 30.0]


# ---- two runs by hand


@pytest.fixture(scope="module")
def two(made):
    """``wide`` finds the extremes and then the middle; ``quick`` finds the middle at once and nothing after it."""
    failed = trial(outcome="failed", state="FAIL", samples=None, seconds=2.0)
    return compare(
        {
            "wide": made(trial(SMALL), trial(LARGE), failed, trial(MIDDLE)),
            "quick": made(failed, trial(MIDDLE, samples=50, seconds=4.0), trial(MIDDLE), seed=1),
        }
    )


def of(frame, name):
    return frame[frame["run"] == name]


def test_a_curve_has_a_row_for_every_trial_that_ended(two):
    wide = of(two.curves, "wide")

    assert list(wide["trials"]) == [1, 2, 3, 4]
    assert list(wide["samples"]) == [100, 200, 200, 300]
    assert list(wide["seconds"]) == [10, 20, 22, 32]


def test_the_hypervolume_rises_with_what_is_found(two):
    both = OF_SMALL + OF_LARGE - (0.1 / 1.1) ** 2

    assert list(of(two.curves, "wide")["hypervolume"]) == pytest.approx([OF_SMALL, both, both, OF_ALL])
    assert list(of(two.curves, "quick")["hypervolume"]) == pytest.approx([0, OF_MIDDLE, OF_MIDDLE])


def test_igd_plus_is_unknown_until_something_is_trained(two):
    igd_plus = of(two.curves, "quick")["igd_plus"]

    assert list(igd_plus.isna()) == [True, False, False]
    assert igd_plus.iloc[-1] == pytest.approx(1 / 3 / 1.1)


def test_the_final_row_of_a_run_sums_it_up(two):
    wide, quick = two.final.to_dict("records")

    assert (wide["run"], wide["trained"], wide["front"], wide["samples"], wide["seconds"]) == (
        "wide", 3, 3, 300, 32.0,
    )  # fmt: skip
    assert (wide["hypervolume"], wide["igd_plus"], wide["attained"]) == (pytest.approx(OF_ALL), 0, 1)
    assert (quick["trained"], quick["front"], quick["samples"]) == (2, 1, 150)
    assert (quick["hypervolume"], quick["attained"]) == (pytest.approx(OF_MIDDLE), pytest.approx(1 / 3))


def test_what_a_run_needed_is_held_against_what_the_other_needed_for_the_same(two):
    wide, quick = two.reached.to_dict("records")

    # All three for the other's one: 300 samples to its 50, 32 seconds to its 2 + 4.
    assert (wide["run"], wide["other"], wide["hypervolume"]) == ("wide", "quick", pytest.approx(OF_MIDDLE))
    assert (wide["trials"], wide["samples"], wide["seconds"]) == (4, 300, 32)
    assert (wide["samples_ratio"], wide["seconds_ratio"]) == (300 / 50, pytest.approx(32 / 6))
    assert (quick["run"], quick["other"], quick["hypervolume"]) == ("quick", "wide", pytest.approx(OF_ALL))
    unknown = ("trials", "samples", "seconds", "samples_ratio", "seconds_ratio")
    assert all(pd.isna(quick[name]) for name in unknown)


def test_every_trained_candidate_stands_with_what_the_search_had_cost_by_its_end(two):
    quick = of(two.candidates, "quick")

    assert list(quick["number"]) == [1, 2]
    assert list(quick["macs"]) == [1e7, 1e7]
    assert list(quick["trials"]) == [2, 3]
    assert list(quick["samples"]) == [50, 150]
    assert list(quick["seconds"]) == [6, 16]


def test_what_came_out_is_said_in_a_sentence_each(two):
    assert comparison_lines(two) == [
        (
            "wide reaches quick's final hypervolume 0.298 after 6.00 of the training samples that quick needed "
            "(5.33 of the seconds)"
        ),
        "quick never reaches wide's final hypervolume 0.380",
    ]


def test_without_samples_the_sentence_speaks_of_seconds(made):
    blind = made(trial(SMALL, samples=None))

    assert comparison_lines(compare({"a": blind, "b": blind}))[0] == (
        "a reaches b's final hypervolume 1.000 after 1.00 of the seconds that b needed"
    )


def test_without_any_cost_the_sentence_says_no_more_than_that(made):
    free = made(trial(SMALL, samples=None, seconds=None))

    assert comparison_lines(compare({"a": free, "b": free}))[0] == "a reaches b's final hypervolume 1.000"


def test_missing_values_are_na_and_counts_are_whole(two):
    kinds = {name: str(kind) for name, kind in two.reached.dtypes.items()}

    assert kinds["samples"] == kinds["trials"] == "Int64"
    assert {kinds[name] for name in ("hypervolume", "seconds", "samples_ratio")} == {"Float64"}
    assert str(two.curves["igd_plus"].dtype) == "Float64"
    assert str(two.final["trained"].dtype) == "Int64"


def test_a_run_alone_has_its_curve_and_nobody_to_reach(made):
    alone = compare({"a": made(trial(SMALL), trial(LARGE))})

    assert len(alone.curves) == 2
    assert len(alone.reached) == 0
    assert comparison_lines(alone) == []


def test_three_runs_are_held_against_each_other_in_pairs(made):
    runs = {name: made(trial(SMALL), trial(LARGE)) for name in "abc"}

    pairs = compare(runs).reached[["run", "other"]]

    assert [tuple(pair) for pair in pairs.to_numpy()] == [
        ("a", "b"), ("a", "c"), ("b", "a"), ("b", "c"), ("c", "a"), ("c", "b"),
    ]  # fmt: skip


# ---- what must hold of any runs

points = st.tuples(st.integers(0, 64).map(lambda right: right / 64), st.integers(1, 10_000).map(float))
searches = st.lists(
    st.builds(trial, points, samples=st.integers(1, 500), seconds=st.integers(1, 9).map(float)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(rows=searches)
def test_a_run_against_itself_attains_all_for_the_same_price(made, rows):
    run = made(*rows)

    comparison = compare({"one": run, "same": run})

    assert list(comparison.final["attained"]) == [1, 1]
    assert list(comparison.final["igd_plus"]) == [0, 0]
    assert list(comparison.reached["samples_ratio"]) == [1, 1]
    assert list(comparison.reached["seconds_ratio"]) == [1, 1]


@settings(max_examples=25, deadline=None)
@given(rows=searches, others=searches, data=st.data())
def test_the_order_of_the_rows_does_not_matter(made, rows, others, data):
    run, other = made(*rows), made(*others)
    order = data.draw(st.permutations(range(len(rows))))
    shuffled = Run(run.folder, run.objectives, run.trials.iloc[order], run.stages, {})

    one, two = compare({"a": run, "b": other}), compare({"a": shuffled, "b": other})

    for name in ("candidates", "curves", "final", "reached"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))


@settings(max_examples=25, deadline=None)
@given(rows=searches, others=searches)
def test_hypervolume_never_falls_and_igd_plus_never_rises(made, rows, others):
    curves = compare({"a": made(*rows), "b": made(*others)}).curves

    for name in "ab":
        assert (of(curves, name)["hypervolume"].diff().dropna() >= -1e-12).all()
        assert (of(curves, name)["igd_plus"].diff().dropna() <= 1e-12).all()


@settings(max_examples=25, deadline=None)
@given(rows=searches, others=searches)
def test_of_two_runs_one_reaches_the_other(made, rows, others):
    reached = compare({"a": made(*rows), "b": made(*others)}).reached

    assert reached["trials"].notna().any()


# ---- what cannot be compared


def test_other_objectives_are_refused_with_both_lists(made):
    runs = {"a": made(trial(SMALL)), "b": made(trial(SMALL), objectives=("top1", "params"))}

    assert refusal(runs) == [
        (
            "comparison: a and b are not comparable: objectives top1, macs against top1, params; "
            "compare runs of one space on the same data, for the same objectives"
        )
    ]


OTHERS = {
    "data": ({"data": "cifar10", "data_fingerprint": "cccccccccccc"}, "data digits against cifar10"),
    "images": ({"data_fingerprint": "cccccccccccc"}, "data_fingerprint bbbbbbbbbbbb against cccccccccccc"),
    "space": ({"space": "big", "space_fingerprint": "cccccccccccc"}, "space tiny against big"),
    "choices": ({"space_fingerprint": "cccccccccccc"}, "space_fingerprint aaaaaaaaaaaa against cccccccccccc"),
    "validation": ({"recipe.validation_images": 32}, "recipe.validation_images 64 against 32"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_meaning_of_an_accuracy_is_refused(made, name):
    identity, words = OTHERS[name]
    (line,) = refusal({"a": made(trial(SMALL)), "b": made(trial(SMALL), **identity)})

    assert f"a and b are not comparable: {words}; compare" in line


@pytest.mark.parametrize("name", ["device", "latency_batch", "latency_dtype", "latency_mode"])
def test_a_latency_is_compared_with_one_that_was_measured_alike(made, name):
    timed, elsewhere = ({"objectives": ("top1", "latency_ms"), name: where} for where in ("here", "there"))
    runs = {
        "a": made(trial(SMALL, latency_ms=1.0), **timed),
        "b": made(trial(SMALL, latency_ms=1.0), **elsewhere),
    }

    assert f"{name} here against there" in refusal(runs)[0]


def test_macs_are_the_same_on_every_device(made):
    runs = {"a": made(trial(SMALL), device="one"), "b": made(trial(SMALL), device="two")}

    assert list(compare(runs).final["attained"]) == [1, 1]


def test_seeds_samplers_and_budgets_are_what_one_compares(made):
    runs = {"a": made(trial(SMALL)), "b": made(trial(SMALL), seed=7, sampler="random", rungs=[0.1])}

    assert len(compare(runs).final) == 2


def test_a_run_without_a_trained_candidate_is_refused(made):
    runs = {"a": made(trial(SMALL)), "b": made(trial(outcome="failed", state="FAIL"))}

    assert refusal(runs) == ["comparison: b: no candidate is trained yet; compare it when one is"]


def test_everything_that_is_wrong_is_said_at_once(made):
    runs = {"a": made(trial(SMALL)), "b": made(data="x"), "c": made(trial(SMALL), space="y")}

    assert len(refusal(runs)) == 3


def test_no_runs_are_refused():
    assert refusal({}) == ["comparison: no run is given; give one run at least"]


def test_a_damaged_manifest_is_a_fault_of_the_environment(made):
    run, damaged = made(trial(SMALL)), made(trial(SMALL))
    (damaged.folder / "run.json").write_text("{")

    with pytest.raises(EnvironmentFaultError, match="damaged"):
        compare({"a": run, "b": damaged})


# ---- real searches


def lookup(architecture, recipe):
    """An accuracy by the id."""
    return int(architecture.id, 16) % 1000 / 1000


@pytest.fixture(scope="module")
def seeds(searched, tmp_path_factory):
    """Two searches of one space that differ in their seed and their budget."""
    space, folder = load_space(searched.parent / "mixed.yaml"), tmp_path_factory.mktemp("seeds")
    for seed, trials in ((0, 4), (1, 8)):
        config = StudyConfig(objectives=("top1", "macs"), trials=trials, seed=seed, latency_seconds=0.01)
        run_study(space, config, folder / f"seed{seed}", evaluate=lookup)
    return {path.name: load_run(path) for path in sorted(folder.iterdir())}


def test_real_searches_are_compared(seeds):
    comparison = compare(seeds)

    assert list(comparison.final["run"]) == ["seed0", "seed1"]
    assert list(comparison.final["trained"]) == [4, 8]
    assert list(comparison.final["front"]) == [len(run.frontier) for run in seeds.values()]
    assert list(comparison.final["samples"]) == [run.trials["samples"].sum() for run in seeds.values()]
    for name, run in seeds.items():
        assert of(comparison.final, name)["seconds"].item() >= run.trials["seconds"].sum() - 1e-9
    assert len(comparison_lines(comparison)) == 2


def test_a_real_manifest_has_all_that_is_compared(seeds):
    assert {*SAME, *SAME_MEASURED} <= seeds["seed0"].manifest["identity"].keys()


def test_a_real_search_attains_the_front_of_itself(seeds):
    final = compare({"one": seeds["seed0"], "same": seeds["seed0"]}).final

    assert list(final["attained"]) == [1, 1]


def without_samples(run):
    """Its trials, as an engine that does not tell how many images it shows records them."""
    return run.trials.assign(samples=pd.array([pd.NA] * len(run.trials), dtype="Int64"))


@pytest.mark.parametrize("axis", ["training images shown", "seconds, summed over trials"])
def test_the_picture_has_a_line_a_run_and_units(two, seeds, tmp_path, axis):
    unmeasured = {name: replace(run, trials=without_samples(run)) for name, run in seeds.items()}
    comparison = two if axis.startswith("training") else compare(unmeasured)
    picture = tmp_path / "against.svg"
    save_figure(comparison_figure(comparison), picture)

    words = [axis, "hypervolume (share of the space of all runs)", "top1, macs", *comparison.final["run"]]
    assert all(word in picture.read_text() for word in words)
    assert [path.name for path in tmp_path.iterdir()] == ["against.svg"]


def test_a_comparison_needs_no_torch(seeds):
    folders = {name: str(run.folder) for name, run in seeds.items()}
    code = (
        "import sys; from archsearch.results import compare, load_run\n"
        f"compare({{name: load_run(path) for name, path in {folders!r}.items()}})\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
