"""Real digits as files: what the tests of this room read."""

import datasets
import numpy as np
import pytest
from digit_files import GREY, png, write_folder, write_parquet
from sklearn.datasets import load_digits

from archsearch.data import ImageData, load_data


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def digits() -> ImageData:
    return load_data("digits", GREY, 10)


@pytest.fixture(scope="session")
def handwriting():
    """The first 300 digits: images (300, 8, 8) and labels (300,)."""
    found = load_digits()
    return (found.images[:300] * (255 / 16)).round().astype(np.uint8), found.target[:300]


@pytest.fixture
def parquet(tmp_path, handwriting):
    images, labels = handwriting
    return write_parquet(tmp_path / "digits.parquet", map(png, images), label=labels)


@pytest.fixture
def folder(tmp_path, handwriting):
    return write_folder(tmp_path / "digits", *handwriting)
