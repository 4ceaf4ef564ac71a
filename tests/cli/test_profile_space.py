"""``archsearch profile`` of a space: a summary by a sample, one point, or the predictor that check and run use."""

import json
import re
from pathlib import Path

import pytest
from command_line import QUICK, TINY, CommandLine

from archsearch.cli.profile_space import Measured, describe_predictor, rank_correlation, show_flags
from archsearch.cli.tables import console
from archsearch.counting import count_macs
from archsearch.profiling import Accuracy, Latency, LatencyPredictor, conditions_of
from archsearch.profiling.operator_times import OperatorTable
from archsearch.results import load_run
from archsearch.space import load_space

TWO = """\
name: two
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: patch, channels: {choice: [4, 8]}, size: 4}
stages:
  - {kind: conv, channels: 4, depth: 1, kernel: 1, expansion: 0.5}
"""
RESNET = Path(__file__).parents[2] / "spaces" / "reference" / "resnet18.yaml"
ACCURACY = Accuracy(candidates=10, spearman=0.5, within_5=0.1, within_10=0.2, within_20=0.3, worst=1.5)
ACCURACY_IN_WORDS = "Spearman 0.500, within 5 / 10 / 20 %: 10% / 20% / 30%, worst by a factor of 1.50"


def sentences(done):
    """What was printed, however long the lines are."""
    assert (done.returncode, done.stderr) == (0, "")
    return " ".join(done.stdout.split())


@pytest.fixture
def unfitted(archsearch, monkeypatch):
    """The command in a folder with a space, of which nothing is fitted."""
    monkeypatch.setenv("ARCHSEARCH_CACHE", str(archsearch.folder / "cache"))
    (archsearch.folder / "tiny.yaml").write_text(TINY)
    return archsearch


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """The command where a predictor was fitted; and what that printed."""
    command = CommandLine(tmp_path_factory.mktemp("fitted"))
    (command.folder / "tiny.yaml").write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCHSEARCH_CACHE", str(command.folder / "cache"))
        command.fit = command.here("profile", "tiny.yaml", "--fit", 10, *QUICK)
        yield command


def test_a_fit_prints_how_well_it_predicts_candidates_it_has_not_seen(fitted):
    text = sentences(fitted.fit)

    assert re.match(r"\[ 10/10\] P-[CM] +[0-9.]+ ms", text)
    assert re.search(r"fitted to 10 candidates and \d+ distinct calls \(batch 1, float32, contiguous, ", text)
    assert re.search(
        r"by a fit to the others: Spearman -?[0-9.]+, within .*, worst by a factor of [0-9.]+", text
    )


def test_a_fit_prints_the_file_that_it_is_saved_in(fitted):
    file = re.search(r"kept in (\S+); archsearch check and run use it", sentences(fitted.fit))[1]

    assert Path(file).parent == fitted.folder / "cache"
    assert LatencyPredictor.from_json(Path(file).read_text()).accuracy.candidates == 10


def test_check_predicts_latency_once_it_is_fitted(fitted):
    text = sentences(fitted.here("check", "tiny.yaml", "--draws", 10))

    assert " ms min median max" in text
    assert "latency is predicted for batch 1, float32, contiguous, eager, " in text
    assert "no predictor is fitted" not in text


def test_check_as_json_has_latency_by_family_once_it_is_fitted(fitted):
    envelope = json.loads(fitted.here("check", "tiny.yaml", "--draws", 10, "--json").stdout)["envelope"]

    assert envelope["latency_ms"].keys() == envelope["params"].keys()
    for spread in envelope["latency_ms"].values():
        assert 0 < spread["low"] <= spread["median"] <= spread["high"]


def test_run_records_predictions_once_they_are_fitted(fitted):
    done = fitted.here("run", "tiny.yaml", "--out", "out")

    assert (done.returncode, done.stderr) == (0, "")
    assert (fitted.folder / "out" / "latency_predictor.json").is_file()
    assert (load_run(fitted.folder / "out").trials["predicted_latency_ms"] > 0).all()


def test_a_summary_prints_the_accuracy_of_the_fitted_predictor(fitted):
    text = sentences(fitted.here("profile", "tiny.yaml", "--draws", 10, *QUICK))

    assert "the latencies by family are predicted; on candidates unseen by the fit: Spearman" in text
    assert " ms min median max" in text


@pytest.fixture(scope="module")
def check_of_unfitted(tmp_path_factory):
    """What ``archsearch check`` prints of a space of which nothing is fitted."""
    command = CommandLine(tmp_path_factory.mktemp("checked"))
    (command.folder / "tiny.yaml").write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCHSEARCH_CACHE", str(command.folder / "cache"))
        return command.here("check", "tiny.yaml", "--draws", 10)


