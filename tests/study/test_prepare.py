"""What a caller brings: images, a sampler, objectives; and what is refused before anything is written."""

import shutil

import pytest
import torch
from table_search import GLANCE, SHORT, blind, recorded, search, settled, states, table
from torch.utils.data import Dataset

from archsearch import load_run
from archsearch.api import run_study
from archsearch.data import load_data
from archsearch.errors import DataError, InputError, RunFolderError
from archsearch.search import SAMPLER_NAMES
from archsearch.shapes import FeatureShape
from archsearch.storage.open import close, load_for_work
from archsearch.storage.run_folder import RunFolder
from archsearch.study.config import StudyConfig
from archsearch.study.plan_swaps import SwapOptions
from archsearch.study.train_swaps import train_swaps
from archsearch.trial import FixedTrial, proposal_of

TRAINED = StudyConfig(
    recipe=SHORT, objectives=("top1", "macs"), trials=1, scores=False, latency_seconds=GLANCE, threads=1
)


class Digits(Dataset):
    """Some images that are no file, of ten classes in turn."""

    def __init__(self, count=600, shift=0):
        self.images = torch.randint(0, 256, (count, 1, 8, 8), generator=torch.Generator().manual_seed(shift))

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        return self.images[row].to(torch.uint8), row % 10


def widest(space, rows, seed):
    """A sampler that always wants the same point."""
    return proposal_of(space, FixedTrial({"stem.channels": 8, "stages.0.channels": 12}))


# Twelve of the 96.
CONVOLUTIONS = [
    {
        "stem.channels": stem,
        "stages.0.channels": width,
        "stages.0.depth": 1,
        "stages.0.kind": "conv",
        "stages.0.conv.kernel": 1,
    }
    for stem in (4, 6, 8, 10)
    for width in (8, 12, 16)
]


def identity(folder):
    return RunFolder(folder).identity()


@pytest.fixture(scope="module")
def trained(space, tmp_path_factory):
    """A search on a data set of the caller's own, with a finalist."""
    config = TRAINED.model_copy(update={"finalists": 1, "finalist_seeds": 1})
    return run_study(space, config, tmp_path_factory.mktemp("own") / "run", data=Digits())


def test_a_data_set_is_split_as_any_source_and_winners_are_evaluated_on_its_test_images(trained):
    assert trained.trials["outcome"].tolist() == ["trained"]
    assert trained.frontier["test_top1"].notna().all()
    assert trained.finalists["test_top1_mean"].notna().all()
    assert identity(trained.folder)["data"] == "own data"


def test_the_same_images_resume_and_others_are_another_run(space, trained):
    more = TRAINED.model_copy(update={"trials": 2})
    with pytest.raises(RunFolderError, match="data_fingerprint was"):
        run_study(space, more, trained.folder, data=Digits(shift=1))
    search(space, more, trained.folder, data=Digits())

    assert states(trained.folder) == {"COMPLETE": 2}


def test_images_that_are_ready_are_used_as_they_are(space, tmp_path):
    data = load_data("digits", space.image.shape, 10, limit=SHORT.samples, validation_limit=64)
    search(space, TRAINED, tmp_path / "own", data=data)
    search(space, TRAINED, tmp_path / "named")

    assert settled(tmp_path / "own") == settled(tmp_path / "named")
    assert identity(tmp_path / "own")["data_fingerprint"] == data.fingerprint


def test_images_without_a_test_split_cannot_judge_finalists(space, tmp_path):
    data = load_data("digits", space.image.shape, 10, limit=SHORT.samples)
    with pytest.raises(InputError, match="finalists: there are no test images to judge them on"):
        search(space, TRAINED.model_copy(update={"finalists": 1}), tmp_path / "run", data=data)

    assert not (tmp_path / "run").exists()


def test_images_of_another_shape_are_refused(space, tmp_path):
    data = load_data("digits", FeatureShape(1, 16, 16), 10, limit=32)

    with pytest.raises(DataError, match=r"images are \(1, 16, 16\) and the space says \(1, 8, 8\)"):
        search(space, TRAINED, tmp_path / "run", data=data)


def test_images_beside_what_stands_in_for_training_are_refused(space, tmp_path):
    with pytest.raises(InputError, match="evaluate: stands in for training, so no images are used"):
        search(space, TRAINED, tmp_path / "run", data=Digits(), evaluate=table)


def test_a_sampler_of_ones_own_proposes_once_there_is_something_to_learn_from(tiny, out):
    asked = []

    def sampler(space, rows, seed):
        asked.append((len(rows), seed))
        taken = {row.observation.identity for row in rows}
        proposals = (proposal_of(space, FixedTrial(point)) for point in CONVOLUTIONS)
        return next(proposal for proposal in proposals if proposal.architecture.id not in taken)

    search(tiny, blind(trials=13), out, evaluate=table, sampler=sampler)

    assert [rows for rows, _ in asked] == [10, 11, 12]
    assert len({seed for _, seed in asked}) == 3
    assert {trial.params["stages.0.kind"] for trial in recorded(out)[10:]} == {"conv"}


def test_a_folder_belongs_to_the_name_of_its_sampler(six, out):
    search(six, blind(trials=1), out, evaluate=table, sampler=widest)

    assert identity(out)["sampler"] == f"{__name__}.widest"
    assert identity(out)["sampler"] not in SAMPLER_NAMES
    with pytest.raises(RunFolderError, match=r"sampler was .*widest and is auto"):
        search(six, blind(trials=2), out, evaluate=table)


def test_an_objective_that_nothing_measures_is_refused_with_those_that_are(six, out):
    with pytest.raises(
        InputError, match="energy_mj is no objective that archsearch measures; use one of top1,"
    ):
        search(six, blind(objectives=("top1", "energy_mj")), out)

    assert not out.exists()


def test_a_limit_on_a_value_of_ones_own_is_refused(six, out):
    with pytest.raises(InputError, match=r"limits\.energy_mj: is no limit of a study"):
        search(six, blind(limits={"energy_mj": 1.0}), out, evaluate=table)


def test_swaps_of_a_run_on_own_images_are_trained_on_these(tmp_path_factory, trained):
    folder = shutil.copytree(trained.folder, tmp_path_factory.mktemp("swapped") / "run")
    study = load_for_work(folder / "study.db")
    options = SwapOptions(int(trained.finalists["number"][0]), tolerance=0.9, seeds=1)
    with pytest.raises(DataError, match="own data"):
        train_swaps(study, RunFolder(folder), options)
    train_swaps(study, RunFolder(folder), options, data=Digits())
    close(study)

    assert load_run(folder).swaps["seeds"].max() == 1
