"""Capture of work on a GPU as one CUDA graph, which is then replayed: one launch instead of hundreds.

What is captured must have run a few times on another stream than the current one, as PyTorch's notes on CUDA
graphs ask (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

WARM_UP_RUNS = 3

Result = TypeVar("Result")


@contextmanager
def side_stream() -> Iterator[None]:
    """Work runs on another stream, behind what the current one has to do; the current one waits for it."""
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        yield
    torch.cuda.current_stream().wait_stream(beside)


def capture(work: Callable[[], Result]) -> Callable[[], Result]:
    """``work`` as a graph that can be replayed. It has been warmed up, and does not run while it is captured.

    Every replay reads and writes the same memory, and gives the same result object with new values in it.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()

    def replay(_reads_memory_of: Callable[[], Result] = work) -> Result:
        graph.replay()
        return result

    return replay


def warm_up_and_capture(work: Callable[[], Result], device: torch.device) -> Callable[[], Result]:
    """``work`` as a graph on ``device``, after a few runs on a side stream."""
    with torch.cuda.device(device):
        with side_stream():
            for _ in range(WARM_UP_RUNS):
                work()
        return capture(work)
