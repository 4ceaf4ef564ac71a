"""Work on a GPU becomes a graph after a warm-up on a side stream; stand-ins for torch.cuda tell in which order."""

import gc
import weakref
from contextlib import contextmanager

import pytest
import torch

from archsearch.cuda_graph import WARM_UP_RUNS, capture, side_stream, warm_up_and_capture

GPU = torch.device("cuda:0")


@pytest.fixture
def told(monkeypatch):
    """What torch.cuda was asked to do, in order."""
    told = []

    class Stream:
        def __init__(self, name="side"):
            self.name = name

        def wait_stream(self, other):
            told.append(f"{self.name} waits for {other.name}")

    class Graph:
        def replay(self):
            told.append("replay")

    def within(name):
        @contextmanager
        def entered(_what):
            told.append(f"enter {name}")
            yield
            told.append(f"leave {name}")

        return entered

    stand_ins = {
        "Stream": Stream,
        "current_stream": lambda: Stream("current"),
        "CUDAGraph": Graph,
        "stream": within("side"),
        "graph": within("graph"),
        "device": within("device"),
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return told


def test_the_side_stream_follows_the_current_one_and_is_waited_for(told):
    with side_stream():
        told.append("work")

    assert told == [
        "side waits for current",
        "enter side",
        "work",
        "leave side",
        "current waits for side",
    ]


def test_work_runs_once_while_it_is_captured_and_never_when_replayed(told):
    replay = capture(lambda: told.append("work"))

    assert told == ["enter graph", "work", "leave graph"]

    replay()
    replay()

    assert told == ["enter graph", "work", "leave graph", "replay", "replay"]


@pytest.mark.usefixtures("told")
def test_every_replay_gives_the_tensor_that_was_captured():
    made = []
    replay = capture(lambda: made.append(torch.zeros(2)) or made[-1])

    assert replay() is replay() is made[0]


def test_work_is_warmed_up_on_the_side_and_on_the_right_device(told):
    warm_up_and_capture(lambda: told.append("work"), GPU)

    assert told == [
        "enter device",
        "side waits for current",
        "enter side",
        *["work"] * WARM_UP_RUNS,
        "leave side",
        "current waits for side",
        "enter graph",
        "work",
        "leave graph",
        "leave device",
    ]


@pytest.mark.usefixtures("told")
def test_what_a_graph_reads_is_kept_for_its_replays():
    weights = torch.ones(3)
    kept = weakref.ref(weights)
    replay = warm_up_and_capture(lambda weights=weights: weights + 1, GPU)
    del weights
    gc.collect()

    assert callable(replay)
    assert kept() is not None
