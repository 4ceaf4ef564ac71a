"""Tensors that are the same on every machine and under every version of torch.

numpy has frozen the stream of RandomState for ever, and a tensor depends on the seed and on its own name
alone: networks that share a name share its tensor, and the order of a state_dict does not matter.
"""

import hashlib
import math
from collections.abc import Callable, Mapping

import numpy as np
import torch


def normal(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal numbers that follow from the key, in float64."""
    return torch.from_numpy(np.asarray(_stream(key).standard_normal(shape)))


def seeded_tensors(
    shapes: Mapping[str, tuple[int, ...]], seed: int, draw: Callable[..., torch.Tensor] = normal
) -> dict[str, torch.Tensor]:
    """A value for every entry of a state_dict, in float64; ``draw`` as ``normal`` does."""
    return {name: _seeded_tensor(name, tuple(shape), seed, draw) for name, shape in shapes.items()}


def seeded_images(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Standard normal images or feature maps, [B, C, H, W]."""
    return normal(f"{seed}:images", tuple(shape))


def probe(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """A standard normal tensor to take a dot product with, for the gradient of a name."""
    return normal(f"{seed}:probe:{name}", tuple(shape))


def names_sha256(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """A hash of the sorted lines "name 384x147"; a scalar has nothing after the space."""
    lines = sorted(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _seeded_tensor(
    name: str, shape: tuple[int, ...], seed: int, draw: Callable[..., torch.Tensor]
) -> torch.Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    key = f"{seed}:{name}"
    if name.endswith("running_var"):
        return torch.from_numpy(_stream(key).uniform(0.5, 1.5, shape))
    return _offset(name, shape) + _scale(name, shape) * draw(key, shape)


def _offset(name: str, shape: tuple[int, ...]) -> float:
    return 1.0 if len(shape) == 1 and name.endswith("weight") else 0.0


def _scale(name: str, shape: tuple[int, ...]) -> float:
    if len(shape) < 2:
        return 0.1
    if len(shape) == 3:
        return 0.5
    # A performer divides by a sum of exp(-|k|^2 / 2) plus 1e-8. With keys of unit variance that sum is 1e-24
    # and the layer is silent; with half of that it is near 1e-4, so that the sum and the 1e-8 both count.
    gain = 0.5 if name.endswith("kqv.weight") else 1.0
    return gain / math.sqrt(math.prod(shape[1:]))


def _stream(key: str) -> np.random.RandomState:
    start = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")
    return np.random.RandomState(start)
