"""Trained weights as safetensors: no pickle, so that loading them runs no code."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from archsearch.architecture import Architecture, Network
from archsearch.files import replacing


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """A state dict as safetensors, whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as beside:
        save_file({name: tensor.contiguous().cpu() for name, tensor in weights.items()}, beside)


def load_network(architecture: Architecture, path: Path) -> Network:
    """The network of ``architecture`` with the weights in ``path``."""
    with torch.random.fork_rng(devices=[]):
        network = architecture.build()
    network.load_state_dict(load_file(path))
    return network
