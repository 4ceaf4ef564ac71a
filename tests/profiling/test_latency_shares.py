import time

import pytest
import torch
from profiling_examples import needs_gpu
from torch import nn

from archsearch.profiling import conditions_of
from archsearch.profiling.shares import Stopwatch, global_latency_share
from archsearch.shapes import FeatureShape
from archsearch.stages import SpatialMixer

CPU, IMAGE = conditions_of("cpu"), FeatureShape(1, 4, 4)


class Sleeps(nn.Module):
    def __init__(self, ms):
        super().__init__()
        self.ms = ms

    def forward(self, x):
        time.sleep(self.ms / 1e3)
        return x


class SleepsGlobally(Sleeps, SpatialMixer):
    pass


def test_a_network_without_global_mixers_spends_nothing_on_them():
    assert global_latency_share(nn.Sequential(Sleeps(1)), IMAGE, CPU) == 0


@pytest.mark.alone
def test_the_share_is_the_time_inside_global_mixers_over_the_whole_pass():
    network = nn.Sequential(SleepsGlobally(6), Sleeps(4), SleepsGlobally(6), Sleeps(4))

    assert global_latency_share(network, IMAGE, CPU) == pytest.approx(0.6, abs=0.05)


@pytest.mark.alone
def test_a_network_of_nothing_else_spends_all_of_its_time_and_no_more():
    assert 0.9 < global_latency_share(nn.Sequential(SleepsGlobally(5)), IMAGE, CPU) <= 1


def test_the_network_of_the_caller_is_neither_changed_nor_listened_to():
    network = nn.Sequential(SleepsGlobally(0)).train()

    global_latency_share(network, IMAGE, CPU)

    assert network.training
    assert not network[0]._forward_hooks
    assert not network[0]._forward_pre_hooks


def test_listening_ends_with_its_context():
    network = nn.Sequential(SleepsGlobally(0))
    watch = Stopwatch(torch.device("cpu"))

    with watch.on(network):
        watch.share(lambda: network(torch.zeros(1, 1, 4, 4)))
    heard = len(watch.marks)
    network(torch.zeros(1, 1, 4, 4))

    assert heard == len(watch.marks) == 2


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_tells_it_by_its_events():
    class Multiplies(SpatialMixer):
        def forward(self, x):
            big = torch.ones(2048, 2048, device=x.device)
            for _ in range(10):
                big = big @ big * 1e-4
            return x + big[0, 0] * 0

    share = global_latency_share(nn.Sequential(Multiplies()), IMAGE, conditions_of("cuda"))

    assert 0.5 < share <= 1
