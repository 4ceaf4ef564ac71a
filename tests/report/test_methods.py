"""The report's statements of method, each held against the code that it describes."""

import inspect
import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.importance import PedAnovaImportanceEvaluator
from seeded_weights import seeded_images, seeded_tensors
from trial_frames import trials_of

from archsearch.analysis import measured_globality
from archsearch.api import write_all
from archsearch.counting import count_macs, family, globality, mean_reach
from archsearch.families import ALL_GLOBAL, ALL_LOCAL, MIXED, describe_family, family_of
from archsearch.profiling.profile import Profile
from archsearch.report.blocks import INTERVAL
from archsearch.report.page import write_report
from archsearch.report.sections.methods import FILES, METHODS
from archsearch.results import families, importance, load_run
from archsearch.results.families import families_frame, price_frame
from archsearch.results.frontier import frontier_frame
from archsearch.results.map import map_frame
from archsearch.results.measured_globality import measured_globality_frame, measured_globality_lines
from archsearch.results.proxies import proxy_report
from archsearch.results.repeats import repeats_frame
from archsearch.space import load_architecture, load_space
from archsearch.space.swap import TOLERANCE
from archsearch.stats.hypervolume import Indicators
from archsearch.stats.seeds import SeedSpread
from archsearch.study.plan_swaps import SwapOptions

NETWORK = """\
name: network
image: {{channels: 1, height: 8, width: 8}}
classes: 10
stem: {{kind: patch, channels: 8, size: 2}}
stages:
{stages}
"""
STAGES = {
    True: "  - {kind: mhsa, channels: 8, depth: 1, heads: 1, position: none}",
    False: "  - {kind: conv, channels: 8, depth: 1, kernel: 3}",
}


@pytest.fixture
def network(tmp_path):
    """The network of so many stages, each global or local."""

    def build(*is_global):
        file = tmp_path / "network.yaml"
        file.write_text(NETWORK.format(stages="\n".join(STAGES[one] for one in is_global)))
        return load_architecture(file)

    return build


def test_globality_is_the_mean_reach_of_the_mixers_and_counts_no_1x1(network):
    mixers = [mixer for _, mixer in network(False, True).mixers()]

    assert METHODS["Globality"].startswith("Mean over the spatial mixers of how far each one reaches")
    assert globality(network(False, True)) == mean_reach(mixers)
    # The soft split of the stem, one 3x3, one attention; the two 1x1 of each stage are none.
    assert len(mixers) == 3
    assert mean_reach(mixers[2:]) == 1


@given(st.lists(st.booleans(), min_size=1, max_size=6))
def test_each_family_is_what_its_description_says(is_global):
    name = family_of(is_global)
    first = is_global.index(True) if any(is_global) else len(is_global)
    says = {
        "every stage mixes locally": not any(is_global),
        "every stage mixes globally": all(is_global),
        "a local stage comes after a global one": not all(is_global[first:]),
        f"stages before stage {first} mix locally, the others globally": first > 0 and all(is_global[first:]),
    }

    assert says[describe_family(name)]


@pytest.mark.parametrize("is_global", [(False, False), (True, True), (False, True), (True, False)])
def test_the_stem_decides_no_family_and_every_family_is_described(network, is_global):
    name = family(network(*is_global))

    assert name == family_of(is_global)
    assert f"{name.replace('1', 'K')}: {describe_family(name).replace('1', 'K')}" in METHODS["Families"]
    assert all(f"{each}: " in METHODS["Families"] for each in (ALL_LOCAL, ALL_GLOBAL, MIXED))


def test_test_images_are_read_for_the_pareto_front_alone(run):
    tested = run.trials["test_top1"].notna()

    assert "test images are read for the Pareto front" in METHODS["Accuracy"]
    assert not tested[~run.trials["on_frontier"]].any()


def test_intervals_over_seeds_are_those_of_student():
    assert METHODS["Intervals over seeds"].startswith("95 % interval, by Student's t")
    assert SeedSpread(0.01, 2, 1).margin() == pytest.approx(0.01 * 4.302652729911275)


def test_latency_is_a_median():
    assert METHODS["Latency"].startswith("Median of repeated forward passes")
    assert "median_ms" in inspect.getsource(Profile.latency_ms.fget)


def test_macs_hold_attention_products_and_norms(network):
    macs = count_macs(network(True))

    assert "attention products and norms included" in METHODS["MACs"]
    assert macs.by_family["attention product"] > 0
    assert macs.without_norms < macs.total


