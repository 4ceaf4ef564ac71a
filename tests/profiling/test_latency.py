"""Latency is the median of many timings; its arithmetic is checked by hand, its clock by a sleep."""

import time
from dataclasses import replace

import pytest
import torch
from profiling_examples import needs_gpu, passes_of
from torch import nn

from archsearch.profiling import Latency, anchor, conditions_of, latency, measure_latency
from archsearch.profiling.anchor import MachineWatch
from archsearch.profiling.latency import median_interval, repeat, summarise, warm_up
from archsearch.shapes import FeatureShape

IMAGE = FeatureShape(3, 8, 8)
CPU = conditions_of("cpu")


class Sleeper(nn.Module):
    """Does nothing for so many milliseconds."""

    def __init__(self, milliseconds=0.0):
        super().__init__()
        self.milliseconds = milliseconds

    def forward(self, images):
        time.sleep(self.milliseconds / 1e3)
        return images


# --- arithmetic -----------------------------------------------------------------------------------


def test_quartiles_cut_the_ordered_timings_in_four():
    found = summarise([5.0, 1.0, 4.0, 2.0, 3.0])

    assert (found.lower_quartile_ms, found.median_ms, found.upper_quartile_ms) == (2.0, 3.0, 4.0)
    assert found.repeats == 5


def test_a_quartile_between_two_timings_is_interpolated():
    found = summarise([10.0, 20.0, 30.0, 50.0])

    # Of four timings the quarters end at places 0.75, 1.5 and 2.25.
    assert (found.lower_quartile_ms, found.median_ms, found.upper_quartile_ms) == (17.5, 25.0, 35.0)


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


def test_a_median_that_is_hardly_known_is_flagged():
    # n = 5: 2.5 -+ 1.96 sqrt(5) / 2 = 2.5 -+ 2.19, outwards to the places 0 and 4: all of them.
    found = summarise([5.0, 1.0, 4.0, 2.0, 3.0])

    assert found.interval == pytest.approx((5 - 1) / 3)
    assert found.flags == ("the median is known to 133% only",)


def test_a_median_that_is_known_has_no_flag_but_those_of_the_machine():
    found = summarise([2.0] * 11, anchor_ms=0.5, flags=("a neighbour",))

    assert found == Latency(2.0, 2.0, 2.0, 11, interval=0.0, anchor_ms=0.5, flags=("a neighbour",))


def test_what_is_wrong_with_the_median_is_said_before_what_is_wrong_with_the_machine():
    assert summarise([1.0, 2.0, 3.0], flags=("a neighbour",)).flags == (
        "the median is known to 100% only",
        "a neighbour",
    )


# --- warm-up and repeats, by a clock of our own ---------------------------------------------------


def ticking(*timings):
    """A clock that reads these milliseconds, one after another, and the passes that were timed by it."""
    left, timed = list(timings), []

    def timer(run):
        timed.append(run)
        return left.pop(0)

    return timer, timed


def test_warming_up_ends_when_five_passes_are_no_faster_than_the_five_before():
    timer, timed = ticking(*[10.0] * 5, *[8.0] * 5, *[7.9] * 5, *[1.0] * 5)

    warm_up("run", timer, seconds=60.0)

    assert len(timed) == 15  # 7.9 is within 2 % of 8


def test_warming_up_ends_with_its_time():
    timer, timed = ticking(*range(100, 0, -1))

    warm_up("run", timer, seconds=0.0)

    assert len(timed) == 5


def test_the_anchor_is_timed_first_and_last_and_for_its_share_of_the_time_between():
    """Passes of 10 ms, three of the anchor at 1 ms: 5 x 3 ms come first, and are 15 % of ten passes."""
    timed = []

    def timer(run):
        timed.append(run)
        return {"run": 10.0, "steady": 1.0}[run]

    watch = MachineWatch(CPU)
    timings = repeat("run", "steady", timer, 0.0, watch)

    assert timings == [10.0] * 11
    assert timed == ["steady"] * 15 + ["run"] * 11 + ["steady"] * 3 + ["steady"] * 15
    assert watch.timings == [1.0] * (5 + 1 + 5)


def test_of_three_passes_of_the_anchor_the_best_counts():
    """The first one finds the caches full of another network."""
    timer, _ = ticking(*[9.0, 1.0, 2.0] * 5, *[5.0] * 11, *[9.0, 3.0, 1.5] * 5)

    watch = MachineWatch(CPU)
    repeat("run", "steady", timer, 0.0, watch)

    assert watch.timings == [1.0] * 5 + [1.5] * 5


def test_equal_timings_are_repeated_no_more_than_needed():
    assert len(repeat("run", "steady", lambda run: 1.0, 60.0, MachineWatch(CPU))) == 11


@pytest.fixture
def quiet(tmp_path, monkeypatch):
    """A machine that tells nothing of others, and a clock that always reads two milliseconds."""
    monkeypatch.setattr(anchor, "PROC_STAT", tmp_path / "stat")
    monkeypatch.setattr(anchor, "best", {})
    monkeypatch.setattr(latency, "timer_of", lambda device: lambda run: 2.0)


