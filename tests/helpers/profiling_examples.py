"""What the tests of profiling share: a tiny network, a witness of its passes, and the mark of tests that need a GPU."""

import pytest
import torch

from archsearch.architecture import Architecture, Image
from archsearch.stages import ConvStage, ConvStem

TINY = Architecture(
    image=Image(channels=3, height=8, width=8),
    classes=10,
    stem=ConvStem(channels=8),
    stages=(ConvStage(channels=8, depth=1),),
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def passes_of(network):
    """What went through the network and its copies: a hook travels with them, and its list does not."""
    seen = []
    network.register_forward_hook(lambda module, images, out: seen.append((module, images[0], out)))
    return seen
