"""One real search: digits, short trainings, weights, and test images that the search never sees."""

import pytest
import torch
from table_search import GLANCE, SHORT, Heard, opened, recorded, search

from archsearch.api import run_study
from archsearch.architecture import Architecture, seeded_network
from archsearch.data import load_data, load_test
from archsearch.proxy import evaluate
from archsearch.space import load_architecture
from archsearch.storage.weights import load_network
from archsearch.study.config import StudyConfig

RECIPE = SHORT.model_copy(
    update={"samples": 2048, "learning_rate": 0.01, "crop": 0, "validation_images": 100}
)
STUDY = StudyConfig(
    recipe=RECIPE, objectives=("top1", "macs"), trials=4, seed=1, device="cpu", latency_seconds=GLANCE
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def heard():
    return Heard()


@pytest.fixture(scope="module")
def run(space, heard, tmp_path_factory):
    return run_study(space, STUDY, tmp_path_factory.mktemp("run"), callbacks=[heard])


@pytest.fixture(scope="module")
def digits(space):
    return load_data("digits", space.image.shape, 10, limit=2048, validation_limit=100)


def test_every_candidate_was_trained_by_the_recipe(run):
    assert list(run.trials["outcome"]) == ["trained"] * 4
    assert set(run.trials["samples"]) == {2048}


def test_training_is_recorded_with_its_losses_and_its_time(run):
    trained = run.trials[["val_loss", "train_loss", "train_seconds"]]

    assert (trained > 0).all(axis=None)
    assert (run.trials["seconds"] >= run.trials["train_seconds"]).all()


def test_digits_are_learnt_at_least_a_little(run):
    """A guess is right for a tenth."""
    assert run.trials["top1"].max() > 0.3


def test_weights_are_kept_for_the_frontier_alone(run):
    kept = {path.name for path in (run.folder / "weights").iterdir()}

    assert kept == {f"{identifier}.safetensors" for identifier in run.frontier["architecture"]}
    assert len(kept) < len(run.trials)


def test_weights_give_the_recorded_accuracy_again(run, digits):
    for _, row in run.frontier.iterrows():
        architecture = Architecture.model_validate_json(run.descriptions[row["architecture"]])
        weights = run.folder / "weights" / f"{architecture.id}.safetensors"
        top1, loss = evaluate(
            load_network(architecture, weights), digits.validation, digits.normalisation, CPU
        )
        assert top1 == row["top1"]
        assert loss == pytest.approx(row["val_loss"], rel=1e-4)


def test_only_the_frontier_is_evaluated_on_the_test_images(run):
    judged = run.trials.loc[run.trials["test_top1"].notna(), "number"]

    assert sorted(judged) == sorted(run.frontier["number"])


def test_accuracy_on_the_test_images_is_that_of_the_weights(run, space, digits):
    test = load_test("digits", space.image.shape, 10)
    best = run.frontier.iloc[-1]
    architecture = Architecture.model_validate_json(run.descriptions[best["architecture"]])
    network = load_network(architecture, run.folder / "weights" / f"{architecture.id}.safetensors")

    assert evaluate(network, test, digits.normalisation, CPU)[0] == best["test_top1"]


def test_accuracy_on_the_test_images_is_plausible(run):
    assert run.frontier.iloc[-1]["test_top1"] > 0.2


def test_winners_are_architecture_files_of_the_recorded_architectures(run):
    files = sorted((run.folder / "frontier").glob("*.yaml"))

    assert sorted(load_architecture(file).id for file in files) == sorted(run.frontier["architecture"])


def test_winners_have_their_weights_beside_them(run):
    names = sorted(path.name for path in (run.folder / "frontier").iterdir())

    assert names == sorted(
        f"six-{identifier}.{ending}"
        for identifier in run.frontier["architecture"]
        for ending in ("yaml", "safetensors")
    )


def test_the_run_belongs_to_its_data(run, digits):
    assert run.manifest["identity"]["data_fingerprint"] == digits.fingerprint


def test_the_callback_was_called_for_every_step(run, heard):
    assert heard.phases[:2] == [(0, "profiling P-C"), (0, "training P-C")]
    winners = [int(slot) for slot in run.trials.loc[run.trials["on_frontier"], "slot"]]
    said = ["testing P-C"] * len(winners) + ["measuring the globality of P-C"] * len(winners)
    assert heard.phases[-len(said) :] == list(zip(winners * 2, said, strict=True))


def test_the_same_search_again_trains_nothing_and_tests_nothing(space, run):
    heard = Heard()
    run_study(space, STUDY, run.folder, callbacks=[heard])

    assert (heard.records, heard.phases) == ([], [])


def test_accuracies_do_not_depend_on_what_was_trained_before(space, run, tmp_path):
    """Another folder, stopped after two candidates and resumed."""
    search(space, STUDY.model_copy(update={"trials": 2}), tmp_path)
    search(space, STUDY.model_copy(update={"trials": 3}), tmp_path)

    assert [trial.values[0] for trial in recorded(tmp_path)] == list(run.trials["top1"][:3])


def test_one_search_starts_every_network_of_an_architecture_alike(space):
    architecture = space.draw(0)
    first, second = (seeded_network(architecture, 1).state_dict() for _ in range(2))

    assert all(torch.equal(first[name], second[name]) for name in first)


def test_another_seed_starts_it_elsewhere(space):
    architecture = space.draw(0)
    first, second = (seeded_network(architecture, seed).head.state_dict() for seed in (1, 2))

    assert not all(torch.equal(first[name], second[name]) for name in first)


def test_training_leaves_the_random_numbers_of_others_alone(space, tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(3).tolist()
    torch.manual_seed(7)
    search(space, STUDY.model_copy(update={"trials": 1}), tmp_path)

    assert torch.rand(3).tolist() == expected


def test_test_accuracies_are_kept_with_the_study(run):
    with opened(run.folder) as study:
        kept = study.user_attrs["test_top1"]

    assert {row["architecture"]: row["test_top1"] for _, row in run.frontier.iterrows()} == kept
