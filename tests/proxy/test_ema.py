import pytest
import torch
from torch import nn

from archsearch.proxy.ema import WeightAverage


def walked(share, steps) -> tuple[nn.Linear, WeightAverage]:
    """A weight that is t after t steps, and its average."""
    network = nn.Linear(1, 1, bias=False)
    average = WeightAverage(network, share)
    for step in range(1, steps + 1):
        with torch.no_grad():
            network.weight.fill_(step)
        average.update(step)
    return network, average


def test_the_average_of_hand_arithmetic():
    _, average = walked(share=0.5, steps=40)

    # pulled by min(1, 10 / (0.5 * t)) at t = 10, 20, 30 and 40
    expected = 10.0
    for step in (20, 30, 40):
        expected += (step - expected) * 10 / (0.5 * step)
    assert average.means["weight"].item() == pytest.approx(expected)


@pytest.mark.parametrize("steps", [500, 5000])
def test_it_looks_back_over_the_same_share_of_any_length(steps):
    _, average = walked(share=0.1, steps=steps)

    # A power function of exponent 10 - 1: the mean of t is t * 10 / 11, and lags by a share of 1 / 11.
    assert 1 - average.means["weight"].item() / steps == pytest.approx(1 / 11, abs=0.02)


def test_applying_it_lends_the_network_the_mean_and_gives_its_own_weights_back():
    network, average = walked(share=0.5, steps=40)
    with average.apply():
        assert network.weight.item() < 40
    assert network.weight.item() == 40


def test_statistics_of_batch_norm_are_averaged_and_counters_are_not():
    names = WeightAverage(nn.BatchNorm2d(2), 0.1).means.keys()

    assert names == {"weight", "bias", "running_mean", "running_var"}


def test_without_a_share_there_is_no_average():
    network, average = walked(share=0.0, steps=40)
    with average.apply():
        assert network.weight.item() == 40
    assert not average.means
