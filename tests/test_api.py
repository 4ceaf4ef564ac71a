"""The whole walk as one call, with nothing but public names."""

import pytest
import yaml

import archsearch
from archsearch import StudyConfig, load_architecture, load_run, load_space, run_study

# 3 x 2 = 6 architectures.
SPACE = """\
name: six
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: patch, channels: {choice: [2, 4, 8]}, size: 2}
stages:
  - {kind: conv, channels: 12, depth: 1, kernel: {choice: [1, 3]}, expansion: 0.5}
"""
STUDY = StudyConfig(objectives=("top1", "macs"), trials=6, latency_seconds=0.01)
# Wider is better, a kernel of 3 is a little better still; so is what they cost, and everything is on the frontier.
ACCURACY = {(2, 1): 0.1, (4, 1): 0.2, (8, 1): 0.3, (2, 3): 0.4, (4, 3): 0.5, (8, 3): 0.6}


def by_hand(architecture, recipe):
    return ACCURACY[architecture.stem.channels, architecture.stages[0].kernel]


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    path = tmp_path_factory.mktemp("space") / "six.yaml"
    path.write_text(SPACE)
    return load_space(path)


@pytest.fixture(scope="module")
def run(space, tmp_path_factory):
    return run_study(space, STUDY, tmp_path_factory.mktemp("run"), evaluate=by_hand)


def test_a_search_gives_its_run(run):
    assert sorted(run.trials["top1"]) == sorted(ACCURACY.values())


def test_the_run_is_the_one_that_lies_in_the_folder(run):
    assert load_run(run.folder).trials.equals(run.trials)


def test_the_frontier_is_what_the_table_says(run):
    assert list(run.frontier["top1"]) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def test_winners_can_be_loaded_and_built(run):
    for file in (run.folder / "frontier").glob("*.yaml"):
        architecture = load_architecture(file)
        assert architecture.id in set(run.frontier["architecture"])
        assert archsearch.count_params(architecture) == sum(
            p.numel() for p in architecture.build().parameters()
        )


def test_winners_are_plain_yaml(run):
    (best,) = (run.folder / "frontier").glob(f"*{run.frontier['architecture'].iloc[-1]}.yaml")

    document = yaml.safe_load(best.read_text())
    assert document["stem"] == {"kind": "patch", "channels": 8, "size": 2}
    assert document["stages"][0]["kernel"] == 3


def test_a_study_that_is_exhausted_is_done(space, tmp_path):
    run = run_study(space, STUDY.model_copy(update={"trials": 50}), tmp_path, evaluate=by_hand)

    assert len(run.trials) == 6


def test_results_are_written_when_the_search_finds_nothing(space, tmp_path):
    config = STUDY.model_copy(update={"limits": {"latency_ms": 1e-6}})

    with pytest.raises(archsearch.InfeasibleError):
        run_study(space, config, tmp_path, evaluate=by_hand)

    assert list(load_run(tmp_path).trials["outcome"]) == ["infeasible"] * 6
    assert (tmp_path / "trials.csv").read_text().count("\n") == 1 + 6


def test_the_search_calls_back_with_an_architecture_and_the_recipe(space, tmp_path):
    seen = []

    def evaluate(architecture, budget):
        seen.append((architecture, budget.recipe))
        return 0.5

    run_study(space, STUDY.model_copy(update={"trials": 1}), tmp_path, evaluate=evaluate)

    assert [(type(a), type(r)) for a, r in seen] == [(archsearch.Architecture, archsearch.Recipe)]