@pytest.mark.usefixtures("quiet")
def test_a_quiet_machine_has_no_flags():
    assert measure_latency(Sleeper(), IMAGE, CPU, seconds=0.0) == Latency(
        2.0, 2.0, 2.0, 11, interval=0.0, anchor_ms=2.0, flags=()
    )


@pytest.mark.usefixtures("quiet")
def test_what_the_anchor_shows_is_flagged_and_not_corrected(monkeypatch):
    anchors = iter([1.0] * 5 + [1.0] * 15 + [1.5] * 15)
    steady = anchor.anchor(CPU)
    monkeypatch.setattr(
        latency, "timer_of", lambda device: lambda run: next(anchors) if run is steady else 0.001
    )

    found = measure_latency(Sleeper(), IMAGE, CPU, seconds=0.0)

    assert found.flags == ("the anchor's time changed by +50% meanwhile",)
    assert found.median_ms == 0.001


# --- by the clock ---------------------------------------------------------------------------------


@pytest.mark.alone
def test_a_sleep_of_two_milliseconds_is_measured_as_such():
    found = measure_latency(Sleeper(2.0), IMAGE, CPU, seconds=0.2)

    assert 2.0 <= found.median_ms <= 6.0
    assert found.anchor_ms > 0


def test_the_quartiles_stand_around_the_median():
    found = measure_latency(nn.Conv2d(3, 8, 3), IMAGE, CPU, seconds=0.05)

    assert 0 < found.lower_quartile_ms <= found.median_ms <= found.upper_quartile_ms


def test_without_time_there_are_five_passes_to_warm_up_and_eleven_to_measure():
    seen = passes_of(network := Sleeper())

    assert measure_latency(network, IMAGE, CPU, seconds=0.0).repeats == 11
    assert len(seen) == 5 + 11


def test_more_time_gives_more_repeats_of_a_network_whose_timings_scatter():
    class Uneven(Sleeper):
        def forward(self, images):
            self.milliseconds = (self.milliseconds + 1) % 4
            return super().forward(images)

    assert measure_latency(Uneven(), IMAGE, CPU, seconds=0.2).repeats > 11


@pytest.mark.alone
def test_a_slow_network_ends_with_its_time():
    start = time.perf_counter()
    found = measure_latency(Sleeper(20.0), IMAGE, CPU, seconds=0.1)

    assert found.repeats == 11  # 220 ms: the fewest that count, though the time was over
    assert time.perf_counter() - start < 1.0


def test_a_batch_is_timed_as_a_whole():
    seen = passes_of(network := Sleeper())
    measure_latency(network, FeatureShape(1, 4, 6), replace(CPU, batch_size=5), seconds=0.0)

    assert {images.shape for _, images, _ in seen} == {(5, 1, 4, 6)}


def test_no_gradients_are_kept_while_it_runs():
    seen = passes_of(network := nn.Conv2d(3, 8, 3))
    measure_latency(network, IMAGE, CPU, seconds=0.0)

    assert all(out.is_inference() and not out.requires_grad for _, _, out in seen)


def test_a_network_in_training_mode_is_measured_in_eval_mode_and_left_as_it_was():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    seen = passes_of(network)
    measure_latency(network, IMAGE, CPU, seconds=0.0)

    assert not any(module.training for module, _, _ in seen)
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_cpu_is_timed_with_one_thread_and_gets_its_threads_back():
    class Counting(nn.Module):
        def forward(self, images):
            seen.add(torch.get_num_threads())
            return images

    seen = set()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    measure_latency(Counting(), IMAGE, CPU, seconds=0.0)
    after = torch.get_num_threads()
    torch.set_num_threads(before)

    assert seen == {1}
    assert after == 2


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("mode", ["eager", "cuda_graph"])
def test_a_gpu_is_timed_until_its_work_is_done(mode):
    product = nn.Linear(4_096, 4_096, bias=False)
    small, large = (
        measure_latency(
            product, FeatureShape(1, rows, 4_096), conditions_of("cuda:0", mode=mode), seconds=0.2
        )
        for rows in (512, 16_384)
    )

    # 32 times the work: a clock that reads at launch would see no difference.
    assert large.median_ms > 4 * small.median_ms
    assert small.anchor_ms > 0
    assert not next(product.parameters()).is_cuda


@pytest.mark.gpu
@needs_gpu
def test_a_graph_spares_a_deep_network_of_small_calls_its_launches():
    deep = nn.Sequential(*(nn.Linear(64, 64) for _ in range(100)))
    eager, graph = (
        measure_latency(deep, FeatureShape(1, 8, 64), conditions_of("cuda:0", mode=mode), seconds=0.2)
        for mode in ("eager", "cuda_graph")
    )

    assert 0 < graph.median_ms < eager.median_ms