def test_the_pareto_front_is_what_no_other_trial_dominates():
    trials = trials_of(
        {"top1": 0.5, "macs": 1},
        {"top1": 0.5, "macs": 2},
        {"top1": 0.6, "macs": 2},
        {"top1": 0.9, "macs": 3, "outcome": "infeasible"},
    )

    assert "none is at least as good in every objective and better in one" in METHODS["Pareto front"]
    assert list(frontier_frame(trials, ("top1", "macs"))["number"]) == [0, 2]


def test_the_map_has_the_best_accuracy_of_each_cell():
    costs = [10.0**power for power in range(6)]
    trials = trials_of(
        *({"top1": 0.5, "macs": cost, "globality": 0.0} for cost in costs),
        {"top1": 0.6, "macs": 1, "globality": 0.19},
        {"top1": 0.4, "macs": 1, "globality": 0.2},
    )
    cells = map_frame(trials, "macs")

    assert METHODS["Map"].startswith(
        "5 equal steps of globality by 5 equal steps of the logarithm of the cost; each cell has the best validation"
    )
    # 1e5 is the upper edge of the last of the five decades.
    assert cells["top1"].tolist() == [0.6, 0.5, 0.5, 0.5, 0.5, 0.4]
    assert cells["cost_high"].tolist() == pytest.approx([10, 100, 1e3, 1e4, 1e5, 10])
    assert cells["globality_high"].tolist() == pytest.approx([0.2] * 5 + [0.4])


def test_the_interval_of_a_cell_is_over_its_own_seeds_where_there_are_several():
    trials = trials_of({"top1": 0.5, "macs": 1}, {"top1": 0.6, "macs": 100})
    repeats = repeats_frame(
        {f"final:a0:{seed}": {"top1": top1, "samples": 512} for seed, top1 in enumerate((0.3, 0.4))}
    )
    spread = SeedSpread(0.01, 2, 512)
    repeated, single = map_frame(trials, "macs", spread, repeats).to_dict("records")

    assert "around the mean of that candidate's own seeds where it was trained from several" in METHODS["Map"]
    assert (repeated["seeds"], single["seeds"]) == (2, 1)
    assert (repeated["top1_low"] + repeated["top1_high"]) / 2 == pytest.approx(0.35)
    assert (single["top1_high"] - single["top1_low"]) / 2 == pytest.approx(spread.margin())
    assert map_frame(trials, "macs")["top1_low"].isna().all()


def test_hypervolume_reaches_ten_percent_beyond_the_worst():
    candidates = pd.DataFrame({"top1": [0.5, 0.9], "macs": [10.0, 1000.0]})
    points = Indicators.of(candidates, ("top1", "macs")).points(candidates)

    assert "10% of the range beyond the worst" in METHODS["Hypervolume"]
    # The worst lies at 1 / 1.1 of the way from the best to the reference point, in error and in log10 of the cost.
    assert points.max(axis=0) == pytest.approx([1 / 1.1, 1 / 1.1])
    assert points.min(axis=0) == pytest.approx([0, 0])


def test_families_are_compared_at_the_size_of_the_smallest_of_four_or_more():
    rows = [{"top1": 0.5 + n / 100, "macs": 10 + n} for n in range(6)]
    more = [{"top1": 0.6 + n / 100, "macs": 20 + n, "family": "mixed"} for n in range(4)]
    few = [{"top1": 0.7, "macs": 30, "family": "all-global"}]
    frame = families_frame(trials_of(*rows, *more, *few), ("top1", "macs"))

    assert "the smallest family of 4 or more, over 200 random subsets" in METHODS["Hypervolume"]
    assert families.SUBSETS == 200
    assert frame["budget"].dropna().unique().tolist() == [4]


def test_the_gain_at_equal_cost_is_a_mean_height():
    rows = [{"top1": 0.5, "macs": 10}, {"top1": 0.6, "macs": 1000}]
    more = [
        {"top1": 0.6, "macs": 10, "family": "mixed"},
        {"top1": 0.7, "macs": 1000, "family": "mixed"},
    ]

    assert METHODS["Gain at equal cost"].startswith(
        "Mean height of a family's front over that of all-local, at 101 costs"
    )
    assert price_frame(trials_of(*rows, *more), "macs")["gain_at_equal_cost"][0] == pytest.approx(0.1)


def test_swaps_are_matched_within_two_percent():
    assert "within a tolerance (2% unless another one was asked for)" in METHODS["Matched swaps"]
    assert SwapOptions(0).tolerance == TOLERANCE == 0.02


