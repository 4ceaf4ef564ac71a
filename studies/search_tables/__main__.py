"""Which search finds the front of a table with the fewest training samples?

python -m studies.search_tables run --macro FILE --lcbench FILE --syne /path/to/python   # minutes; appends
python -m studies.search_tables report                                                   # tables and figure
"""

import argparse
import csv
import time
from dataclasses import astuple
from pathlib import Path

from studies.search_tables import competitors, ours
from studies.search_tables.cifar10 import Cifar10
from studies.search_tables.lcbench import Curves
from studies.search_tables.macro import Macro
from studies.search_tables.measure import Finished, scale_of, steps
from studies.search_tables.report import HEADER, TRAININGS, read_results, write_report
from studies.search_tables.tables import Table

HERE = Path(__file__).parent
RESULTS = HERE / "results.csv"
TABLES = ("cifar10", "macro", "lcbench")
METHODS = (*competitors.METHODS, *ours.METHODS)


def main() -> None:
    """Search, or say what came out."""
    parser = argparse.ArgumentParser(prog="python -m studies.search_tables")
    parser.add_argument("--results", type=Path, default=RESULTS)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="every search that has no line in the results yet")
    run.add_argument("--macro", type=Path, help="nas-bench-macro_cifar10.json, as downloaded")
    run.add_argument("--lcbench", type=Path, help="YAHPO's lcbench/model.onnx, as downloaded")
    run.add_argument("--syne", type=Path, help="the Python of an environment with syne-tune 0.16")
    run.add_argument("--table", choices=TABLES, action="append", help="repeat it for several; all by default")
    run.add_argument(
        "--method", choices=METHODS, action="append", help="repeat it for several; all by default"
    )
    run.add_argument("--seeds", type=int, default=10)
    run.add_argument(
        "--trainings", type=int, default=TRAININGS, help="the budget, in full trainings' samples"
    )
    commands.add_parser("report", help="tables and the figure")
    chosen = parser.parse_args()
    if chosen.command == "run":
        search_all(chosen)
    else:
        write_report(read_results(chosen.results), HERE)


def search_all(chosen: argparse.Namespace) -> None:
    """Append the lines of each search as it ends; a kill loses the one that runs."""
    done = read_results(chosen.results)
    keys = set(zip(done["table"], done["method"], done["seed"], strict=True))
    for name in chosen.table or TABLES:
        wanted = [(m, s) for m in chosen.method or METHODS for s in range(chosen.seeds)]
        waiting = [(method, seed) for method, seed in wanted if (name, method, seed) not in keys]
        if waiting:
            search_table(opened(name, chosen), waiting, chosen)


def search_table(table: Table, waiting: list[tuple[str, int]], chosen: argparse.Namespace) -> None:
    """Some methods and seeds on one table."""
    scale = scale_of(table)
    for method, seed in waiting:
        start = time.monotonic()
        trace = search(method, table, seed, chosen)
        found = steps(trace, scale, chosen.trainings * table.full_samples)
        append(chosen.results, [(table.name, method, seed, *astuple(step)) for step in found])
        seconds = time.monotonic() - start
        print(
            f"{table.name} {method} {seed}: {found[-1].hypervolume:.4f}, {len(trace)} trainings, {seconds:.1f} s"
        )


def append(results: Path, rows: list[tuple[object, ...]]) -> None:
    """Lines at the end of the file, which is begun if it is not there."""
    begun = results.exists()
    with results.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if not begun:
            writer.writerow(HEADER)
        writer.writerows(rows)


def opened(name: str, chosen: argparse.Namespace) -> Table:
    """A table by its name."""
    if name == "macro":
        return Macro(chosen.macro)
    if name == "lcbench":
        return Curves(chosen.lcbench)
    return Cifar10()


def search(method: str, table: Table, seed: int, chosen: argparse.Namespace) -> list[Finished]:
    """One search, ours or another's."""
    budget = chosen.trainings * table.full_samples
    if method in ours.METHODS:
        return ours.ours(table, method, seed, budget)
    return competitors.compete(method, table, seed, budget, chosen.syne)


if __name__ == "__main__":
    main()
