"""Conditions say all that a latency depends on; what cannot be measured is refused before it is tried."""

from dataclasses import fields, replace

import pytest
import torch
from profiling_examples import needs_gpu

from archsearch.errors import InputError
from archsearch.profiling import Conditions, conditions, conditions_of, device_name, pick_device

ON_CPU = Conditions(
    device="cpu",
    device_name="A processor",
    batch_size=1,
    dtype="float32",
    memory_format="contiguous",
    mode="eager",
    threads=1,
    torch_version="2.10.0",
    cuda_version=None,
)
ON_GPU = Conditions(
    device="cuda:0",
    device_name="A GPU",
    batch_size=64,
    dtype="bfloat16",
    memory_format="channels_last",
    mode="cuda_graph",
    threads=1,
    torch_version="2.10.0",
    cuda_version="12.8",
)
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")


def test_without_a_word_it_is_one_image_in_float32_on_one_thread():
    found = conditions_of("cpu")

    assert found == replace(ON_CPU, device_name=found.device_name, torch_version=torch.__version__)


def test_whatever_is_asked_for_is_stamped():
    asked = {
        "batch_size": 8,
        "dtype": "float16",
        "memory_format": "channels_last",
        "mode": "compiled",
        "threads": 2,
    }
    found = conditions_of(torch.device("cpu"), **asked)

    assert {name: getattr(found, name) for name in asked} == asked


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"dtype": "float64"},
            "dtype: float64 is not known; did you mean float16? (known: float32, bfloat16, float16)",
        ),
        ({"dtype": "int8"}, "dtype: int8 is not known; use one of float32, bfloat16, float16"),
        ({"memory_format": "nhwc"}, "memory_format: nhwc is not known; use one of contiguous, channels_last"),
        ({"mode": "jit"}, "mode: jit is not known; use one of eager, compiled, cuda_graph"),
        ({"mode": "cuda_graph"}, "mode: cuda_graph needs a CUDA device, not cpu; use eager or compiled"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_can(asked, message):
    with pytest.raises(InputError) as caught:
        conditions_of("cpu", **asked)

    assert str(caught.value) == f"conditions: {message}"
    assert caught.value.exit_code == 2


def test_all_that_is_wrong_is_reported_at_once():
    with pytest.raises(InputError) as caught:
        conditions_of("cpu", batch_size=0, dtype="int8", mode="cuda_graph")

    assert [line.split(": ")[1] for line in caught.value.lines()] == ["batch_size", "dtype", "mode"]


@pytest.mark.parametrize(
    ("stamped", "line"),
    [
        (ON_CPU, "batch 1, float32, contiguous, eager, A processor, 1 CPU thread, torch 2.10.0"),
        (
            replace(ON_CPU, threads=2, mode="compiled"),
            "batch 1, float32, contiguous, compiled, A processor, 2 CPU threads, torch 2.10.0",
        ),
        (ON_GPU, "batch 64, bfloat16, channels_last, cuda_graph, A GPU, torch 2.10.0, CUDA 12.8"),
    ],
    ids=["one thread", "two threads", "GPU"],
)
def test_conditions_are_printed_on_one_line(stamped, line):
    assert str(stamped) == line


def test_conditions_that_differ_in_one_thing_are_other_conditions():
    others = {
        replace(ON_CPU, **{field.name: getattr(ON_GPU, field.name)})
        for field in fields(Conditions)
        if field.name not in {"threads", "torch_version"}
    }

    assert len({ON_CPU, replace(ON_CPU), *others}) == 1 + len(others) == 8


def test_a_processor_is_called_what_it_calls_itself(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        "processor\t: 0\nmodel name\t: A: processor\n\nprocessor\t: 1\nmodel name\t: Another\n"
    )
    monkeypatch.setattr(conditions, "Path", lambda _: cpuinfo)

    assert device_name(torch.device("cpu")) == "A: processor"


@pytest.mark.parametrize("text", [None, "", "processor\t: 0\n"], ids=["no file", "empty", "no model"])
def test_a_processor_without_a_name_has_its_machines(tmp_path, monkeypatch, text):
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(conditions, "Path", lambda _: tmp_path / "cpuinfo")
    monkeypatch.setattr(conditions.platform, "processor", lambda: "")
    monkeypatch.setattr(conditions.platform, "machine", lambda: "riscv64")

    assert device_name(torch.device("cpu")) == "riscv64"


def test_the_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(conditions.os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)

    assert conditions.cores() == {3, 5, 7}


# --- picking a device -----------------------------------------------------------------------------


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
def test_a_gpu_is_stamped_with_its_name_and_its_cuda():
    found = conditions_of("cuda:0", mode="cuda_graph")

    assert (found.device, found.device_name) == ("cuda:0", torch.cuda.get_device_name(0))
    assert found.cuda_version == torch.version.cuda
