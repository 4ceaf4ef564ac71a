from itertools import combinations

import numpy as np
import pytest
import torch
from digit_files import GREY, png, write_folder, write_parquet
from hypothesis import given
from hypothesis import strategies as st

from archsearch.data.dataset import (
    Normalisation,
    fingerprint,
    load_data,
    load_test,
    split_source,
    stratified_order,
)
from archsearch.data.images import DataSource, SplitTable
from archsearch.data.sources import open_source
from archsearch.errors import DataError
from archsearch.shapes import FeatureShape


def refused(source, image=GREY, classes=10) -> str:
    with pytest.raises(DataError) as refusal:
        load_data(str(source), image, classes)
    return str(refusal.value)


def rows_by_role(source):
    return {role: set(part.rows.tolist()) for role, part in split_source("s", source).items()}


def assert_disjoint(source, total):
    rows = rows_by_role(source)

    assert all(not (a & b) for a, b in combinations(rows.values(), 2))
    assert sum(map(len, rows.values())) == total


def test_digits_are_split_60_20_20():
    rows = rows_by_role(open_source("digits", 10))

    # 20 % of 1797 is 359.4
    assert {role: len(found) for role, found in rows.items()} == {
        "test": 359,
        "validation": 359,
        "train": 1079,
    }


def test_the_splits_of_digits_are_disjoint():
    assert_disjoint(open_source("digits", 10), 1797)


def test_the_splits_of_a_parquet_file_are_disjoint(parquet):
    assert_disjoint(open_source(str(parquet), 10), 300)


def test_the_splits_of_an_image_folder_are_disjoint(folder):
    assert_disjoint(open_source(str(folder), 10), 300)


def test_no_picture_is_in_both_training_and_validation(digits):
    splits = (digits.train, digits.validation, load_test("digits", GREY, 10))
    contents = [{image.numpy().tobytes() for image in split.images} for split in splits]

    assert all(not (a & b) for a, b in combinations(contents, 2))


def contents(source) -> list[bytes]:
    data, test = load_data(str(source), GREY, 10), load_test(str(source), GREY, 10)
    return sorted(
        image.numpy().tobytes() for split in (data.train, data.validation, test) for image in split.images
    )


def test_the_splits_hold_every_picture_of_a_file_or_folder_once(parquet, folder, handwriting):
    known = sorted(image.tobytes() for image in handwriting[0])

    assert contents(parquet) == known
    assert contents(folder) == known


def test_a_test_split_of_the_source_stays_the_test_split(tmp_path, handwriting):
    images, labels = handwriting
    write_folder(tmp_path / "train", images[:200], labels[:200])
    write_folder(tmp_path / "test", images[200:], labels[200:])
    data, test = load_data(str(tmp_path), GREY, 10), load_test(str(tmp_path), GREY, 10)

    assert (len(data.train), len(data.validation), len(test)) == (180, 20, 100)
    assert sorted(map(bytes, test.images.flatten(1).numpy())) == sorted(
        bytes(image) for image in images[200:]
    )


def test_a_missing_test_split_is_held_out_of_train(tmp_path, handwriting):
    images, labels = handwriting
    write_folder(tmp_path / "train", images[:200], labels[:200])
    write_folder(tmp_path / "val", images[200:], labels[200:])
    data, test = load_data(str(tmp_path), GREY, 10), load_test(str(tmp_path), GREY, 10)

    assert (len(data.train), len(data.validation), len(test)) == (180, 100, 20)


def test_pictures_keep_their_labels(parquet, handwriting):
    images, labels = handwriting
    known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    data = load_data(str(parquet), GREY, 10)

    assert data.train.images.dtype == torch.uint8
    assert data.train.labels.dtype == torch.int64
    assert data.train.labels.tolist() == [known[image.numpy().tobytes()] for image in data.train.images]


def test_a_limit_takes_the_first_images_of_the_same_order(digits):
    few = load_data("digits", GREY, 10, limit=100, validation_limit=50)

    assert torch.equal(few.train.images, digits.train.first(100).images)
    assert torch.equal(few.validation.labels, digits.validation.first(50).labels)
    assert few.fingerprint == digits.fingerprint


