"""Requests to stop (Ctrl-C, a scheduler's SIGTERM, a closed terminal) and what must not be cut in two by them."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def defer_signals() -> Iterator[None]:
    """A request to stop that arrives meanwhile waits until the record is whole."""
    arrived: list[int] = []
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        wanted = {number: signal.getsignal(number) for number in STOPS}
        before = {number: handler for number, handler in wanted.items() if handler is not None}
    for number in before:
        signal.signal(number, lambda received, _frame: arrived.append(received))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number in arrived:
        signal.raise_signal(number)
