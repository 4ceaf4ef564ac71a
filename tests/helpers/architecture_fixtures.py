"""Architectures that are shown part by part: one of three kinds of stages, and published ones."""

import pytest
from paths import REFERENCES

from archsearch.space import load_architecture

NAMES = ("resnet18", "bot50", "t2t_vit_14", "vit_tiny_patch16_224", "deit_small_distilled_patch16_224")
MIXED = """\
name: mixed
image: {channels: 3, height: 32, width: 32}
classes: 10
stem: {kind: patch, channels: 24, size: 4}
stages:
  - {kind: conv, channels: 32, depth: 2, kernel: 5}
  - {kind: mhsa, channels: 48, depth: 1, heads: 2, stride: 2, position: none}
  - {kind: token_transformer, channels: 64, depth: 3, split_kernel: 3, heads: 4, mlp_ratio: 2, qkv_bias: false}
"""


@pytest.fixture(scope="session")
def mixed(tmp_path_factory):
    file = tmp_path_factory.mktemp("drawn") / "mixed.yaml"
    file.write_text(MIXED)
    return load_architecture(file)


@pytest.fixture(scope="session", params=NAMES)
def published(request):
    return load_architecture(REFERENCES / f"{request.param}.yaml")
