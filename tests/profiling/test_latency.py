"""Latency is the median of many timings; its arithmetic is checked by hand, its clock by a sleep."""

import time

import pytest
import torch
from torch import nn

from archsearch.profiling import Latency, measure_latency
from archsearch.profiling.latency import median_interval, summarise
from archsearch.shapes import FeatureShape

IMAGE = FeatureShape(3, 8, 8)
CPU = torch.device("cpu")


class Sleeper(nn.Module):
    """Does nothing for so many milliseconds, and remembers what it was given."""

    def __init__(self, milliseconds=0.0):
        super().__init__()
        self.milliseconds = milliseconds
        self.batches = []

    def forward(self, images):
        self.batches.append(images)
        time.sleep(self.milliseconds / 1e3)
        return images


def test_quartiles_cut_the_ordered_timings_in_four():
    assert summarise([5.0, 1.0, 4.0, 2.0, 3.0]) == Latency(3.0, 2.0, 4.0, repeats=5)


def test_a_quartile_between_two_timings_is_interpolated():
    # Of four timings the quarters end at places 0.75, 1.5 and 2.25.
    assert summarise([10.0, 20.0, 30.0, 50.0]) == Latency(25.0, 17.5, 35.0, repeats=4)


def test_one_slow_pass_in_five_does_not_move_the_median():
    assert summarise([1.0, 1.0, 1.0, 1.0, 1_000.0]).median_ms == 1.0


def test_the_spread_is_the_distance_of_the_quartiles():
    assert Latency(median_ms=3.0, lower_quartile_ms=2.5, upper_quartile_ms=4.0, repeats=11).iqr_ms == 1.5


def test_the_interval_of_a_median_is_counted_in_places():
    # n = 11: 5.5 -+ 1.96 sqrt(11) / 2 = 5.5 -+ 3.25, outwards to the places 2 and 9, where 3 and 10 stand.
    timings = [11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]

    assert median_interval(timings) == pytest.approx((10 - 3) / 6)


def test_the_interval_of_few_timings_is_all_of_them():
    # n = 4: 2 -+ 1.96 reaches from place 0 to place 4, and 3 is the last.
    assert median_interval([1.0, 2.0, 3.0, 4.0]) == pytest.approx((4 - 1) / 2.5)


def test_equal_timings_leave_no_interval():
    assert median_interval([2.0] * 11) == 0.0


def test_a_sleep_of_two_milliseconds_is_measured_as_such():
    latency = measure_latency(Sleeper(2.0), IMAGE, CPU, seconds=0.2)

    assert 2.0 <= latency.median_ms <= 6.0


def test_the_quartiles_stand_around_the_median():
    latency = measure_latency(nn.Conv2d(3, 8, 3), IMAGE, CPU, seconds=0.05)

    assert 0 < latency.lower_quartile_ms <= latency.median_ms <= latency.upper_quartile_ms


def test_without_time_there_are_three_passes_to_warm_up_and_eleven_to_measure():
    network = Sleeper()

    latency = measure_latency(network, IMAGE, CPU, seconds=0.0)

    assert latency.repeats == 11
    assert len(network.batches) == 3 + 11


def test_more_time_gives_more_repeats_of_a_network_whose_timings_scatter():
    class Uneven(Sleeper):
        def forward(self, images):
            self.milliseconds = len(self.batches) % 4
            return super().forward(images)

    assert measure_latency(Uneven(), IMAGE, CPU, seconds=0.2).repeats > 11


def test_a_slow_network_ends_with_its_time():
    start = time.perf_counter()
    latency = measure_latency(Sleeper(20.0), IMAGE, CPU, seconds=0.1)

    assert latency.repeats == 11  # 220 ms: the fewest that count, though the time was over
    assert time.perf_counter() - start < 1.0


def test_the_batch_is_zeros_of_the_size_that_was_asked_for():
    network = Sleeper()
    measure_latency(network, FeatureShape(1, 4, 6), CPU, batch_size=5, seconds=0.0)

    assert torch.equal(network.batches[0], torch.zeros(5, 1, 4, 6))


def test_no_gradients_are_kept_while_it_runs():
    network = nn.Conv2d(3, 8, 3)
    outputs = []
    network.register_forward_hook(lambda module, images, output: outputs.append(output))
    measure_latency(network, IMAGE, CPU, seconds=0.0)

    assert not outputs[0].requires_grad
    assert outputs[0].is_inference()


def test_a_network_in_training_mode_is_left_in_eval_mode_and_otherwise_as_it_was():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    measure_latency(network, IMAGE, CPU, seconds=0.0)

    assert not network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_is_timed_until_its_work_is_done():
    product = nn.Linear(4_096, 4_096, bias=False)
    small, large = (
        measure_latency(product, FeatureShape(1, rows, 4_096), torch.device("cuda"), seconds=0.2)
        for rows in (512, 16_384)
    )

    # 32 times the work: a clock that reads at launch would see no difference.
    assert large.median_ms > 4 * small.median_ms
    assert next(product.parameters()).is_cuda


def test_a_cpu_is_timed_with_one_thread_and_gets_its_threads_back():
    class Counting(torch.nn.Module):
        def forward(self, images):
            seen.add(torch.get_num_threads())
            return images

    seen = set()
    before = torch.get_num_threads()
    torch.set_num_threads(2)

    measure_latency(Counting(), FeatureShape(1, 4, 4), torch.device("cpu"), seconds=0.01)

    assert seen == {1}
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
