"""A profile is what was counted and what was measured, with the conditions beside it."""

import pytest
import torch

from archsearch.architecture import Architecture, Image
from archsearch.counting import count_macs, count_params
from archsearch.errors import ArchitectureError, InputError
from archsearch.profiling import Conditions, Latency, Profile, pick_device, profile_architecture
from archsearch.stages import ConvStage, ConvStem

TINY = Architecture(
    image=Image(channels=3, height=8, width=8),
    classes=10,
    stem=ConvStem(channels=8),
    stages=(ConvStage(channels=8, depth=1),),
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")


@pytest.fixture(scope="module")
def profile():
    return profile_architecture(TINY, batch_size=2, seconds=0.02)


def test_what_can_be_counted_is_counted_for_one_image(profile):
    assert profile.macs == count_macs(TINY)
    assert profile.params == count_params(TINY) == sum(p.numel() for p in TINY.build().parameters())


def test_what_is_measured_is_positive_and_has_a_spread(profile):
    assert profile.latency_ms == profile.latency.median_ms > 0
    assert profile.latency.iqr_ms >= 0
    assert profile.latency.repeats >= 11


def test_the_conditions_are_stamped_on_it(profile):
    conditions = profile.conditions

    assert conditions == Conditions(
        device="cpu",
        device_name=conditions.device_name,
        batch_size=2,
        dtype="float32",
        memory_format="contiguous",
        compiled=False,
        threads=1,
        torch_version=torch.__version__,
    )
    assert conditions.device_name


def test_a_cpu_does_not_tell_its_memory(profile):
    assert profile.peak_memory_mib is None


def test_every_cost_of_a_study_has_its_name():
    profile = Profile(
        params=1_000,
        macs=count_macs(TINY),
        latency=Latency(2.0, 1.0, 3.0, repeats=11),
        peak_memory_mib=5.5,
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


def test_the_cpu_can_always_be_picked():
    assert pick_device("cpu") == torch.device("cpu")


@without_gpu
def test_auto_is_the_cpu_where_there_is_no_gpu():
    assert pick_device("auto") == torch.device("cpu")


@without_gpu
@pytest.mark.parametrize("wanted", ["cuda", "cuda:0", "cuda:7", "gpu", "tpu", "CPU", ""])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(wanted):
    with pytest.raises(InputError) as caught:
        pick_device(wanted)

    assert str(caught.value) == f"--device: {wanted} is not here; use one of auto, cpu"
    assert caught.value.exit_code == 2


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("wanted", ["auto", "cuda", "cuda:0"])
def test_the_first_gpu_has_three_names(wanted):
    assert pick_device(wanted) == torch.device("cuda:0")


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_that_is_not_here_is_refused_with_those_that_are():
    with pytest.raises(InputError, match=r"cuda:99 is not here; use one of auto, cpu, cuda:0"):
        pick_device("cuda:99")


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_tells_its_name_and_its_memory():
    profile = profile_architecture(TINY, device="cuda:0", batch_size=64, seconds=0.05)
    batch_mib = 64 * 3 * 8 * 8 * 4 / 2**20

    assert profile.conditions.device_name == torch.cuda.get_device_name(0)
    assert profile.peak_memory_mib > batch_mib
    assert profile.latency_ms > 0
