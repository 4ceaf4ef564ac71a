"""One architecture trained in full: what it leaves, and that a stopped training ends on the same bits."""

import csv
import fcntl
import json

import pytest
import torch
from safetensors.torch import load_file

from archsearch import train_architecture
from archsearch.architecture import Architecture, Image, seeded_network
from archsearch.data import load_data, load_test
from archsearch.errors import CallbackError, InfeasibleError, RunFolderError, WeightsError
from archsearch.files import file_lock
from archsearch.proxy import Recipe, Training, evaluate
from archsearch.stages import ConvStage, PatchStem
from archsearch.storage.checkpoint import Checkpoint
from archsearch.storage.weights import load_network, save_weights
from archsearch.study import train_architecture as training
from archsearch.study import training_plan
from archsearch.study.callbacks import Callback
from archsearch.study.config import StudyConfig
from archsearch.study.train_architecture import POINTS, stops

SMALL = Architecture(
    name="small",
    image=Image(channels=1, height=8, width=8),
    classes=10,
    stem=PatchStem(channels=4, size=2),
    stages=(ConvStage(channels=8, depth=1, expansion=0.5),),
)
RECIPE = Recipe(samples=40 * 16, batch_size=16, validation_images=64, ema=0.5)
STUDY = StudyConfig(recipe=RECIPE, seed=3, device="cpu", threads=1)


