"""The table of runtimes is the only place that names them."""

from typing import get_args

import pytest
import torch
from torch import nn

from archsearch.errors import InputError
from archsearch.profiling import conditions_of
from archsearch.profiling import runtimes as room
from archsearch.profiling.conditions import Mode
from archsearch.profiling.runner import build_pass, measuring
from archsearch.profiling.runtimes import RUNTIMES, Runtime
from archsearch.shapes import FeatureShape
from archsearch.study.config import StudyConfig

IMAGE = FeatureShape(3, 8, 6)


def test_a_study_and_the_conditions_know_the_runtimes_of_the_table():
    assert get_args(Mode) == tuple(RUNTIMES)
    assert get_args(StudyConfig.model_fields["latency_mode"].annotation) == tuple(RUNTIMES)


def test_a_new_entry_of_the_table_is_a_runtime(monkeypatch):
    ran = []
    fake = Runtime(lambda network, images: lambda: ran.append((network.training, images.shape)))
    monkeypatch.setattr(room, "RUNTIMES", RUNTIMES | {"fake": fake})
    for module in ("conditions", "runner"):
        monkeypatch.setattr(f"archsearch.profiling.{module}.RUNTIMES", room.RUNTIMES)

    conditions = conditions_of("cpu", batch_size=2, mode="fake")
    with measuring(conditions):
        build_pass(nn.Conv2d(3, 4, 1), IMAGE, conditions)()

    assert ran == [(False, (2, 3, 8, 6))]
    assert ", fake, " in str(conditions)


@pytest.mark.parametrize("name", [name for name, runtime in RUNTIMES.items() if runtime.needs_gpu])
def test_a_runtime_of_gpus_is_refused_on_a_cpu_with_those_that_are_not(name):
    with pytest.raises(InputError) as refused:
        conditions_of("cpu", mode=name)

    assert str(refused.value).endswith(f"mode: {name} needs a CUDA device, not cpu; use eager or compiled")


@pytest.mark.parametrize("name", ["eager", "compiled"])
def test_single_operators_are_launched_one_by_one_where_no_graph_is_captured(name):
    calls = []
    launched = RUNTIMES[name].launch(lambda: calls.append(1), torch.device("cpu"))

    assert not calls

    launched()

    assert calls == [1]
