"""A profile is what was counted and what was measured, with the conditions beside it."""

import pytest
import torch
from profiling_examples import TINY, needs_gpu

from archsearch.counting import count_activations, count_macs, count_params
from archsearch.errors import ArchitectureError
from archsearch.profiling import Latency, Profile, conditions_of, profile_architecture
from archsearch.profiling.memory import inference_memory_mib
from archsearch.stages import ConvStage, ConvStem


@pytest.fixture(scope="module")
def profile():
    return profile_architecture(TINY, batch_size=2, seconds=0.02)


def test_what_can_be_counted_is_counted_for_one_image(profile):
    assert profile.macs == count_macs(TINY)
    assert profile.activations == count_activations(TINY)
    assert profile.params == count_params(TINY) == sum(p.numel() for p in TINY.build().parameters())


def test_what_is_measured_is_positive_and_has_a_spread(profile):
    assert profile.latency_ms == profile.latency.median_ms > 0
    assert profile.latency.iqr_ms >= 0
    assert profile.latency.repeats >= 11


def test_the_activations_are_what_the_convolutions_and_the_head_write():
    """A stem of 8 channels, a bottleneck of 2, 2 and 8 over an 8x8 map, and ten logits."""
    assert profile_architecture(TINY, seconds=0.0).activations == 8 * 8 * (8 + 2 + 2 + 8) + 10


def test_the_conditions_are_stamped_on_it(profile):
    assert profile.conditions == conditions_of("cpu", batch_size=2)


def test_conditions_stand_for_the_device_and_the_batch():
    asked = conditions_of("cpu", batch_size=3, dtype="bfloat16", memory_format="channels_last")

    assert profile_architecture(TINY, batch_size=1, seconds=0.0, conditions=asked).conditions is asked


def test_a_cpu_does_not_tell_its_memory(profile):
    assert profile.peak_memory_mib is None
    assert profile.training_memory_mib is None


@pytest.mark.parametrize(("training", "expected"), [(True, 20.5), (False, None)])
def test_the_memory_of_a_training_step_is_measured_where_it_is_asked_for(monkeypatch, training, expected):
    monkeypatch.setattr("archsearch.profiling.profile.training_memory_mib", lambda *_: 20.5)

    assert profile_architecture(TINY, seconds=0.0, training=training).training_memory_mib == expected


def test_every_cost_of_a_study_has_its_name():
    profile = Profile(
        params=1_000,
        macs=count_macs(TINY),
        activations=1_290,
        latency=Latency(2.0, 1.0, 3.0, repeats=11),
        peak_memory_mib=5.5,
        training_memory_mib=20.5,
        conditions=None,
    )
    names = ("params", "macs", "latency_ms", "peak_memory_mib")

    assert [profile.objective(name) for name in names] == [1_000.0, float(count_macs(TINY).total), 2.0, 5.5]


def test_a_cost_without_a_name_is_no_number(profile):
    with pytest.raises(KeyError, match="flops"):
        profile.objective("flops")


def test_a_device_may_be_named_by_a_word():
    assert profile_architecture(TINY, device="cpu", seconds=0.0).conditions.device == "cpu"


def test_profiling_leaves_the_random_numbers_as_they_were():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    profile_architecture(TINY, seconds=0.0)

    assert torch.rand(1) == expected


def test_what_cannot_be_built_cannot_be_profiled():
    broken = TINY.model_copy(update={"stem": ConvStem(channels=8, kernel=9)})

    with pytest.raises(ArchitectureError, match=r"stem\.kernel: 9 is larger than the 8x8 map"):
        profile_architecture(broken, seconds=0.0)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("mode", ["eager", "cuda_graph"])
def test_a_gpu_tells_its_name_and_its_memory(mode):
    conditions = conditions_of("cuda:0", batch_size=64, mode=mode)
    profile = profile_architecture(TINY, seconds=0.05, conditions=conditions)
    batch_mib = 64 * 3 * 8 * 8 * 4 / 2**20

    assert profile.conditions.device_name == torch.cuda.get_device_name(0)
    assert profile.peak_memory_mib > batch_mib
    assert profile.latency_ms > 0


@pytest.mark.gpu
@needs_gpu
def test_training_takes_more_memory_than_inference():
    deep = TINY.model_copy(update={"stages": (ConvStage(channels=64, depth=8, expansion=1.0),)})
    profile = profile_architecture(
        deep, seconds=0.0, conditions=conditions_of("cuda:0", batch_size=256, dtype="bfloat16")
    )
    weights_mib = profile.params * 4 / 2**20

    assert profile.training_memory_mib > profile.peak_memory_mib > 0
    assert profile.training_memory_mib > 4 * weights_mib  # weights, gradients and two moments


@pytest.mark.gpu
@needs_gpu
def test_a_larger_batch_takes_more_memory_and_leaves_none_taken():
    def peak(batch_size):
        conditions = conditions_of("cuda:0", batch_size=batch_size)
        return inference_memory_mib(TINY.build(), TINY.image.shape, conditions)

    peak(1)  # the first product of a process takes a workspace that it keeps
    before = torch.cuda.memory_allocated()

    assert peak(4_096) > 10 * peak(1) > 0
    assert torch.cuda.memory_allocated() == before
