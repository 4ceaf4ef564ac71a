"""Two workers with one thread each against one: trials per hour on the same candidates.

    python -m studies.bench_search.workers [--trials 16] [--rounds 3]

Both run the README's command on ``spaces/hybrid.yaml`` with ``--threads 1 --sampler random``, so that the same
candidates are trained, in turns: one worker, two workers, one, two. Time is from the first claim to the last
record: how long a process takes to start is no part of it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from archsearch.results import load_run

HERE = Path(__file__).parent
SPACE = HERE.parents[1] / "spaces" / "hybrid.yaml"


def trials_per_hour(workers: int, trials: int) -> tuple[float, dict[int, tuple[str, float]]]:
    """By that many processes on one folder; and what they found, by slot."""
    with tempfile.TemporaryDirectory() as place:
        command = [Path(sys.executable).with_name("archsearch"), "run", SPACE, "--out", place]
        command += ["--threads", "1", "--sampler", "random", "--trials", str(trials)]
        processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(workers)]
        assert [process.wait() for process in processes] == [0] * workers
        table = load_run(place).trials
    trained = table[table["outcome"] == "trained"]
    ended = trained["started"] + trained["seconds"].astype(float).map(lambda s: f"{s}s").astype(
        "timedelta64[us]"
    )
    hours = (ended.max() - trained["started"].min()).total_seconds() / 3600
    found = dict(
        zip(trained["slot"], zip(trained["architecture"], trained["top1"], strict=True), strict=True)
    )
    return len(trained) / hours, found


def main() -> None:
    """Measure, compare and write down."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    rounds = []
    for _ in range(asked.rounds):
        one, alone = trials_per_hour(1, asked.trials)
        two, together = trials_per_hour(2, asked.trials)
        rounds.append({"one": one, "two": two, "ratio": two / one, "same results": alone == together})
        print(rounds[-1], flush=True)
    ratio = statistics.median(entry["ratio"] for entry in rounds)
    (HERE / "workers.json").write_text(json.dumps({"rounds": rounds, "median ratio": ratio}, indent=2) + "\n")
    print(f"two workers train {ratio:.2f} times the trials per hour (median of {asked.rounds})")


if __name__ == "__main__":
    main()
