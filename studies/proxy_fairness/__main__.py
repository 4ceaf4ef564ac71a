"""How well do short trainings and zero-cost scores rank conv, attention and hybrid candidates?

python -m studies.proxy_fairness train --data cifar10-train.parquet    # hours; stop and go on at will
python -m studies.proxy_fairness report                                # tables and figures, seconds
"""

import argparse
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from studies.proxy_fairness.report import write_report
from studies.proxy_fairness.training import HERE, jobs, load_images, run_in_worker

LINES = HERE / "trainings.jsonl"


def main() -> None:
    """Train what is not trained yet, or say what is known."""
    parser = argparse.ArgumentParser(prog="python -m studies.proxy_fairness")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train every candidate that has no line in the table yet")
    train.add_argument("--data", type=Path, required=True, help="CIFAR-10's training images as Parquet")
    train.add_argument("--processes", type=int, default=os.cpu_count(), help="one thread each")
    train.add_argument("--lines", type=Path, default=LINES)
    report = commands.add_parser("report", help="the table, the rank correlations and the figures")
    report.add_argument("--lines", type=Path, default=LINES)
    chosen = parser.parse_args()
    if chosen.command == "train":
        train_all(chosen.data, chosen.processes, chosen.lines)
    else:
        write_report(read_lines(chosen.lines), HERE)


def train_all(data: Path, processes: int, lines: Path) -> None:
    """Append one line for each training as it ends; a kill loses those that run."""
    done = {(row["architecture"], row["seed"]) for row in read_lines(lines)}
    waiting = [job for job in jobs() if job.key not in done]
    print(f"{len(done)} trainings are done, {len(waiting)} to go")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, load_images, (data,)) as pool, lines.open("a") as file:
        for future in as_completed([pool.submit(run_in_worker, job) for job in waiting]):
            row = future.result()
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
            print(
                f"{row['layout']} seed {row['seed']}: {row['top1']:.3f} in {row['seconds']:.0f} s", flush=True
            )


def read_lines(lines: Path) -> list[dict[str, object]]:
    """The rows so far; a last line that a kill cut short is left out."""
    if not lines.exists():
        return []
    whole = [line for line in lines.read_text().split("\n")[:-1] if line]
    return [json.loads(line) for line in whole]


if __name__ == "__main__":
    main()