def study(**changes):
    return STUDY.model_copy(update={"recipe": RECIPE.model_copy(update=changes)})


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def curve(folder):
    """The learning curve, but for the seconds that it took."""
    with (folder / "curve.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


class StoppedError(Exception):
    """What a test stops a training by."""


class Curve(Callback):
    """Hears the points of a learning curve, and stops the training at one of them."""

    def __init__(self, stop_at=None):
        self.points, self.stop_at = [], stop_at

    def on_rung(self, reading):
        self.points.append(reading)
        if len(self.points) == self.stop_at:
            raise RuntimeError("enough")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A training that nothing stopped, and what it told."""
    folder, heard = tmp_path_factory.mktemp("done") / "out", Curve()
    return train_architecture(SMALL, STUDY, folder, callbacks=[heard]), heard.points


def test_a_training_leaves_weights_a_curve_and_its_conditions(done):
    assert contents(done[0].folder).keys() == {
        *("run.json", "train.lock", "architecture.yaml", "weights.safetensors", "curve.csv", "result.json")
    }


def test_it_is_the_training_of_the_recipe_with_the_seed_of_the_study(done):
    """The seed decides initial weights and the order of images, as it does for a finalist."""
    data = load_data("digits", SMALL.image.shape, 10, limit=RECIPE.samples, validation_limit=64)
    network = seeded_network(SMALL, 3)
    recipe = RECIPE.model_copy(update={"seed": 3})
    score = Training(network, data, recipe, torch.device("cpu")).finish()

    weights = load_file(done[0].weights)
    assert done[0].top1 == score.top1
    assert all(torch.equal(weights[name], tensor) for name, tensor in network.state_dict().items())


def test_the_kept_weights_are_evaluated_on_the_test_images(done):
    data = load_data("digits", SMALL.image.shape, 10, limit=RECIPE.samples)
    network = load_network(SMALL, done[0].weights)
    test = load_test("digits", SMALL.image.shape, 10)
    top1, _ = evaluate(network, test, data.normalisation, torch.device("cpu"))

    assert done[0].test_top1 == top1


def test_the_curve_has_every_point_and_ends_on_the_result(done):
    trained, told = done
    rows = curve(trained.folder)

    assert [float(row["share"]) for row in rows] == [point / POINTS for point in range(1, POINTS + 1)]
    assert [int(row["samples"]) for row in rows] == [32 * point for point in range(1, POINTS + 1)]
    assert float(rows[-1]["top1"]) == trained.top1
    assert [point["top1"] for point in told] == [float(row["top1"]) for row in rows]


def test_the_result_says_under_which_conditions(done):
    result = json.loads((done[0].folder / "result.json").read_text())

    assert result["architecture"] == SMALL.id
    assert (result["samples"], result["recipe"]["seed"], result["data"]) == (640, 3, "digits")
    assert result["conditions"]["torch"] == torch.__version__
    assert (result["conditions"]["threads"], result["conditions"]["precision"]) == (1, "float32")
    assert len(result["normalisation"]["mean"]) == 1


@pytest.mark.parametrize("point", [1, 7, POINTS])
def test_a_training_that_is_stopped_ends_on_the_same_bits(done, tmp_path, point):
    with pytest.raises(CallbackError, match="callback Curve: RuntimeError: enough"):
        train_architecture(SMALL, STUDY, tmp_path, callbacks=[Curve(stop_at=point)])
    assert not (tmp_path / "result.json").exists()
    heard = Curve()
    again = train_architecture(SMALL, STUDY, tmp_path, callbacks=[heard])

    assert again.weights.read_bytes() == done[0].weights.read_bytes()
    assert curve(tmp_path) == curve(done[0].folder)
    assert len(heard.points) == max(POINTS - point, 1)
    assert again.fresh


def test_a_long_training_is_written_down_between_the_points_of_its_curve(done, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    saved, save = [], Checkpoint.save

    def counted(self, state, rungs):
        save(self, state, rungs)
        saved.append(len(rungs))
        if len(saved) == 12:
            raise StoppedError

    monkeypatch.setattr(Checkpoint, "save", counted)
    with pytest.raises(StoppedError):
        train_architecture(SMALL, STUDY, tmp_path)
    monkeypatch.setattr(Checkpoint, "save", save)
    again = train_architecture(SMALL, STUDY, tmp_path)

    # Forty steps: a stop at each, a point of the curve at each second one.
    assert saved == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6]
    assert again.weights.read_bytes() == done[0].weights.read_bytes()


def test_a_stop_while_the_results_are_written_loses_nothing(done, tmp_path, monkeypatch):
    def stopped(*_):
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(training_plan, "curve_csv", stopped)
        with pytest.raises(StoppedError):
            train_architecture(SMALL, STUDY, tmp_path)
    again = train_architecture(SMALL, STUDY, tmp_path)

    assert again.weights.read_bytes() == done[0].weights.read_bytes()
    assert contents(tmp_path).keys() == contents(done[0].folder).keys()


def test_a_finished_training_is_not_touched_again(done):
    before = contents(done[0].folder)
    heard = Curve()
    again = train_architecture(SMALL, STUDY, done[0].folder, callbacks=[heard])

    assert (again.fresh, again.top1, again.test_top1, heard.points) == (
        False,
        done[0].top1,
        done[0].test_top1,
        [],
    )
    assert contents(done[0].folder) == before


@pytest.mark.parametrize(
    ("architecture", "config", "told"),
    [
        (SMALL, study(learning_rate=1e-3), "recipe.learning_rate was 0.004 and is 0.001"),
        (SMALL, STUDY.model_copy(update={"seed": 4}), "recipe.seed was 3 and is 4"),
        (SMALL.model_copy(update={"stem": PatchStem(channels=5, size=2)}), STUDY, "architecture was"),
    ],
)
def test_another_training_in_the_same_folder_is_refused(done, architecture, config, told):
    before = contents(done[0].folder)
    with pytest.raises(RunFolderError, match="belongs to another run") as caught:
        train_architecture(architecture, config, done[0].folder)

    assert told in str(caught.value)
    assert contents(done[0].folder) == before


def test_what_says_nothing_of_a_single_training_may_change(done):
    other = STUDY.model_copy(update={"trials": 99, "objectives": ("top1", "macs"), "sampler": "random"})

    assert not train_architecture(SMALL, other, done[0].folder).fresh


def test_a_folder_that_another_process_works_in_is_refused(tmp_path):
    with file_lock(tmp_path / "train.lock", fcntl.LOCK_EX), pytest.raises(RunFolderError, match="is in use"):
        train_architecture(SMALL, STUDY, tmp_path)


def test_a_training_can_start_from_weights(done, tmp_path):
    given = tmp_path / "given.safetensors"
    save_weights(seeded_network(SMALL, 8).state_dict(), given)
    still = study(learning_rate=1e-12, ema=0.0)
    trained = train_architecture(SMALL, still, tmp_path / "out", weights=given)

    ours, theirs = load_file(trained.weights)["head.linear.weight"], load_file(given)["head.linear.weight"]
    assert torch.allclose(ours, theirs, atol=1e-6)
    with pytest.raises(RunFolderError, match=r"start was '?[0-9a-f]{12}'? and is None"):
        train_architecture(SMALL, still, tmp_path / "out")


def test_weights_of_another_network_are_refused_and_nothing_is_written(tmp_path):
    given = tmp_path / "given.safetensors"
    save_weights({"a": torch.zeros(1)}, given)

    with pytest.raises(WeightsError, match="a: belongs to another network"):
        train_architecture(SMALL, STUDY, tmp_path / "out", weights=given)
    assert not (tmp_path / "out").exists()


def test_a_loss_that_is_no_number_says_what_to_change(tmp_path):
    weights = seeded_network(SMALL, 8).state_dict()
    weights["head.linear.bias"][0] = torch.nan
    save_weights(weights, tmp_path / "given.safetensors")

    with pytest.raises(InfeasibleError) as caught:
        train_architecture(SMALL, STUDY, tmp_path / "out", weights=tmp_path / "given.safetensors")
    assert str(caught.value) == (
        "small: train: loss is nan at step 1 of 40, learning rate 0.004; "
        "write a lower learning_rate, or a smaller batch_size, in the recipe of a study file"
    )


@pytest.mark.parametrize("steps", [1, 2, 7, 40, 199, 1000])
def test_stops_rise_and_leave_the_last_step_to_the_end(steps):
    places = list(stops(steps))

    assert places == sorted(set(places))
    assert all(1 <= place < steps for place in places)
    assert sum(stops(steps).values()) == min(POINTS - 1, steps - 1)
