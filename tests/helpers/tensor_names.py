"""The tensors of a published network as its implementation names and shapes them, without the implementation."""

import torch

from archsearch.published import load_reference
from archsearch.published.dialects import DIALECTS


def on_no_device(name):
    """The network with shapes and no numbers: built in no time, whatever its size."""
    with torch.device("meta"):
        return load_reference(name).build()


def published_shapes(name, implementation):
    """Every entry of its state dict there, with the shape it has there."""
    own = on_no_device(name).state_dict()
    dialect = next(dialect for dialect in DIALECTS if dialect.implementation == implementation)
    theirs = dialect.translate(load_reference(name), list(own))
    return {theirs[ours]: published_shape(theirs[ours], tuple(tensor.shape)) for ours, tensor in own.items()}


def published_shape(theirs, shape):
    """A table of positions has an axis for the batch there; other tensors are shaped as ours."""
    return (1, *shape) if theirs == "pos_embed" else shape
