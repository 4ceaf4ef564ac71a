"""How exact, how fast and how steady the profiling room is: python -m studies.bench_profiling [--only SECTION].

Sections: exact, speed, latency, predictor, forecast. Each writes its result into ``results.json`` of this
folder and prints it; README.md tells what came out. Run it on an idle machine: the sections that need
another process busy start one themselves.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from archsearch import count_macs, count_params, load_space
from archsearch.architecture import Architecture
from archsearch.profiling import Accuracy, conditions_of, fit_predictor, measure_latency
from archsearch.profiling.conditions import processor_name
from archsearch.profiling.predictor import features_of, least_squares
from archsearch.space import Space
from archsearch.study.config import load_study
from archsearch.study.forecast import forecast_time

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from fvcore_trace import traced_macs  # noqa: E402 - tests and study compare with one trace

SPACES = sorted((ROOT / "spaces").glob("*.yaml"))
CPU = torch.device("cpu")


def space_of(name: str) -> Space:
    return load_space(ROOT / "spaces" / f"{name}.yaml")


def buildable(space: Space, seed: int, count: int) -> list[Architecture]:
    """Random points that can be built, within the limits or not."""
    found: list[Architecture] = []
    for architecture in space.draws(seed, 1_000 * count):
        if not architecture.problems():
            found.append(architecture)
        if len(found) == count:
            break
    return found


def exact() -> dict[str, Any]:
    """200 random candidates of each shipped space: our count against one fvcore pass, and params against torch."""
    rows = {}
    for path in SPACES:
        candidates = buildable(load_space(path), seed=7, count=200)
        worst_macs = worst_params = 0
        for architecture in candidates:
            network = architecture.build()
            trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
            worst_params = max(worst_params, abs(count_params(architecture) - trainable))
            traced = traced_macs(network, architecture.image.shape)
            worst_macs = max(worst_macs, abs(count_macs(architecture).total - traced))
        rows[path.stem] = {
            "candidates": len(candidates),
            "largest MACs difference": worst_macs,
            "largest params difference": worst_params,
        }
        print(path.stem, rows[path.stem], flush=True)
    return rows


def speed() -> dict[str, Any]:
    """1,000 candidates of imagenet.yaml from an empty cache, in a fresh process, against plain fvcore on 30."""
    with tempfile.TemporaryDirectory() as cache:
        first, second = (in_fresh_process(cache) for _ in range(2))
        written = sum(file.stat().st_size for file in Path(cache).iterdir())
    space = space_of("imagenet")
    plain = []
    for architecture in buildable(space, seed=7, count=1_000)[:: 1_000 // 30][:30]:
        start = time.perf_counter()
        traced_macs(architecture.build(), architecture.image.shape)
        plain.append(time.perf_counter() - start)
    return {
        "cold, ms a candidate": first["cold_s"],
        "warm, candidates a second": 1e3 / first["warm_s"],
        "from the disk, ms a candidate": second["cold_s"],
        "cache file, MiB": written / 2**20,
        "plain fvcore, ms a candidate": statistics.mean(plain) * 1e3,
        "plain / cold": statistics.mean(plain) * 1e3 / first["cold_s"],
        "resident MiB: imported, 1,000 counted, counted 5 times more": first["resident_mib"],
    }


def in_fresh_process(cache: str) -> dict[str, Any]:
    """``count_here`` in a process of its own."""
    code = "from studies.bench_profiling.__main__ import count_here; count_here()"
    environment = {**os.environ, "ARCHSEARCH_CACHE": cache}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def count_here() -> None:
    """Counts 1,000 candidates as often as is said, and prints seconds a thousand and the memory in use."""
    candidates = buildable(space_of("imagenet"), seed=7, count=1_000)
    resident = [resident_mib()]
    start = time.perf_counter()
    count_all(candidates)
    cold = time.perf_counter() - start
    resident.append(resident_mib())
    start = time.perf_counter()
    for _ in range(5):
        count_all(candidates)
    warm = (time.perf_counter() - start) / 5
    resident.append(resident_mib())
    print(json.dumps({"cold_s": cold, "warm_s": warm, "resident_mib": resident}))


def count_all(candidates: list[Architecture]) -> None:
    for architecture in candidates:
        count_macs(architecture)
        count_params(architecture)


def resident_mib() -> float:
    """The most memory that this process has had in use."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def latency() -> dict[str, Any]:
    """Five runs in a row of some networks, on an idle machine and beside a busy loop on another core."""
    found: dict[str, Any] = {}
    for title, beside in (("idle", idle), ("a busy loop beside", busy_loop)):
        found[title] = {}
        with beside():
            for seed in (1, 2, 3):
                architecture = space_of("hybrid").draw(seed)
                network = architecture.build()
                conditions = conditions_of(CPU)
                runs = [measure_latency(network, architecture.image.shape, conditions) for _ in range(5)]
                medians = [run.median_ms for run in runs]
                found[title][architecture.layout] = {
                    "median_ms": statistics.median(medians),
                    "largest / smallest of 5 - 1": max(medians) / min(medians) - 1,
                    "runs flagged": sum(bool(run.flags) for run in runs),
                    "flags": sorted({flag for run in runs for flag in run.flags}),
                }
    return found


