import pytest
from digit_files import write_folder

from archsearch.data import sources
from archsearch.data.sources import SourceKind, forbids_mirroring, open_source
from archsearch.errors import DataError


def refused(name) -> str:
    with pytest.raises(DataError) as refusal:
        open_source(str(name), 10)
    return str(refusal.value)


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    from archsearch.data import huggingface

    def reached(name):
        raise AssertionError(f"{name} was taken for a name on the hub")

    monkeypatch.setattr(huggingface, "_load_from_hub", reached)


@pytest.mark.parametrize(
    "name",
    ["/nonexistent", "./digits", "~/nothing-of-this-name", "a.parquet", "a/b/c", "data set", "x\\y", "-"],
)
def test_what_looks_like_a_path_is_never_taken_for_a_hub_name(name):
    assert refused(name) == (
        f"{name}: there is no such file or folder; "
        "write digits, procedural:TASK (texture, layout, xor or matching), a .parquet file, "
        "a folder with Parquet files or class folders, or a name on the hub"
    )


def test_a_missing_folder_inside_one_that_exists_is_a_path(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)

    assert "there is no such file or folder" in refused("data/cifar")


@pytest.mark.parametrize("name", ["", "a\nb", "a\0b"])
def test_an_unprintable_name_is_refused(name):
    assert "is not the name of a source" in refused(name)


def test_a_file_that_is_no_parquet_file_is_refused(tmp_path):
    (tmp_path / "images.zip").write_bytes(b"")

    assert "the file is not a Parquet file" in refused(tmp_path / "images.zip")


def test_an_empty_folder_is_refused(tmp_path):
    assert "the folder holds no Parquet file and no class folders with images" in refused(tmp_path)


def test_an_empty_train_folder_is_refused_by_name(tmp_path, handwriting):
    write_folder(tmp_path / "test", *handwriting)
    (tmp_path / "train").mkdir()

    assert "train/ holds no Parquet file and no class folders with images" in refused(tmp_path)


def test_a_folder_beside_train_and_test_is_refused_and_not_mixed_in(tmp_path, handwriting):
    images, labels = handwriting
    for name in ("train", "test", "extra"):
        write_folder(tmp_path / name, images[:3], labels[:3])

    assert "lies deeper than a class folder" in refused(tmp_path)


def test_a_class_may_be_called_train(tmp_path, handwriting):
    images, labels = handwriting
    for name in ("train", "lorry"):
        write_folder(tmp_path, images[:1], labels[:1])
        (tmp_path / "digit0").rename(tmp_path / name)

    assert open_source(str(tmp_path), 2).class_names == ("lorry", "train")


def test_without_the_extra_the_remedy_is_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "find_spec", lambda name: None)

    assert "pip install 'archsearch[data]'" in refused(tmp_path)


def test_the_digits_need_no_extra(monkeypatch):
    monkeypatch.setattr(sources, "find_spec", lambda name: None)

    assert len(open_source("digits", 10).tables["train"].labels) == 1797


def test_a_new_entry_of_the_table_is_a_source_and_is_in_every_remedy(monkeypatch):
    opened = []
    kind = SourceKind("noise:N", lambda name: name == "noise:4", lambda *asked: opened.append(asked), True)
    monkeypatch.setattr(sources, "SOURCES", (kind, *sources.SOURCES))
    open_source("noise:4", 3)

    assert opened == [("noise:4", 3)]
    assert not forbids_mirroring("noise:4")
    assert "; write noise:N, digits, " in refused("./nothing")


@pytest.mark.parametrize(
    ("name", "forbidden"),
    [("digits", True), ("procedural:xor", True), ("cifar10", False), ("./digits", False), ("", False)],
)
def test_digits_and_drawings_must_not_be_mirrored(name, forbidden):
    assert forbids_mirroring(name) is forbidden
