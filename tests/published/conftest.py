"""The implementations that the published networks are held against: timm and torchvision, on any build of torch."""

import importlib
import math
import sys

import pytest
import torch

# torchvision built for CUDA declares these two only in a library that a CPU build of torch cannot load. No
# network calls them, but torchvision registers shapes for them as it is imported, and gives up without them.
SCHEMAS = [
    f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for operator in ("nms", "qnms")
]


@pytest.fixture(scope="session")
def torchvision():
    # Its schemas are declared for as long as this object lives.
    library = torch.library.Library("torchvision", "FRAGMENT")
    try:
        module = importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        for half_imported in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[half_imported]
        for schema in SCHEMAS:
            library.define(schema)
        module = importlib.import_module("torchvision")
    yield module
    del library


@pytest.fixture(scope="session")
def timm(torchvision):
    """It imports torchvision itself, which must be in place before."""
    return importlib.import_module("timm")


@pytest.fixture
def undrawn(monkeypatch):
    """A new network has no numbers: drawing millions that are replaced takes longer than computing with them."""
    for draw in ("kaiming_normal_", "kaiming_uniform_", "trunc_normal_", "uniform_"):
        monkeypatch.setattr(torch.nn.init, draw, lambda tensor, *_, **__: tensor.data.fill_(math.nan))


@pytest.fixture
def in_float64():
    """Every network is built, and computes, in double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
