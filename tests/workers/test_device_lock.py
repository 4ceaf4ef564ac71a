"""While one worker measures, the trainings of the others on that device wait: real processes."""

import fcntl
import os
import select
from contextlib import contextmanager

import device_lock_process
import pytest
from forked_helper import ForkedHelper

from archsearch.errors import EnvironmentFaultError
from archsearch.files import file_lock
from archsearch.workers.device_lock import DeviceLock

# Seconds after which somebody who would go on would have done so, on any machine.
LONG = 0.5


@contextmanager
def beside(folder, what, device="cpu"):
    """A process that measures, or takes a step of training; it is ready to ask for the device."""
    with ForkedHelper(device_lock_process.main, folder, device, what) as process:
        try:
            assert heard(process) == "ready"
            yield process
        finally:
            process.kill()


def heard(process, within=60):
    """The next line that it says; None if it says nothing for so long."""
    if not select.select([process.stdout], [], [], within)[0]:
        return None
    line = b""
    # Byte by byte: a buffer would hide the next line from ``select``.
    while not line.endswith(b"\n"):
        line += os.read(process.stdout.fileno(), 1)
    return line.decode().strip()


def test_a_step_waits_while_another_process_measures_and_continues_when_it_ends(tmp_path):
    with beside(tmp_path, "measure") as measurer:
        assert heard(measurer) == "has it"
        with beside(tmp_path, "step") as step:
            assert heard(step, LONG) is None
            measurer.stdin.write("done\n")
            measurer.stdin.flush()
            assert heard(step) == "has it"


def test_a_measurer_that_is_killed_blocks_nobody(tmp_path):
    with beside(tmp_path, "measure") as measurer:
        assert heard(measurer) == "has it"
        with beside(tmp_path, "measure") as second:
            assert heard(second, LONG) is None
            measurer.kill()
            assert heard(second) == "has it"


def test_steps_do_not_wait_for_each_other_nor_for_measurements_elsewhere(tmp_path):
    device_lock = DeviceLock(tmp_path, "cuda:0")
    with file_lock(device_lock.path, fcntl.LOCK_SH), DeviceLock(tmp_path, "cuda:1").exclusive():
        device_lock.wait()

    assert sorted(path.name for path in (tmp_path / "workers").iterdir()) == [
        "measuring-cuda-0.lock",
        "measuring-cuda-1.lock",
    ]


def test_an_error_in_a_measurement_ends_it(tmp_path):
    device_lock = DeviceLock(tmp_path, "cpu")
    with pytest.raises(ValueError, match="a broken kernel"), device_lock.exclusive():
        raise ValueError("a broken kernel")

    device_lock.wait()


def test_a_folder_that_cannot_be_written_is_a_fault_of_the_disk(tmp_path):
    (tmp_path / "workers").write_text("no folder")

    with pytest.raises(EnvironmentFaultError, match="what is recorded is kept"):
        DeviceLock(tmp_path, "cpu").wait()