def measured_winners(*values):
    """The frame of winners of globality 0.1, 0.2 and so on, whose trained networks were measured at ``values``."""
    trials = trials_of(*({"globality": (n + 1) / 10} for n in range(len(values))))
    keys = {"attention_distance": [], "erf_side": [0.5], "images": 8, "source": "search"}
    attributes = {f"realised:a{n}": {"realised_globality": [value], **keys} for n, value in enumerate(values)}
    return measured_globality_frame(attributes, trials)


@pytest.mark.parametrize(
    # Spearman's rho is 1 - 6 sum(d^2) / (n (n^2 - 1)) of n = 6 winners whose ranks differ by d.
    ("values", "rho", "nominal"),
    [
        ([0.3, 0.1, 0.2, 0.6, 0.5, 0.4], 1 - 6 * 14 / 210, True),
        ([0.2, 0.1, 0.3, 0.6, 0.4, 0.5], 1 - 6 * 8 / 210, False),
    ],
)
def test_globality_is_one_in_name_only_below_a_rank_correlation_of_seven_tenths(values, rho, nominal):
    (line,) = measured_globality_lines(measured_winners(*values))

    assert "rank correlation (Spearman's rho) with globality is below 0.7" in METHODS["Measured globality"]
    assert f"rho with globality {rho:.2f} " in line
    assert line.endswith("the axis is nominal here.") == nominal


def test_measured_globality_weighs_the_reach_of_each_mixer_by_its_share_of_the_sum(network):
    built = network(False, True).build()
    shapes = {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}
    built.load_state_dict(seeded_tensors(shapes, seed=0))
    found = measured_globality(built, seeded_images((2, 1, 8, 8), seed=0).float())
    weights = [mixer.weight for mixer in found.mixers]

    assert METHODS["Measured globality"].startswith("The same reach, computed from the influence")
    assert "each mixer counts by its branch's share of the sum" in METHODS["Measured globality"]
    assert [mixer.structural for mixer in found.mixers] == pytest.approx(
        [mean_reach([mixer]) for _, mixer in network(False, True).mixers()]
    )
    assert all(0 < weight <= 1 for weight in weights)
    assert found.mean == pytest.approx(
        sum(mixer.measured * mixer.weight for mixer in found.mixers) / sum(weights)
    )


def test_importance_is_of_the_best_tenth_and_shuffled_twenty_times(monkeypatch):
    shuffled = []

    def importances(_study, values):
        shuffled.append(values)
        return {"one": 0.5}

    monkeypatch.setattr(importance, "importances", importances)
    importance.chance(None, [0, 1, 2])

    assert "of the best 10%; the dashed line is the 95th percentile" in METHODS["Importance"]
    assert METHODS["Importance"].endswith(f"{len(shuffled)} times.")
    default = inspect.signature(PedAnovaImportanceEvaluator).parameters["target_quantile"].default
    assert default == importance.QUANTILE


@pytest.mark.parametrize(("count", "status"), [(29, "too few"), (30, "on")])
def test_proxies_are_judged_from_thirty_trainings_on(count, status):
    report = proxy_report(trials_of(*({"top1": n / 100, "macs": 10 + n} for n in range(count))))
    (row,) = report[(report["proxy"] == "macs") & (report["within"] == "all")].to_dict("records")

    assert "from 30 final trainings on" in METHODS["Proxies"]
    assert row["status"] == status


def test_every_file_that_is_named_is_written_and_every_file_of_a_run_is_named(copy):
    write_all(copy)
    write_report(load_run(copy))
    named = {name for names in FILES for name in names.split(", ")}
    # Written where something was retrained or measured; see tests/results.
    sometimes = {"finalists.csv", "swaps.csv", "swaps.png", "measured_globality.csv"}
    lying = {path.name + "/" * path.is_dir() for path in copy.iterdir()}

    assert named - sometimes <= lying
    ours = {name for name in lying if name.endswith((".csv", ".parquet", ".png"))}
    assert ours <= named


def test_intervals_are_named_by_their_confidence():
    assert INTERVAL == "95 % interval"
    assert math.isclose(SeedSpread(1.0, 10**9, 1).margin(), 1.959963984540054, rel_tol=1e-6)


def test_a_whole_space_has_families_that_are_described(searched):
    space = load_space(searched.parent / "mixed.yaml")

    assert {describe_family(family(space.draw(seed))) for seed in range(20)} == {
        "every stage mixes locally",
        "every stage mixes globally",
    }
