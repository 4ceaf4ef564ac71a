"""A process beside the test: python measuring.py FOLDER DEVICE measure|step

Says ``ready`` before it asks for the device, ``has it`` as soon as it has; a measurement lasts until its
standard input says something or the process is killed.
"""

import sys
from pathlib import Path

from archsearch.workers.device_lock import Quiet


def main(folder, device, what):
    quiet = Quiet(Path(folder), device)
    print("ready", flush=True)
    if what == "step":
        quiet.wait()
        print("has it", flush=True)
    else:
        with quiet.measuring():
            print("has it", flush=True)
            sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
