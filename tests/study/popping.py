"""One of several workers that empty one queue of trials: prints the numbers it was handed.

python popping.py FOLDER
"""

import sys
import time
from pathlib import Path

from archsearch.study.storage import open_study


def main(folder):
    study = open_study(folder / "study.db", "queue", ("top1", "macs"))
    print("ready", flush=True)
    while not (folder / "go").exists():
        time.sleep(0.005)
    while True:
        trial = study.ask()
        if "queued" not in trial.user_attrs:
            return  # the queue is empty: this trial is a new one
        print(trial.number, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