@contextmanager
def idle() -> Iterator[None]:
    yield


@contextmanager
def busy_loop() -> Iterator[None]:
    """A process that uses one core up."""
    loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    time.sleep(0.5)
    try:
        yield
    finally:
        loop.kill()
        loop.wait()


def predictor() -> dict[str, Any]:
    """Fitted to 60 candidates of hybrid.yaml, tested on 40 that it has not seen; then 200 other such splits."""
    space = space_of("hybrid")
    candidates = [a for a in space.draws(5, 4_000) if not space.violations(a)][:160]
    conditions = conditions_of(CPU)
    flags = [0]

    def note(_architecture: Architecture, latency: Any) -> None:
        flags[0] += bool(latency.flags)

    start = time.perf_counter()
    fitted = fit_predictor(candidates[:60], conditions, on_measured=note)
    fit_s = time.perf_counter() - start
    calls = len(fitted.table.ms)
    rest = [measure_latency(a.build(), a.image.shape, conditions) for a in candidates[60:]]
    start = time.perf_counter()
    first = np.array([fitted.predict(a) for a in candidates[60:]])
    first_s = time.perf_counter() - start
    start = time.perf_counter()
    for architecture in candidates[60:]:
        fitted.predict(architecture)
    again_s = time.perf_counter() - start
    measured = np.array([run.median_ms for run in rest])
    macs = np.array([count_macs(a).total for a in candidates[60:]], dtype=float)
    slope, offset = np.polyfit(np.log(macs[40:]), np.log(measured[40:]), 1)
    by_macs = np.exp(offset + slope * np.log(macs[:40]))
    return {
        "cross-validated on the 60": asdict(fitted.accuracy),
        "40 unseen": asdict(Accuracy.of(first[:40], measured[:40])),
        "40 unseen, by MACs alone (a line through the logarithms of 60 others)": asdict(
            Accuracy.of(by_macs, measured[:40])
        ),
        "200 random splits of 100 others, 60 to fit and 40 unseen": splits(candidates[60:], measured, fitted),
        "flagged measurements of the 60": flags[0],
        "distinct calls timed for the 60, and for all 160": [calls, len(fitted.table.ms)],
        "seconds to fit": fit_s,
        "ms a prediction: of an unseen candidate, of a seen one": [first_s * 10, again_s * 10],
    }


def splits(candidates: list[Architecture], measured: np.ndarray, fitted: Any) -> dict[str, Any]:
    """Mean and 5 % and 95 % quantiles of the accuracy over random splits."""
    rows = np.stack([features_of(fitted.table.times(a)) for a in candidates])
    generator = np.random.default_rng(0)
    found = []
    for _ in range(200):
        order = generator.permutation(len(rows))
        fit, unseen = order[:60], order[60:]
        predicted = rows[unseen] @ least_squares(rows[fit], measured[fit])
        found.append(asdict(Accuracy.of(predicted, measured[unseen])))
    return {
        name: [float(np.mean(values)), *map(float, np.quantile(values, [0.05, 0.95]))]
        for name in ("spearman", "within_5", "within_10", "within_20")
        for values in [[row[name] for row in found]]
    }


def forecasts() -> dict[str, Any]:
    """What check says of the README's job, and what it then takes."""
    space = space_of("hybrid")
    said = [forecast_time(space, load_study(space.study, "hybrid"), CPU).seconds for _ in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).parent / "archsearch"),
            "run",
            "spaces/hybrid.yaml",
            "--out",
            f"{folder}/run",
        ]
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        took = time.perf_counter() - start
    return {
        "forecast s, three times": said,
        "took s": took,
        "forecast / took": statistics.median(said) / took,
    }


SECTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "exact": exact,
    "speed": speed,
    "latency": latency,
    "predictor": predictor,
    "forecast": forecasts,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=SECTIONS, help="these sections alone")
    file = Path(__file__).parent / "results.json"
    parser.add_argument("--out", type=Path, default=file)
    asked = parser.parse_args()
    known: dict[str, Any] = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    for title in asked.only or SECTIONS:
        start = time.perf_counter()
        found = SECTIONS[title]()
        known[title] = {
            "result": found,
            "seconds": time.perf_counter() - start,
            "machine": f"{processor_name()}, {os.cpu_count()} cores",
            "versions": f"Python {platform.python_version()}, torch {torch.__version__}",
        }
        asked.out.write_text(json.dumps(known, indent=1) + "\n")
        print(f"## {title}\n{json.dumps(found, indent=1)}", flush=True)


if __name__ == "__main__":
    main()
