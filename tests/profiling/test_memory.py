"""Peak memory is what work adds to what was allocated before; a CPU does not tell it."""

import pytest
import torch
from torch import nn

from archsearch.profiling import conditions_of
from archsearch.profiling.memory import inference_memory_mib, peak_mib, training_memory_mib
from archsearch.shapes import FeatureShape

CPU, IMAGE = conditions_of("cpu"), FeatureShape(3, 8, 8)


def test_a_cpu_tells_no_memory():
    network = nn.Conv2d(3, 4, 1)

    assert inference_memory_mib(network, IMAGE, CPU) is None
    assert training_memory_mib(network, IMAGE, 10, CPU) is None


@pytest.fixture
def device(monkeypatch):
    """A device whose allocator has 5 MiB in use, and peaks at 30 MiB while work runs; and what it was asked."""
    asked = []
    answers = {
        "synchronize": None,
        "memory_allocated": 5 * 2**20,
        "reset_peak_memory_stats": None,
        "max_memory_allocated": 30 * 2**20,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(
            torch.cuda, name, lambda _, name=name, answer=answer: asked.append(name) or answer
        )
    return asked


def test_the_peak_is_counted_above_what_was_there_and_behind_all_work(device):
    peak = peak_mib(lambda: device.append("work"), CPU)

    assert peak == 25.0
    assert device == [
        "synchronize",
        "memory_allocated",
        "reset_peak_memory_stats",
        "work",
        "synchronize",
        "max_memory_allocated",
    ]
