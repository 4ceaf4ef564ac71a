"""Networks exported: an architecture file that can be read, and weights and other formats of the same network."""

import shutil

import pytest
import torch

from archsearch.architecture import seeded_network
from archsearch.errors import InputError, SpaceError, WeightsError
from archsearch.export.export import export_architecture, export_frontier, export_published, export_trial
from archsearch.results import load_run
from archsearch.space import load_architecture
from archsearch.storage.run_folder import RunFolder
from archsearch.storage.weights import load_network, save_weights

QUICK = ("yaml", "weights")


@pytest.fixture
def trained(copy):
    """The run with weights of its frontier, as a search with real training leaves them, and the networks."""
    run = load_run(copy)
    networks = {}
    for identifier, file in zip(run.frontier["architecture"], winners(run), strict=True):
        network = seeded_network(load_architecture(file), seed=3).eval()
        save_weights(network.state_dict(), RunFolder(copy).weights_of(identifier))
        networks[identifier] = network
    return run, networks


def winners(run):
    return [run.folder / "frontier" / f"mixed-{name}.yaml" for name in run.frontier["architecture"]]


def best(run):
    return int(run.frontier["number"].iloc[-1])


def untrained(run, outcome):
    return int(run.trials.loc[run.trials["outcome"] == outcome, "number"].iloc[0])


def test_an_export_is_a_file_named_by_space_and_architecture(run, tmp_path):
    exported = export_trial(run, best(run), tmp_path / "new" / "folder")

    identifier = run.frontier["architecture"].iloc[-1]
    assert exported.files["yaml"].path == tmp_path / "new" / "folder" / f"mixed-{identifier}.yaml"
    assert exported.files["yaml"].path.is_file()


def test_an_exported_file_is_the_architecture_of_the_trial(run, tmp_path):
    for number in run.trials.loc[run.trials["outcome"] == "trained", "number"]:
        exported = export_trial(run, int(number), tmp_path)
        assert load_architecture(exported.files["yaml"].path).id == run.trials["architecture"][number]


def test_an_exported_architecture_has_the_name_of_its_file(run, tmp_path):
    exported = export_trial(run, best(run), tmp_path)

    assert load_architecture(exported.files["yaml"].path).name == exported.files["yaml"].path.stem


def test_an_exported_file_begins_with_where_it_comes_from(run, tmp_path):
    row = run.frontier.iloc[-1]
    heading = export_trial(run, best(run), tmp_path).files["yaml"].path.read_text().splitlines()[:2]

    assert heading == [
        f"# Trial {row['number']} of a search of mixed on digits, seed 0:",
        (
            f"# top1 {row['top1']:.6g}, macs {row['macs']}; {row['params']:,} parameters, "
            f"{row['macs']:,} MACs, globality {row['globality']:.3f}"
        ),
    ]


def test_without_weights_there_is_the_file_alone(run, tmp_path):
    exported = export_trial(run, best(run), tmp_path)

    assert "weights" not in exported.files
    assert list(exported.left_out) == ["no weights: they are kept for the trials on the frontier"]
    assert [path.suffix for path in tmp_path.iterdir()] == [".yaml"]


@pytest.mark.parametrize("formats", [["weights"], ["yaml", "program"]])
def test_without_weights_other_formats_are_refused(run, tmp_path, formats):
    with pytest.raises(InputError) as caught:
        export_trial(run, best(run), tmp_path / "new", formats)

    assert caught.value.lines() == [
        f"{run.folder}: --format: trial {best(run)} has no weights; write --format yaml, or another trial"
    ]
    assert not (tmp_path / "new").exists()


def test_without_weights_the_architecture_can_be_exported(run, tmp_path):
    exported = export_trial(run, best(run), tmp_path, ["yaml"])

    assert list(exported.files) == ["yaml"]


def test_a_file_and_its_weights_give_the_same_outputs(trained, tmp_path):
    run, networks = trained
    exported = export_trial(run, best(run), tmp_path, QUICK)
    rebuilt = load_network(
        load_architecture(exported.files["yaml"].path), exported.files["weights"].path
    ).eval()
    images = torch.linspace(-1, 1, 2 * 16 * 16).reshape(2, 1, 16, 16)

    with torch.no_grad():
        assert torch.equal(rebuilt(images), networks[run.frontier["architecture"].iloc[-1]](images))


def test_weights_are_written_beside_the_file_and_nothing_else_is(trained, tmp_path):
    exported = export_trial(trained[0], best(trained[0]), tmp_path / "out", QUICK)

    assert exported.files["weights"].path == exported.files["yaml"].path.with_suffix(".safetensors")
    assert sorted((tmp_path / "out").iterdir()) == sorted(
        [exported.files["yaml"].path, exported.files["weights"].path]
    )


def test_an_export_can_be_repeated(trained, tmp_path):
    first = export_trial(trained[0], best(trained[0]), tmp_path, QUICK)
    before = first.files["yaml"].path.read_bytes(), first.files["weights"].path.read_bytes()
    again = export_trial(trained[0], best(trained[0]), tmp_path, QUICK)

    assert (again.files["yaml"].path.read_bytes(), again.files["weights"].path.read_bytes()) == before


