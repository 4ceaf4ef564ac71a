"""A copy of the network runs as the conditions say; the caller's network and torch's settings stay as they were."""

import shutil
import time
from dataclasses import replace
from functools import partial

import pytest
import torch
from profiling_examples import needs_gpu, passes_of
from torch import nn

from archsearch.profiling import conditions_of
from archsearch.profiling.runner import build_pass, measuring, noise, time_on_cpu, time_on_gpu, timer_of
from archsearch.shapes import FeatureShape

CPU = conditions_of("cpu")
IMAGE = FeatureShape(3, 8, 6)
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "gcc", "cc"))), reason="torch.compile needs a C++ compiler"
)


def small():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))


def one_pass(network, conditions):
    """The module that ran, what it was given and what it returned."""
    seen = passes_of(network)
    with measuring(conditions):
        build_pass(network, IMAGE, conditions)()
    return seen[0]


# --- the network ----------------------------------------------------------------------------------


def test_the_network_of_the_caller_stays_as_it_was():
    network = small().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    ran, _, _ = one_pass(network, replace(CPU, dtype="bfloat16", memory_format="channels_last"))

    assert ran is not network
    assert network.training
    assert network[0].weight.is_contiguous()
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name])


def test_a_copy_runs_in_eval_mode_with_the_same_weights():
    network = small().train()

    ran, _, _ = one_pass(network, CPU)

    assert not any(module.training for module in ran.modules())
    assert all(torch.equal(*pair) for pair in zip(ran.parameters(), network.parameters(), strict=True))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_and_images_have_the_dtype(dtype):
    ran, images, out = one_pass(nn.Conv2d(3, 8, 3), replace(CPU, dtype=dtype))

    assert {ran.weight.dtype, images.dtype, out.dtype} == {getattr(torch, dtype)}


def test_channels_come_last_in_weights_and_images():
    ran, images, _ = one_pass(nn.Conv2d(3, 8, 3), replace(CPU, memory_format="channels_last"))

    for tensor in (ran.weight, images):
        assert tensor.is_contiguous(memory_format=torch.channels_last)
        assert not tensor.is_contiguous()


def test_a_contiguous_network_has_channels_first():
    ran, images, _ = one_pass(nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last), CPU)

    assert ran.weight.is_contiguous()
    assert images.is_contiguous()


@needs_compiler
def test_a_compiled_network_is_compiled():
    counters = torch._dynamo.utils.counters["frames"]
    before = counters["ok"]
    conditions = replace(CPU, mode="compiled")
    with measuring(conditions):
        run = build_pass(nn.ReLU(), IMAGE, conditions)
        run()
        once = counters["ok"]
        run()

    assert once == before + 1
    assert counters["ok"] == once


def test_the_ninth_network_of_a_class_is_compiled_too(monkeypatch):
    class Wide(nn.Sequential):
        def forward(self, images):
            return super().forward(images)

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    conditions, counters = replace(CPU, mode="compiled"), torch._dynamo.utils.counters["frames"]
    before = counters["ok"]
    for width in range(1, 10):
        with measuring(conditions):
            build_pass(Wide(nn.Conv2d(3, width, 1)), IMAGE, conditions)()

    assert counters["ok"] == before + 9


# --- the images -----------------------------------------------------------------------------------


def test_the_images_are_a_batch_of_noise():
    images = noise(IMAGE, replace(CPU, batch_size=64))

    assert images.shape == (64, 3, 8, 6)
    assert images.mean().abs() < 0.1
    assert 0.9 < images.std() < 1.1


def test_the_images_are_the_same_every_time():
    torch.manual_seed(1)
    one = noise(IMAGE, CPU)
    torch.manual_seed(2)
    before = torch.get_rng_state()

    assert torch.equal(noise(IMAGE, CPU), one)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_pass_is_given_the_same_images():
    seen = passes_of(network := nn.ReLU())
    with measuring(CPU):
        run = build_pass(network, IMAGE, CPU)
        run()
        run()

    (_, first, _), (_, second, _) = seen
    assert first is second


# --- while something is measured ------------------------------------------------------------------


def test_no_gradients_are_kept():
    _, _, out = one_pass(nn.Conv2d(3, 8, 3), CPU)

    assert out.is_inference()
    assert not out.requires_grad
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_operators_have_as_many_threads_as_the_conditions_say():
    with measuring(replace(CPU, threads=2)):
        meanwhile = torch.get_num_threads()

    assert meanwhile == 2
    assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("one_thread")
def test_a_pass_that_fails_gives_the_threads_back():
    with pytest.raises(RuntimeError, match="expected input"), measuring(replace(CPU, threads=2)):
        build_pass(nn.Conv2d(4, 8, 3), IMAGE, CPU)()

    assert torch.get_num_threads() == 1
    assert torch.is_grad_enabled()


# --- clocks ---------------------------------------------------------------------------------------


def test_a_cpu_has_the_clock_and_a_gpu_its_events():
    assert timer_of(torch.device("cpu")) is time_on_cpu
    assert timer_of(torch.device("cuda:0")) is time_on_gpu


@pytest.mark.alone
def test_a_pass_is_timed_in_milliseconds():
    assert 5.0 <= time_on_cpu(lambda: time.sleep(0.005)) < 50.0


@pytest.mark.gpu
@needs_gpu
def test_events_wait_for_the_work_and_not_for_its_launch():
    factors = [torch.randn(size, size, device="cuda:0") for size in (256, 8_192)]
    passes = [lambda factor=factor: factor @ factor for factor in factors]
    for run in passes:
        time_on_gpu(run)

    small_ms, large_ms = (min(time_on_gpu(run) for _ in range(5)) for run in passes)

    # 32,768 times the work, launched in the same time.
    assert large_ms > 5 * small_ms > 0


@pytest.mark.gpu
@needs_gpu
def test_a_graph_is_captured_once_and_replayed():
    class Ticking(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("passes", torch.zeros(()))

        def forward(self, images):
            return images + self.passes.add_(1)

    conditions = conditions_of("cuda:0", mode="cuda_graph")
    seen = passes_of(network := Ticking())
    with measuring(conditions):
        run = build_pass(network, IMAGE, conditions)
        ran = seen[0][0]
        launched, ticks = len(seen), ran.passes.item()
        run()
        run()
        torch.cuda.synchronize()

        assert ran.passes.item() == ticks + 2
    assert len(seen) == launched
    assert ran.passes.device == torch.device("cuda:0")
    assert network.passes.device == torch.device("cpu")
