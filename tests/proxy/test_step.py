"""Steps on a GPU become one graph after a warm-up; stand-ins for the capture tell what would be replayed."""

from contextlib import contextmanager

import pytest
import torch

from archsearch.cuda_graph import WARM_UP_RUNS
from archsearch.proxy import step as room
from archsearch.proxy.augment import BatchPlan
from archsearch.proxy.step import CapturedStep


def plan(number):
    """A batch of one image, row ``number``."""
    row = torch.tensor([number])
    return BatchPlan(row, torch.zeros(1, 2), torch.zeros(1), torch.zeros(1, 2))


class Trace:
    """What was done, in order; a replay runs the captured work, as a device would."""

    def __init__(self, monkeypatch, error=None):
        self.told, self.error = [], error
        monkeypatch.setattr(room, "side_stream", self.side_stream)
        monkeypatch.setattr(room, "capture", self.capture)

    @contextmanager
    def side_stream(self):
        self.told.append("beside")
        yield

    def capture(self, work):
        if self.error is not None:
            raise self.error
        self.told.append("capture")

        def replay():
            self.told.append("replay")
            return work()

        return replay

    def step(self, plan):
        self.told.append(int(plan.rows))
        return plan.rows.float()


def test_a_few_steps_run_beside_then_one_graph_is_replayed(monkeypatch):
    trace = Trace(monkeypatch)
    step = CapturedStep(trace.step)

    losses = [float(step(plan(number))) for number in range(WARM_UP_RUNS + 2)]

    assert trace.told == ["beside", 0, "beside", 1, "beside", 2, "capture", "replay", 3, "replay", 4]
    assert losses == [0, 1, 2, 3, 4]
    assert step.captured is True


def test_the_graph_reads_a_place_of_its_own_and_gives_a_loss_of_its_own(monkeypatch):
    trace = Trace(monkeypatch)
    step = CapturedStep(trace.step)
    for number in range(WARM_UP_RUNS):
        step(plan(number))
    first, second = plan(7), plan(8)
    losses = [step(first), step(second)]

    assert (int(first.rows), int(second.rows)) == (7, 8)
    assert [float(loss) for loss in losses] == [7, 8]


def test_what_cannot_be_captured_runs_eagerly(monkeypatch):
    trace = Trace(monkeypatch, RuntimeError("operation not permitted when stream is capturing"))
    step = CapturedStep(trace.step)
    for number in range(WARM_UP_RUNS + 2):
        step(plan(number))

    assert trace.told == ["beside", 0, "beside", 1, "beside", 2, 3, 4]
    assert step.captured is False


def test_memory_that_runs_out_while_capturing_is_an_error(monkeypatch):
    step = CapturedStep(Trace(monkeypatch, torch.OutOfMemoryError("CUDA out of memory")).step)
    for number in range(WARM_UP_RUNS):
        step(plan(number))

    with pytest.raises(torch.OutOfMemoryError):
        step(plan(3))
    assert step.captured is None
