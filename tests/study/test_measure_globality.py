"""After a search the winners are asked how far they really reach: once, again when they have finals, never without need."""

import shutil

import pytest
from table_search import SHORT, Heard, opened, search, table

from archsearch.results import load_run
from archsearch.space import load_space
from archsearch.study import measure_globality as measuring
from archsearch.study.config import StudyConfig

MIXED = """\
name: mixed
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: conv, channels: {choice: [4, 6]}, kernel: 3, stride: 2}
stages:
  - channels: 8
    depth: 1
    kind:
      conv: {kernel: 3, expansion: 0.5}
      mhsa: {heads: 2, expansion: 0.5, position: none}
"""
STUDY = StudyConfig(recipe=SHORT, objectives=("top1", "macs"), trials=3, scores=False)


def entries(folder):
    """What the study keeps, by architecture."""
    with opened(folder) as study:
        attributes = study.user_attrs
    return {key.split(":")[1]: value for key, value in attributes.items() if key.startswith("realised:")}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    path = tmp_path_factory.mktemp("realised") / "mixed.yaml"
    path.write_text(MIXED)
    return load_space(path)


@pytest.fixture(scope="module")
def finished(mixed, tmp_path_factory):
    """The folder of a search with its callback; no test may change it."""
    out, heard = tmp_path_factory.mktemp("finished") / "run", Heard()
    search(mixed, STUDY, out, callbacks=[heard])
    return out, heard


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "copy")


def test_every_winner_is_measured_and_the_callback_is_called(finished):
    folder, heard = finished
    frontier = load_run(folder).frontier

    assert entries(folder).keys() == set(frontier["architecture"])
    measured = [(slot, what) for slot, what in heard.phases if what.startswith("measuring")]
    assert sorted(measured) == sorted(
        (row["slot"], f"measuring the globality of {row['layout']}") for _, row in frontier.iterrows()
    )


def test_what_is_kept_is_the_network_s_and_each_mixer_s(finished):
    run = load_run(finished[0])
    for identity, entry in entries(finished[0]).items():
        (trial,) = run.trials[run.trials["architecture"] == identity].to_dict("records")

        assert (entry["source"], entry["networks"], entry["images"]) == ("search", 1, measuring.IMAGES)
        assert 0 < entry["realised_globality"][0] <= 1
        assert 0 < entry["erf_side"][0] <= 1
        assert (entry["attention_distance"] is None) == (trial["family"] == "all-local")
        assert [mixer["place"] for mixer in entry["mixers"]] == ["stem", "stages.0"]
        structure = [mixer["structural"] for mixer in entry["mixers"]]
        assert sum(structure) / 2 == pytest.approx(trial["globality"])


def test_the_results_have_a_row_for_each_winner(finished):
    run = load_run(finished[0])

    assert set(run.measured_globality["architecture"]) == set(run.frontier["architecture"])
    assert set(run.measured_globality["source"]) == {"search"}
    assert run.measured_globality["measured_low"].isna().all()


def test_the_same_command_again_measures_nothing(mixed, copy, monkeypatch):
    def measured_again(*_):
        raise AssertionError

    monkeypatch.setattr(measuring, "measure_winner", measured_again)
    search(mixed, STUDY, copy)


def test_finalists_are_measured_again_one_network_a_seed(mixed, copy):
    search(mixed, STUDY.model_copy(update={"finalists": 1, "finalist_seeds": 2}), copy)
    run = load_run(copy)

    (row,) = run.measured_globality[run.measured_globality["source"] == "finals"].to_dict("records")
    assert row["architecture"] == run.finalists["architecture"][0]
    values = entries(copy)[row["architecture"]]["realised_globality"]
    assert len(values) == 2
    assert values[0] != values[1]
    assert row["measured_globality"] == pytest.approx(sum(values) / 2)
    assert row["measured_low"] < row["measured_globality"] < row["measured_high"]


def test_a_dead_worker_leaves_its_network_to_the_next(mixed, copy):
    (identity, before), *_ = entries(copy).items()
    with opened(copy) as study:
        study.set_user_attr(f"realised:{identity}", {"worker": "gone-1-00000000"})
    search(mixed, STUDY, copy)

    again = entries(copy)[identity]
    assert {**again, "seconds": None} == {**before, "seconds": None}


def test_a_network_that_breaks_costs_nothing_else_and_is_not_measured_again(mixed, copy, monkeypatch):
    identity, *_ = entries(copy)
    with opened(copy) as study:
        study.set_user_attr(f"realised:{identity}", {"worker": "gone-1-00000000"})
    (copy / "weights" / f"{identity}.safetensors").write_bytes(b"no weights")
    search(mixed, STUDY, copy)

    assert entries(copy)[identity]["error"].startswith("realised: SafetensorError")
    assert identity not in set(load_run(copy).measured_globality["architecture"])
    monkeypatch.setattr(measuring, "measure_winner", lambda *_: pytest.fail("measured again"))
    search(mixed, STUDY, copy)


def test_whose_weights_lie_elsewhere_is_left_to_the_worker_there(mixed, copy):
    with opened(copy) as study:
        identity = study.best_trials[0].user_attrs["architecture"]
        study.set_user_attr(f"realised:{identity}", {"worker": "gone-1-00000000"})
    (copy / "weights" / f"{identity}.safetensors").unlink()
    search(mixed, STUDY, copy)

    assert entries(copy)[identity] == {"worker": "gone-1-00000000"}


def test_it_can_be_switched_off_and_is_no_part_of_the_identity(mixed, tmp_path):
    off = STUDY.model_copy(update={"realised": False, "trials": 1})
    search(mixed, off, tmp_path / "run")

    assert entries(tmp_path / "run") == {}
    assert off.fingerprint == STUDY.fingerprint


def test_where_nothing_was_trained_nothing_is_measured(mixed, tmp_path):
    search(mixed, STUDY.model_copy(update={"trials": 1}), tmp_path / "run", evaluate=table)

    assert entries(tmp_path / "run") == {}
    assert load_run(tmp_path / "run").measured_globality.empty
