"""A torch data set of the caller's own becomes a source: in any usual form of images, and nothing is guessed."""

import numpy as np
import pytest
import torch
from PIL import Image

from archsearch.data import load_data, load_test
from archsearch.data.torch_dataset import source_of
from archsearch.errors import DataError
from archsearch.shapes import FeatureShape

GREY = FeatureShape(1, 4, 4)
PIXELS = torch.arange(16, dtype=torch.uint8).reshape(4, 4)


def grey(change=0):
    """Forty images of two classes, each of another brightness."""
    return [((PIXELS + row + change)[None], row % 2) for row in range(40)]


def loaded(data, shape=GREY, classes=2):
    return load_data(source_of(data, classes), shape, classes)


@pytest.mark.parametrize(
    "form",
    [
        lambda image: image,
        lambda image: image[0],
        lambda image: image / 255,
        lambda image: image.numpy(),
        lambda image: Image.fromarray(image[0].numpy()),
    ],
    ids=["bytes", "without a channel", "numbers in [0, 1]", "array", "Pillow"],
)
def test_every_form_of_an_image_is_the_same_image(form):
    expected, found = loaded(grey()), loaded([(form(image), label) for image, label in grey()])

    assert torch.equal(found.train.images, expected.train.images)
    assert torch.equal(found.train.labels, expected.train.labels)
    assert found.fingerprint == expected.fingerprint


def test_one_data_set_is_split_sixty_twenty_twenty_and_every_image_is_in_one_part():
    source = source_of(grey(), 2)
    data, test = load_data(source, GREY, 2), load_test(source, GREY, 2)
    parts = [data.train.images, data.validation.images, test.images]

    assert [len(part) for part in parts] == [24, 8, 8]
    assert len({image.numpy().tobytes() for part in parts for image in part}) == 40


def test_splits_that_are_given_stay_as_they_are():
    source = source_of({"train": grey(), "test": grey(100)[:10]}, 2)

    assert [len(load_data(source, GREY, 2).train), len(load_test(source, GREY, 2))] == [36, 10]


def test_images_are_resized_and_turned_into_the_channels_of_the_space():
    assert loaded(grey(), FeatureShape(3, 8, 8)).train.images.shape == (24, 3, 8, 8)


def test_the_fingerprint_is_of_every_pixel_and_label():
    images = [(torch.full((1, 4, 4), row % 200, dtype=torch.uint8), row % 2) for row in range(1000)]
    other = [*images]
    other[333] = (images[333][0].clone(), images[333][1])
    other[333][0][0, 0, 0] += 1
    swapped = [(image, 1 - label) for image, label in images]

    assert len({loaded(data).fingerprint for data in (images, other, swapped)}) == 3


@pytest.mark.parametrize(
    ("item", "what"),
    [
        ((torch.randn(1, 4, 4) * 3, 0), r"train\[1\]: pixels lie outside of \[0, 1\]"),
        ((torch.zeros(1, 4, 4, dtype=torch.int64), 0), "pixels are bytes or numbers in"),
        ((torch.zeros(4, 4, 3), 0), r"an image is \(C, H, W\) with 1 or 3 channels and this is \(4, 4, 3\)"),
        ((PIXELS, 2), "the label is 2 and the space says 2 classes, from 0"),
        ((PIXELS, 0.5), "the label is 0.5"),
        ((np.zeros(4, dtype=np.uint8), 0), r"and this is \(4,\)"),
        (PIXELS, "too many values to unpack"),
    ],
)
def test_an_item_that_is_no_image_with_a_label_is_refused(item, what):
    with pytest.raises(DataError, match=what):
        source_of([grey()[0], item], 2)


def test_splits_have_known_names_and_one_to_train_on():
    with pytest.raises(DataError, match="tset: is not a split; did you mean test"):
        source_of({"train": grey(), "tset": grey()}, 2)
    with pytest.raises(DataError, match="train: is missing"):
        source_of({"test": grey()}, 2)
