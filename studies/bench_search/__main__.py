"""What a trial costs beside its training: proposal and record at 100, 1,000 and 10,000 trials, and memory.

    python -m studies.bench_search [--sizes 100 1000 10000] [--postgres URL] [--out results.json]

The search is a real one of ``spaces/hybrid.yaml`` with a table in the place of training. The trials before the
measured ones are drawn by chance and put into the storage in one go each: proposing and recording ten thousand
would take an hour.
"""

import argparse
import json
import math
import os
import platform
import random
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial
from rich.console import Console
from rich.table import Table

from archsearch.architecture import Architecture
from archsearch.counting import count_macs
from archsearch.space import load_space
from archsearch.storage.open import close, open_for_work
from archsearch.storage.run_folder import RunFolder
from archsearch.storage.trial_store import TrialStore
from archsearch.study.config import StudyConfig
from archsearch.study.context import TrialContext
from archsearch.study.evaluate_candidate import Candidate, new_record
from archsearch.study.loop import Loop
from archsearch.study.next_job import Job
from archsearch.trial import RandomTrial, proposal_of
from archsearch.workers.folder_locks import FolderLocks
from archsearch.workers.postgres_locks import PostgresLocks

HERE = Path(__file__).parent
SPACE = HERE.parents[1] / "spaces" / "hybrid.yaml"
MEASURED_TRIALS = 20
OBJECTIVES = ("top1", "macs")
# What a trained candidate's record has beside its counts.
MEASURED = "latency_ms latency_iqr_ms latency_repeats latency_batch anchor_ms val_loss train_loss nwot nwot_per_image"
TIMES = "synflow trainability profile_seconds score_seconds train_seconds seconds samples"
REST = dict.fromkeys([*MEASURED.split(), *TIMES.split()], 1.5) | {"device": "a CPU"}


def table(architecture: Architecture, _budget: object) -> float:
    """An accuracy that rises with the MACs, and some digits of the id."""
    return (
        0.3 + 0.05 * math.log10(count_macs(architecture).total) + int(architecture.id[:4], 16) % 100 / 2_000
    )


def memory_mib() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def fill(loop: Loop, until: int, generator: random.Random) -> None:
    """Trained candidates up to ``until``, drawn by chance, each put into the storage in one go."""
    slot, store = len(loop.store.used()), loop.store
    while slot < until:
        proposal = proposal_of(loop.jobs.space, RandomTrial(generator))
        if loop.jobs.space.violations(proposal.architecture):
            continue
        top1 = table(proposal.architecture, None)
        record = new_record(proposal.architecture, slot, loop.context.space)
        record = replace(record, outcome="trained", top1=top1, **REST)
        trial = create_trial(
            state=TrialState.COMPLETE,
            values=[top1, float(record.macs)],
            params=proposal.params,
            distributions={name: CategoricalDistribution(c) for name, c in proposal.choices.items()},
            user_attrs={**record.attributes(), "worker": loop.locks.worker},
            constraints=loop.jobs.space.limited.excess(proposal.architecture),
        )
        store.storage.create_new_trial(store.study._study_id, template_trial=trial)  # noqa: SLF001 - as the trial store does
        slot += 1
        # As the loop does for every trial: what is finished is read a few at a time, and not thousands.
        if slot % 10 == 0:
            store.known()


def trial_of(loop: Loop, spent: dict[str, list[float]]) -> None:
    """One trial by the loop's own steps, the candidate's judgement left out; its time is added to ``spent``."""
    start = time.perf_counter()
    job = loop.claim()
    spent["proposal and claim"].append(time.perf_counter() - start)
    assert isinstance(job, Job), job
    top1 = table(job.architecture, None)
    record = replace(job.record, outcome="trained", top1=top1, **REST)
    constraints = loop.jobs.space.limited.excess(job.architecture)
    start = time.perf_counter()
    loop.settle(job, Candidate(record, constraints))
    spent["record"].append(time.perf_counter() - start)


def measure(where: str | None, sizes: list[int], sampler: str) -> list[dict[str, Any]]:
    """For each size: the medians of what a trial costs there, and memory."""
    space = load_space(SPACE)
    config = StudyConfig(objectives=OBJECTIVES, sampler=sampler, trials=100_000)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place))
        name = f"bench-{sampler}-{os.getpid()}"
        locks = FolderLocks(folder.path) if where is None else PostgresLocks(where, name)
        with locks as held:
            study = open_for_work(where or folder.database, name, OBJECTIVES)
            context = TrialContext(space, config, torch.device("cpu"), evaluate=table, checkpoints=folder)
            loop = Loop(TrialStore(study, OBJECTIVES, held.worker), folder, context, held)
            before = memory_mib()
            for size in sizes:
                fill(loop, size, random.Random(size))
                spent = {"proposal and claim": [], "record": []}
                for _ in range(MEASURED_TRIALS):
                    trial_of(loop, spent)
                medians = {what: statistics.median(s) * 1000 for what, s in spent.items()}
                worst = max(a + b for a, b in zip(*spent.values(), strict=True)) * 1000
                rows.append(
                    {
                        "record": "SQLite" if where is None else "PostgreSQL",
                        "sampler": sampler,
                        "trials": size,
                        "proposal_ms": medians["proposal and claim"],
                        "record_ms": medians["record"],
                        "sum_ms": sum(medians.values()),
                        "worst_ms": worst,
                        "memory_growth_mib": memory_mib() - before,
                    }
                )
                print(rows[-1], flush=True)
            close(study)
    return rows


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--sampler", default="auto")
    parser.add_argument("--postgres", help="postgresql://USER@HOST/DATABASE")
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows = []
    for where in [None, *([asked.postgres] if asked.postgres else [])]:
        rows += measure(where, asked.sizes, asked.sampler)
    conditions = {"cores": os.cpu_count(), "python": platform.python_version(), "optuna": optuna.__version__}
    asked.out.write_text(json.dumps({"conditions": conditions, "rows": rows}, indent=2) + "\n")
    shown = Table(*rows[0])
    for row in rows:
        shown.add_row(*(f"{value:.0f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=150).print(shown)


if __name__ == "__main__":
    main()