def test_check_says_how_to_fit_where_nothing_is_fitted(check_of_unfitted):
    text = sentences(check_of_unfitted)

    assert (
        "latency: no predictor is fitted; archsearch profile tiny.yaml --fit 60 measures and fits it" in text
    )
    assert " ms min" not in text


def test_check_counts_activations_and_names_the_candidates_that_it_trained(check_of_unfitted, unfitted):
    text = sentences(check_of_unfitted)

    layouts = ", ".join(load_space(unfitted.folder / "tiny.yaml").draw(seed).layout for seed in range(8))
    assert "activations min median max" in text
    assert f"built, profiled and trained for 12 steps each: {layouts} forecast: about " in text


def test_a_fit_as_json_has_all_that_was_measured(unfitted):
    found = json.loads(unfitted.here("profile", "tiny.yaml", "--fit", 10, *QUICK, "--json").stdout)

    assert found.keys() == {
        *("space", "conditions", "measured", "accuracy", "weights", "calls", "file"),
    }
    assert (found["space"], found["accuracy"]["candidates"]) == ("tiny", 10)
    assert len({point["architecture"] for point in found["measured"]}) == 10
    assert Path(found["file"]).is_file()


def test_a_fit_without_a_cache_is_not_saved_and_the_output_says_so(unfitted, monkeypatch):
    monkeypatch.setenv("ARCHSEARCH_CACHE", "")

    done = unfitted.here("profile", "tiny.yaml", "--fit", 10, *QUICK)

    assert sentences(done).endswith("not kept: ARCHSEARCH_CACHE is empty")
    assert [path.name for path in unfitted.folder.iterdir()] == ["tiny.yaml"]


def test_a_cache_that_cannot_be_written_is_a_fault_of_the_environment(unfitted, monkeypatch):
    monkeypatch.setenv("ARCHSEARCH_CACHE", str(unfitted.folder / "tiny.yaml" / "cache"))

    done = unfitted.here("profile", "tiny.yaml", "--fit", 10, *QUICK)

    assert done.returncode == 4
    assert "the fit is lost: mend the cause, or set ARCHSEARCH_CACHE to another folder" in done.stderr


