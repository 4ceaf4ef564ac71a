"""One of several workers that empty one queue of trials: prints the numbers it was handed.

``record`` is a SQLite file or the URL of a database. All of them ask at once for their first trial, and wait for each
other in ``folder`` before they empty the rest.
"""

import os
import time
from pathlib import Path

from archsearch.storage.open import open_for_work


def main(record, folder, workers):
    folder = Path(folder)
    study = open_for_work(record, "queue", ("top1", "macs"))
    print("ready", flush=True)
    while not (folder / "go").exists():
        time.sleep(0.005)
    print(study.ask().number, flush=True)
    (folder / f"{os.getpid()}.first").touch()
    while len(list(folder.glob("*.first"))) < int(workers):
        time.sleep(0.005)
    while True:
        trial = study.ask()
        if "queued" not in trial.user_attrs:
            return  # the queue is empty: this trial is a new one
        print(trial.number, flush=True)
