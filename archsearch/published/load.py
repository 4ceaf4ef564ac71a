"""Weights of published implementations, renamed into ours: every tensor used, none left over."""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from archsearch.architecture import Network
from archsearch.errors import Problem, WeightsError
from archsearch.published.dialects import DIALECTS, Dialect
from archsearch.published.reference import load_reference

# Where training scripts keep the weights inside a checkpoint; the averaged ones are those that are published.
INSIDE = ("state_dict_ema", "state_dict", "model_ema", "model")
PARALLEL = "module."
# A batch norm counts its batches; files older than that lack the count, which no output depends on.
COUNTER = "num_batches_tracked"


def load_published(name: str, state_dict: Mapping[str, Tensor]) -> Network:
    """The network ``name`` of ``spaces/reference/`` with the weights of its published implementation.

    ``state_dict`` bears the names of that implementation: torchvision or timm for ResNets and vision
    transformers, timm's ByobNet for BoTNets, the official code for T2T-ViTs. The network is on the CPU,
    in training mode and torch's default dtype, as a new one is.

    Raises:
        InputError: there is no such network.
        WeightsError: the tensors are not those of the network; lists what is missing, left over or of
            another shape.
    """
    architecture = load_reference(name)
    with torch.random.fork_rng(devices=[]):
        network = architecture.build()
    own = network.state_dict()
    dialect, theirs = best_dialect(network, state_dict)
    problems = differences(theirs, own, state_dict, dialect)
    if problems:
        raise WeightsError(name, problems)
    renamed = {ours: state_dict.get(theirs[ours], tensor) for ours, tensor in own.items()}
    network.load_state_dict({ours: tensor.reshape(own[ours].shape) for ours, tensor in renamed.items()})
    return network


def best_dialect(network: Network, state_dict: Mapping[str, Tensor]) -> tuple[Dialect, Mapping[str, str]]:
    """The implementation with whose names the tensors agree best, and its names for ours."""
    tensors = list(network.state_dict())
    spoken = [(d, d.translate(network.architecture, tensors)) for d in DIALECTS]
    able = [(dialect, names) for dialect, names in spoken if names is not None]
    return max(able, key=lambda found: len(set(found[1].values()) & state_dict.keys()))


def differences(
    theirs: Mapping[str, str],
    own: Mapping[str, Tensor],
    state_dict: Mapping[str, Tensor],
    dialect: Dialect,
) -> list[Problem]:
    """What is missing, left over, or of another shape."""
    remedy = f"give the state dict of this network, named as in {dialect.implementation}"
    missing = [t for t in theirs.values() if t not in state_dict and not t.endswith(COUNTER)]
    over = [name for name in state_dict if name not in set(theirs.values())]
    problems = [Problem("missing", listing(missing), remedy)] if missing else []
    problems += [Problem("left over", listing(over), remedy)] if over else []
    for ours, name in theirs.items():
        if name in state_dict and squeezed(state_dict[name]) != squeezed(own[ours]):
            what = f"{tuple(state_dict[name].shape)} where {tuple(own[ours].shape)} belongs"
            problems.append(Problem(name, what, "use the weights of this very network and image size"))
    return problems


def listing(names: list[str]) -> str:
    """All of them, with their number."""
    return f"{len(names)} tensors: {', '.join(names)}" if len(names) > 1 else names[0]


def squeezed(tensor: Tensor) -> tuple[int, ...]:
    """The shape without axes of one: a 1x1 convolution and a linear layer hold the same numbers."""
    return tuple(size for size in tensor.shape if size != 1)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file or a torch checkpoint, read without running any code of its.

    Of a training script's checkpoint the weights, the averaged ones if it has both; names without the
    ``module.`` of a parallel wrapper.

    Raises:
        WeightsError: the file cannot be read, or holds no tensors by name.
    """
    try:
        found: Any = (
            load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        )
    except FileNotFoundError as error:
        raise WeightsError(str(path), [Problem("", "is not there", "give a file of weights")]) from error
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, KeyError, UnpicklingError) as error:
        what = f"cannot be read as weights ({(str(error) or type(error).__name__).splitlines()[0][:100]})"
        raise WeightsError(
            str(path), [Problem("", what, "give a safetensors file or a torch checkpoint")]
        ) from error
    inside = [found[key] for key in INSIDE if key in found] if isinstance(found, dict) else []
    inner: Any = next((value for value in inside if is_state_dict(value)), found)
    if not is_state_dict(inner):
        remedy = "give a state dict, or a checkpoint that holds one"
        raise WeightsError(str(path), [Problem("", "holds no tensors by name", remedy)])
    return {name.removeprefix(PARALLEL): tensor for name, tensor in inner.items()}


def is_state_dict(value: Any) -> bool:
    """Whether it maps names to tensors."""
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())
    )