REFUSED = {
    "a fit to few": (
        ("tiny.yaml", "--fit", 5),
        2,
        "archsearch profile: --fit: 5 candidates are too few; use 10 or more, best 60",
    ),
    "a fit of one network": (
        (RESNET, "--fit", 10),
        2,
        f"{RESNET}: --fit: this file leaves nothing open; give a space, such as spaces/hybrid.yaml",
    ),
    "a fit to more than there are": (
        ("two.yaml", "--fit", 10),
        3,
        (
            "two: 2 distinct feasible architectures in 10,000 draws, and 10 are wanted; "
            "raise the limits, or ask for fewer"
        ),
    ),
    "a graph without a GPU": (
        ("tiny.yaml", "--mode", "cuda_graph"),
        2,
        "conditions: mode: cuda_graph needs a CUDA device, not cpu; use eager or compiled",
    ),
    "an unknown mode": (
        ("tiny.yaml", "--mode", "graph"),
        2,
        "conditions: mode: graph is not known; did you mean cuda_graph? (known: eager, compiled, cuda_graph)",
    ),
    "an unknown type": (
        ("tiny.yaml", "--dtype", "bfloat"),
        2,
        "conditions: dtype: bfloat is not known; did you mean bfloat16? (known: float32, bfloat16, float16)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_profiled_is_one_line_of_error(unfitted, name):
    arguments, code, message = REFUSED[name]
    (unfitted.folder / "two.yaml").write_text(TWO)

    done = unfitted.here("profile", *arguments, *QUICK, "--device", "cpu")

    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"archsearch: error: {message}\n")


def test_a_space_is_summarised_by_what_it_counts_and_measures(unfitted):
    done = unfitted.here("profile", "tiny.yaml", "--draws", 10, *QUICK)

    text = sentences(done)
    assert text.startswith("tiny: 36 architectures, 4 open fields feasible: 10 of 10 drawn")
    assert "Latency of 16 random feasible points architecture layout MACs ms quartiles" in text
    ms = [
        float(found)
        for found in re.findall(r"^[0-9a-f]{12} .* ([0-9.]+) +[0-9.]+ to", done.stdout, re.MULTILINE)
    ]
    assert (len(ms), ms) == (16, sorted(ms))
    assert re.search(r"MACs rank them with Spearman -?[0-9.]+", text)
    assert text.endswith("no predictor is fitted for this: archsearch profile tiny.yaml --fit 60")


def test_a_summary_as_json_has_every_point_and_its_conditions(unfitted):
    found = json.loads(
        unfitted.here(
            "profile", "tiny.yaml", "--draws", 10, "--batch", 2, "--dtype", "bfloat16", *QUICK, "--json"
        ).stdout
    )

    assert found.keys() == {
        *("space", "conditions", "envelope", "measured", "macs_latency_spearman", "predictor")
    }
    assert (found["conditions"]["batch_size"], found["conditions"]["dtype"]) == (2, "bfloat16")
    assert (found["envelope"]["size"], found["envelope"]["drawn"], found["predictor"]) == (36, 10, None)
    assert len({point["architecture"] for point in found["measured"]}) == 16
    assert found["measured"][0].keys() == {
        *("architecture", "layout", "family", "macs", "latency_ms", "latency")
    }
    assert -1 <= found["macs_latency_spearman"] <= 1


def test_a_seed_is_one_point_of_the_space(unfitted):
    expected = load_space(unfitted.folder / "tiny.yaml").draw(3)

    point = json.loads(unfitted.here("profile", "tiny.yaml", "--seed", 3, *QUICK, "--json").stdout)
    text = sentences(unfitted.here("profile", "tiny.yaml", "--seed", 3, *QUICK))

    assert (point["architecture"], point["name"]) == (expected.id, expected.name)
    assert text.startswith("tiny.yaml is a space: this is its random point 3")
    assert f"({expected.id})" in text


def test_conditions_are_those_of_the_flags(unfitted):
    flags = ("--dtype", "bfloat16", "--memory-format", "channels_last", "--threads", 2, "--batch", 3)

    point = json.loads(unfitted.here("profile", "tiny.yaml", "--seed", 0, *flags, *QUICK, "--json").stdout)

    asked = {"dtype": "bfloat16", "memory_format": "channels_last", "threads": 2, "batch_size": 3}
    assert point["conditions"].items() >= {**asked, "mode": "eager"}.items()


def test_the_source_of_published_figures_is_printed_in_brackets(unfitted):
    done = unfitted.here("profile", RESNET, "--image", 32, *QUICK)

    assert load_space(RESNET).published.source in sentences(done)
    assert re.search(r"published: .*top-1 69\.76% \[.+\]", sentences(done))


def flagged(*flags):
    return Measured(None, Latency(3.0, 2.5, 3.75, 11, flags=flags))


def test_flags_are_counted_by_measurement_and_the_commonest_is_named(capsys):
    show_flags(console(), [flagged("hot"), flagged(), flagged("crowded", "hot"), flagged("late")])

    assert capsys.readouterr().out == "flagged: 3 of 4 measurements, most often because hot\n"


def test_nothing_is_printed_where_nothing_was_flagged(capsys):
    show_flags(console(), [flagged(), flagged()])
    show_flags(console(), [])

    assert capsys.readouterr().out == ""


@pytest.fixture
def measured(tmp_path):
    """Points of a space in the order of their MACs, with these latencies."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    points = {count_macs(a).total: a for a in load_space(tmp_path / "tiny.yaml").draws(0, 20)}

    def of(*latencies):
        by_macs = [points[macs] for macs in sorted(points)]
        return [
            Measured(architecture, Latency(ms, ms, ms, 11))
            for architecture, ms in zip(by_macs, latencies, strict=False)
        ]

    return of


def test_macs_and_latency_are_correlated_by_rank(measured):
    assert rank_correlation(measured(1.0, 2.0, 9.0)) == pytest.approx(1)
    assert rank_correlation(measured(9.0, 2.0, 1.0)) == pytest.approx(-1)
    # Ranks 1, 3, 2 beside 1, 2, 3: 1 - 6 (0 + 1 + 1) / (3 (9 - 1)) = 0.5.
    assert rank_correlation(measured(1.0, 9.0, 2.0)) == pytest.approx(0.5)


def test_equal_points_have_no_correlation(measured):
    one, two = measured(1.0, 2.0)

    assert rank_correlation([]) is None
    assert rank_correlation([one, two]) is None
    assert rank_correlation([one, one, one]) is None
    assert rank_correlation(measured(2.0, 2.0, 2.0)) is None


def test_a_summary_says_whether_latency_is_predicted():
    usual, wanted = conditions_of("cpu"), conditions_of("cpu", batch_size=8, dtype="bfloat16", threads=2)
    predictor = LatencyPredictor(OperatorTable(usual), {}, ACCURACY)

    assert describe_predictor(predictor, Path("a.yaml"), usual).endswith(
        f"unseen by the fit: {ACCURACY_IN_WORDS}"
    )
    assert describe_predictor(None, Path("a.yaml"), usual) == (
        "no predictor is fitted for this: archsearch profile a.yaml --fit 60"
    )
    assert describe_predictor(None, Path("a.yaml"), wanted).endswith(
        "--fit 60 --batch 8 --dtype bfloat16 --threads 2"
    )
