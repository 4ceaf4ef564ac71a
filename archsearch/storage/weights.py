"""Trained weights as safetensors: no pickle, so that loading them runs no code."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from archsearch.architecture import Architecture, Network, seeded_network
from archsearch.errors import Problem, WeightsError
from archsearch.files import replacing
from archsearch.published import read_weights

REMEDY = "give the weights of this very architecture"


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """A state dict as safetensors, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        save_file({name: tensor.contiguous().cpu() for name, tensor in weights.items()}, beside)


def load_network(architecture: Architecture, path: Path) -> Network:
    """The network of ``architecture`` with the weights that this package saved in ``path``."""
    network = seeded_network(architecture, seed=0)
    network.load_state_dict(load_file(path))
    return network


def load_given_weights(architecture: Architecture, path: Path) -> Network:
    """The network of ``architecture`` with the weights in ``path``, safetensors or a torch state dict; on the CPU.

    Raises:
        WeightsError: the file cannot be read, or its tensors are not those of the network; lists which.
    """
    found = read_weights(path)
    network = seeded_network(architecture, seed=0)
    own = network.state_dict()
    problems = [Problem(name, "is missing", REMEDY) for name in own.keys() - found.keys()]
    problems += [Problem(name, "belongs to another network", REMEDY) for name in found.keys() - own.keys()]
    problems += [
        Problem(name, f"{tuple(found[name].shape)} where {tuple(own[name].shape)} belongs", REMEDY)
        for name in own.keys() & found.keys()
        if found[name].shape != own[name].shape
    ]
    if problems:
        raise WeightsError(str(path), sorted(problems, key=lambda problem: problem.key))
    network.load_state_dict(found)
    return network
