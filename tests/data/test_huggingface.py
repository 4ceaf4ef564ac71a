import logging
import shutil
import socket

import datasets
import huggingface_hub
import numpy as np
import pytest
from digit_files import png, write_parquet
from huggingface_hub.errors import RepositoryNotFoundError

from archsearch.data.huggingface import image_column, label_column
from archsearch.data.sources import open_source
from archsearch.errors import ArchsearchError, DataError, EnvironmentFaultError

NUMBER, TEXT, IMAGE = datasets.Value("int64"), datasets.Value("string"), datasets.Image()
STRUCT = {"bytes": datasets.Value("binary"), "path": TEXT}


def refused(name, kind: type[ArchsearchError] = DataError) -> str:
    with pytest.raises(kind) as refusal:
        open_source(str(name), 10)
    return str(refusal.value)


def test_the_image_column_is_found_by_its_type():
    assert image_column("s", {"label": NUMBER, "digit": STRUCT}) == "digit"
    assert image_column("s", {"label": NUMBER, "photo": IMAGE}) == "photo"


def test_among_several_images_the_one_called_image_is_taken():
    assert image_column("s", {"image": IMAGE, "mask": IMAGE}) == "image"


def test_several_nameless_images_are_refused_with_the_columns():
    with pytest.raises(DataError) as refusal:
        image_column("s", {"left": IMAGE, "right": IMAGE})

    assert str(refusal.value) == (
        "s: no single column of images among left, right; keep one column of images, or call it image"
    )


def test_among_several_class_labels_the_one_with_the_classes_of_the_space_is_taken():
    features = {"fine": datasets.ClassLabel(100), "coarse": datasets.ClassLabel(20), "img": IMAGE}

    assert label_column("s", features, 20) == "coarse"


def test_a_row_number_beside_the_label_is_no_label():
    assert label_column("s", {"img": IMAGE, "idx": NUMBER, "label": TEXT}, 10) == "label"


def test_several_integers_are_refused_with_the_columns():
    with pytest.raises(DataError, match="no single column of labels among img, a, b"):
        label_column("s", {"img": IMAGE, "a": NUMBER, "b": NUMBER}, 10)


def test_words_become_classes_in_sorted_order(tmp_path, handwriting):
    images, _ = handwriting
    words = ["zebra", "ant", "moth"] * 4
    path = write_parquet(tmp_path / "a.parquet", map(png, images[:12]), species=words)
    source = open_source(str(path), 3)

    assert source.class_names == ("ant", "moth", "zebra")
    assert source.tables["train"].labels.tolist() == [2, 0, 1] * 4


def test_integers_with_gaps_become_classes_in_sorted_order(tmp_path, handwriting):
    images, _ = handwriting
    path = write_parquet(tmp_path / "a.parquet", map(png, images[:6]), label=[10, 2, 7] * 2)
    source = open_source(str(path), 3)

    assert source.class_names == ("2", "7", "10")
    assert source.tables["train"].labels.tolist() == [2, 0, 1] * 2


def test_a_row_without_a_label_is_refused(tmp_path, handwriting):
    images, _ = handwriting
    path = write_parquet(tmp_path / "a.parquet", map(png, images[:4]), label=[1, 0, None, 1])

    assert "label: there are rows without a label" in refused(path)


def test_a_label_outside_the_named_classes_is_refused(tmp_path, handwriting):
    images, _ = handwriting
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    table = {"image": [{"bytes": png(image), "path": None} for image in images[:3]], "label": [0, 1, -1]}
    datasets.Dataset.from_dict(table, features=features).to_parquet(tmp_path / "a.parquet")

    assert "label: there are rows with the label -1 and 2 classes are named" in refused(
        tmp_path / "a.parquet"
    )


def test_splits_of_a_parquet_folder_are_recognised_by_file_name(tmp_path, handwriting):
    images, labels = handwriting
    for split, rows in {"train": slice(0, 200), "valid": slice(200, 250), "test": slice(250, 300)}.items():
        write_parquet(tmp_path / f"{split}.parquet", map(png, images[rows]), label=labels[rows])
    tables = open_source(str(tmp_path), 10).tables

    assert {role: len(table.labels) for role, table in tables.items()} == {
        "train": 200,
        "validation": 50,
        "test": 50,
    }


def test_a_cut_parquet_file_is_refused(parquet, capfd):
    parquet.write_bytes(parquet.read_bytes()[:-100])

    assert f"{parquet}: the data cannot be read (Parquet magic bytes not found" in refused(parquet)
    assert capfd.readouterr().err == ""


def test_a_parquet_folder_with_a_wildcard_in_its_name_is_refused(tmp_path, parquet):
    wild = tmp_path / "a[1]"
    wild.mkdir()
    parquet.rename(wild / "digits.parquet")

    assert "for wildcards; rename the folder" in refused(wild)


def test_an_image_folder_may_have_a_wildcard_in_its_name(folder):
    source = open_source(str(folder.rename(folder.with_name("a[1] *"))), 10)

    assert len(source.tables["train"].labels) == 300


def test_a_hub_that_cannot_be_reached_is_the_environment(monkeypatch):
    def unreachable(self, name, timeout):
        raise OSError("Name or service not known")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)

    assert refused("ylecun/mnist", EnvironmentFaultError) == (
        "ylecun/mnist: no such file or folder here, and the Hugging Face hub cannot be reached (Name or service not "
        "known); download it and give the path of its folder, or set HF_HUB_OFFLINE=1 to use what is cached"
    )


def test_a_hub_that_is_switched_off_is_not_called(monkeypatch):
    def asked(self, name, timeout):
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", asked)
    monkeypatch.setattr(
        datasets, "load_dataset", lambda name, data_files: (_ for _ in ()).throw(ConnectionError)
    )

    assert "HF_HUB_OFFLINE=1 to use what is cached" in refused("ylecun/mnist", EnvironmentFaultError)


def test_a_name_that_the_hub_does_not_have_is_the_users(monkeypatch):
    def unknown(self, name, timeout):
        raise RepositoryNotFoundError.__new__(RepositoryNotFoundError)

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unknown)

    assert "no such data set on the Hugging Face hub; check its spelling" in refused("ylecun/minst")


def test_a_full_disk_is_the_environment(parquet, monkeypatch):
    def full(name, data_files):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(datasets, "load_dataset", full)

    assert "No space left on device" in refused(parquet, EnvironmentFaultError)


def test_reading_is_silent_and_leaves_the_settings_of_datasets_alone(parquet, capfd):
    datasets.utils.logging.set_verbosity(logging.INFO)
    datasets.enable_progress_bars()
    open_source(str(parquet), 10)

    assert capfd.readouterr() == ("", "")
    assert datasets.utils.logging.get_verbosity() == logging.INFO
    assert not datasets.utils.are_progress_bars_disabled()


def test_pictures_come_in_the_order_asked_for(parquet, handwriting):
    rows = [299, 0, 257, 3]
    pictures = open_source(str(parquet), 10).tables["train"].pictures(rows)
    found = [np.asarray(picture.open()) for picture in pictures]

    assert np.array_equal(np.stack(found), handwriting[0][rows])


def test_local_files_are_read_without_the_network(parquet, folder, monkeypatch):
    asked = []
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: asked.append(args))
    monkeypatch.setattr(socket.socket, "connect", lambda *args: asked.append(args))
    wrapped = parquet.parent / "wrapped"
    wrapped.mkdir()
    shutil.copy(parquet, wrapped / "train.parquet")
    for source in (folder, parquet, wrapped):
        open_source(str(source), 10)

    assert asked == []
