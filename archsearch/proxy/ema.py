"""The mean of a network's weights over its latest steps, with which a candidate may be evaluated.

The average of step t moves towards the weights by 1 / (share * t), so that it looks back over about
``share`` of all steps so far: the same recipe means the same at every rung and length of training. This is
the power function average of Karras et al. 2024, https://arxiv.org/abs/2312.02696, section 3.1.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

STEPS_BETWEEN = 10


class WeightAverage:
    """The running mean of the floating-point weights and buffers of ``network``; updated every ten steps."""

    def __init__(self, network: nn.Module, share: float) -> None:
        self.share = share
        tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())} if share else {}
        self._weights = {name: t.detach() for name, t in tensors.items() if t.is_floating_point()}
        self.means = {name: weights.clone() for name, weights in self._weights.items()}

    def update(self, step: int) -> None:
        """Take in the weights after ``step`` steps."""
        if self.share and step % STEPS_BETWEEN == 0:
            pull = min(1.0, STEPS_BETWEEN / (self.share * step))
            for name, mean in self.means.items():
                mean.lerp_(self._weights[name], pull)

    @contextmanager
    def apply(self) -> Iterator[None]:
        """The network with its mean weights; afterwards with its own."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def swap(self) -> None:
        """Exchange mean and own weights where they lie: a captured graph knows them by their place."""
        for name, mean in self.means.items():
            own = self._weights[name].clone()
            self._weights[name].copy_(mean)
            mean.copy_(own)
