"""Top-1 and cross-entropy of a split, by hand; the network is left as it was."""

import math

import pytest
import torch
from tiny_network import tiny
from torch import nn

from archsearch.data import Split
from archsearch.proxy import evaluate

CPU = torch.device("cpu")


class ByBrightness(nn.Module):
    """Logits 0 and 1; the class is 1 where the image is brighter than the mean."""

    def forward(self, images):
        bright = (images.mean((1, 2, 3)) > 0).float()
        return torch.stack([1 - bright, bright], 1)


def test_top1_and_loss_are_those_of_hand_arithmetic(digits):
    images = torch.tensor([0, 255, 0, 255], dtype=torch.uint8).view(4, 1, 1, 1)
    split = Split(images, torch.tensor([0, 1, 1, 1]))
    right, wrong = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    top1, loss = evaluate(ByBrightness(), split, digits.normalisation, CPU, batch_size=3)

    assert top1 == 0.75
    assert loss == pytest.approx((3 * right + wrong) / 4)


def test_evaluation_changes_nothing_in_the_network(digits):
    network = tiny(dropout=0.5).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first, second = (evaluate(network, digits.validation, digits.normalisation, CPU) for _ in range(2))

    assert first == second
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