def test_a_standalone_file_begins_with_where_it_comes_from(trained, tmp_path):
    run, _ = trained
    exported = export_trial(run, best(run), tmp_path, ["standalone"])
    row = run.frontier.iloc[-1]

    lines = exported.files["standalone"].path.read_text().splitlines()
    assert lines[2] == f"Trial {row['number']} of a search of mixed on digits, seed 0:"
    assert lines[3].startswith(f"top1 {row['top1']:.6g}, macs {row['macs']}; ")


def test_a_trial_can_be_exported_with_its_weights_as_a_finalist(trained, tmp_path):
    run, networks = trained
    identifier = run.frontier["architecture"].iloc[-1]
    other = seeded_network(networks[identifier].architecture, seed=4)
    save_weights(other.state_dict(), RunFolder(run.folder).finals / f"{identifier}-seed1.safetensors")
    exported = export_trial(run, best(run), tmp_path, QUICK, final_seed=1)

    rebuilt = load_network(load_architecture(exported.files["yaml"].path), exported.files["weights"].path)
    assert torch.equal(rebuilt.head.linear.weight, other.head.linear.weight)
    assert "# Weights of the finalist, retrained from seed 1." in exported.files["yaml"].path.read_text()
    with pytest.raises(InputError) as caught:
        export_trial(run, best(run), tmp_path, final_seed=7)
    assert caught.value.lines() == [
        f"{run.folder}: --final-seed: there are no weights of seed 7; use one of 1"
    ]


def test_a_trial_that_was_no_finalist_has_no_such_weights(run, tmp_path):
    with pytest.raises(InputError, match="leave it out: this trial was no finalist"):
        export_trial(run, best(run), tmp_path, final_seed=0)


def test_weights_in_the_run_that_are_damaged_are_refused(trained, tmp_path):
    run, _ = trained
    RunFolder(run.folder).weights_of(run.frontier["architecture"].iloc[-1]).write_bytes(b"damaged")

    with pytest.raises(WeightsError, match="cannot be read as weights"):
        export_trial(run, best(run), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_architecture_file_and_its_weights_can_be_exported(trained, tmp_path):
    """The file is copied as it is, its comments stand in the standalone file, and files are named as it is."""
    run, networks = trained
    identifier = run.frontier["architecture"].iloc[-1]
    file = tmp_path / "mine.yaml"
    file.write_text("# Found\n#   in March.\n" + winners(run)[-1].read_text())
    weights = RunFolder(run.folder).weights_of(identifier)
    exported = export_architecture(file, weights, tmp_path / "out", ["yaml", "weights", "standalone"])

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "mine.pt",
        "mine.py",
        "mine.safetensors",
        "mine.yaml",
    ]
    assert exported.files["yaml"].path.read_text() == file.read_text()
    assert exported.files["standalone"].path.read_text().splitlines()[2:4] == ["Found", "in March."]
    rebuilt = load_network(load_architecture(exported.files["yaml"].path), exported.files["weights"].path)
    assert torch.equal(rebuilt.head.linear.weight, networks[identifier].head.linear.weight)


def test_a_file_that_holds_no_architecture_is_refused(tmp_path):
    (tmp_path / "some.yaml").write_text("name: some\n")

    with pytest.raises(SpaceError):
        export_architecture(tmp_path / "some.yaml", tmp_path / "some.pt", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_unknown_format_is_refused_before_anything_is_read(tmp_path):
    for take in (export_architecture, lambda *paths: export_published("resnet18", *paths[1:])):
        with pytest.raises(InputError, match="tar is not a format"):
            take(tmp_path / "no.yaml", tmp_path / "no.pt", tmp_path / "new", ["tar"])


@pytest.mark.parametrize("number", [99, -1])
def test_an_unknown_trial_is_refused_with_the_list_of_the_frontier(run, tmp_path, number):
    known = ", ".join(str(n) for n in run.frontier["number"])

    with pytest.raises(InputError) as caught:
        export_trial(run, number, tmp_path)

    assert caught.value.lines() == [
        f"{run.folder}: --trial: {number} is not a trained trial of this run; on the frontier are: {known}"
    ]


@pytest.mark.parametrize("outcome", ["infeasible", "failed"])
def test_a_trial_that_was_never_trained_cannot_be_exported(run, tmp_path, outcome):
    with pytest.raises(InputError, match="is not a trained trial of this run"):
        export_trial(run, untrained(run, outcome), tmp_path)


def test_a_refused_export_writes_nothing(run, tmp_path):
    with pytest.raises(InputError):
        export_trial(run, 99, tmp_path / "new")

    assert not (tmp_path / "new").exists()


def test_the_whole_frontier_is_in_the_run_folder(run):
    assert sorted((run.folder / "frontier").iterdir()) == sorted(winners(run))


def test_the_frontier_is_exported_again_if_it_is_lost(trained):
    run, _ = trained
    shutil.rmtree(run.folder / "frontier")
    export_frontier(run)

    assert sorted((run.folder / "frontier").glob("*.yaml")) == sorted(winners(run))
    assert len(list((run.folder / "frontier").glob("*.safetensors"))) == len(run.frontier)


def test_what_is_no_longer_on_the_frontier_is_removed(copy):
    former = copy / "frontier" / "mixed-000000000000.yaml"
    former.write_text("former")
    export_frontier(load_run(copy))

    assert not former.exists()