def test_a_limit_keeps_the_classes_in_proportion(digits):
    counts = digits.train.first(100).labels.bincount()

    assert counts.min() >= 9
    assert counts.max() <= 11


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.data())
def test_every_prefix_of_the_order_holds_each_class_in_proportion(labels, data):
    labels = np.array(labels)
    order = stratified_order(labels)
    prefix = data.draw(st.integers(0, len(labels)))
    shares = np.bincount(labels[order[:prefix]], minlength=5) - np.bincount(
        labels, minlength=5
    ) * prefix / len(labels)

    assert sorted(order.tolist()) == list(range(len(labels)))
    assert np.abs(shares).max() <= 2.5  # rounding of five classes at most


def test_images_come_in_the_shape_of_the_space(folder):
    data = load_data(str(folder), FeatureShape(3, 12, 10), 10, limit=20)

    assert data.train.images.shape == (20, 3, 12, 10)


def test_another_number_of_classes_is_refused_with_the_right_one():
    assert refused("digits", classes=12) == (
        "digits: classes: the data has 10 classes and the space says 12; write classes: 10"
    )


def test_one_class_is_refused(tmp_path, handwriting):
    write_folder(tmp_path, handwriting[0][:3], [0, 0, 0])

    assert refused(tmp_path).endswith(
        "the data has 1 class and a classifier needs 2 at least; check the labels, or add a class"
    )


def test_two_channels_are_refused():
    assert refused("digits", FeatureShape(2, 8, 8)) == (
        "digits: channels: images have 1 channel (grey) or 3 (RGB) and the space says 2; write channels: 3"
    )


def test_a_class_that_is_too_small_to_split_is_named(tmp_path, handwriting):
    write_folder(tmp_path, handwriting[0][:22], [0] * 20 + [1] * 2)

    assert refused(tmp_path, classes=2) == (
        f"{tmp_path}: digit1: 2 images to share among test, validation, train are too few; "
        "give the class at least 5, or take it out"
    )


@pytest.mark.parametrize("needed", [5, 7, 50])
def test_five_images_of_each_class_are_enough(needed):
    labels = np.repeat(np.arange(4), needed)
    parts = split_source("s", DataSource({"train": SplitTable(labels, lambda rows: iter(()))}, tuple("abcd")))

    assert all(part.counts(4).min() >= 1 for part in parts.values())


def test_cut_images_are_all_named(folder):
    bad = sorted(folder.rglob("*.png"))[::3]
    for path in bad:
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError) as refusal:
        load_data(str(folder), GREY, 10)
    named = {problem.key for problem in refusal.value.problems}

    assert len(named) > 40
    assert named <= {str(path) for path in bad}


def test_an_unreadable_row_is_named(tmp_path, handwriting):
    images, labels = handwriting
    cells = [b"none" if row == 7 else png(image) for row, image in enumerate(images)]
    path = write_parquet(tmp_path / "a.parquet", cells, label=labels)
    with pytest.raises(
        DataError, match=r"train\[7\]: the image cannot be read: not an image that Pillow can read"
    ):
        [load(str(path), GREY, 10) for load in (load_data, load_test)]


def test_a_fingerprint_stays_when_the_folder_moves_and_changes_with_a_picture(folder):
    before = fingerprint(open_source(str(folder), 10))
    moved = folder.rename(folder.with_name("elsewhere"))
    after = fingerprint(open_source(str(moved), 10))
    first = min(moved.rglob("*.png"))
    first.write_bytes(first.read_bytes() + b"\0")

    assert before == after
    assert len(before) == 12
    assert fingerprint(open_source(str(moved), 10)) != before


def test_a_fingerprint_changes_with_a_label(tmp_path, handwriting):
    images, labels = handwriting
    other = labels.copy()
    other[[0, 1]] = other[[1, 0]]
    paths = [
        write_parquet(tmp_path / f"{i}.parquet", map(png, images), label=x)
        for i, x in enumerate((labels, other))
    ]

    assert len({fingerprint(open_source(str(path), 10)) for path in paths}) == 2


def test_normalisation_gives_mean_0_and_deviation_1(digits):
    pixels = digits.normalisation.apply(digits.train.images)

    assert pixels.dtype == torch.float32
    assert pixels.mean().abs() < 1e-5
    assert (pixels.std(correction=0) - 1).abs() < 1e-5


def test_normalisation_is_of_each_channel():
    images = torch.tensor([[0, 255], [51, 51]], dtype=torch.uint8).view(1, 2, 1, 2)

    # channel 0: 0 and 1; channel 1: 0.2 twice, whose deviation of 0 is raised to one grey level
    assert Normalisation.of(images) == Normalisation((0.5, 0.2), (0.5, 1 / 255))
