"""A process beside the test, which measures (``what`` is ``measure``) or trains (``step``) on a device.

Says ``ready`` before it asks for the device, ``has it`` as soon as it has; a measurement lasts until its
standard input says something or the process is killed.
"""

import sys
from pathlib import Path

from archsearch.workers.device_lock import DeviceLock


def main(folder, device, what):
    device_lock = DeviceLock(Path(folder), device)
    print("ready", flush=True)
    if what == "step":
        device_lock.wait()
        print("has it", flush=True)
    else:
        with device_lock.exclusive():
            print("has it", flush=True)
            sys.stdin.readline()
