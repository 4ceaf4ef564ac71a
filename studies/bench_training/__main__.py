"""How close to bare arithmetic the training is: python -m studies.bench_training [--only SECTION].

Sections: loop, limit, threads, continuation, job, graph (on a GPU). Each writes its result into
``results.json`` of this folder and prints it. Ratios are of medians of rounds that take turns in one process.
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from archsearch import load_space
from archsearch.architecture import Architecture, seeded_network
from archsearch.data import ImageData, Normalisation, Split
from archsearch.profiling.conditions import processor_name
from archsearch.proxy import Recipe, Training
from archsearch.proxy.optimizer import build_optimizer

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CPU = torch.device("cpu")
CANDIDATES = 6
ROUNDS = 9
STEPS = 12
RECIPE = Recipe(samples=10_000_000, batch_size=32, crop=4, flip=True)
RUNGS = (1 / 9, 1 / 3)


def candidates(*, small: bool = False) -> list[Architecture]:
    """Random points of the README's space, or of the smaller one of the proxy study."""
    file = ROOT / "studies" / "proxy_fairness" / "space.yaml" if small else ROOT / "spaces" / "hybrid.yaml"
    space = load_space(file)
    return [space.draw(seed) for seed in range(CANDIDATES)]


def images() -> ImageData:
    """Random pixels and labels: what is timed does not depend on them."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (4096, 3, 32, 32), dtype=torch.uint8, generator=generator)
    split = Split(pixels, torch.randint(0, 10, (4096,), generator=generator))
    return ImageData("noise", split, split.first(64), 10, Normalisation.of(pixels), "noise")


class PerImage(Dataset[tuple[Tensor, int]]):
    """What a tutorial's data set does: one image at a time, as PIL, is cropped, mirrored and normalised."""

    def __init__(self, data: ImageData) -> None:
        self.arrays = data.train.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = data.train.labels.tolist()
        self.mean, self.std = (
            torch.tensor(v).view(3, 1, 1) for v in (data.normalisation.mean, data.normalisation.std)
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        image = ImageOps.expand(Image.fromarray(self.arrays[row]), RECIPE.crop)
        left, top = torch.randint(0, 2 * RECIPE.crop + 1, (2,)).tolist()
        image = image.crop((left, top, left + 32, top + 32))
        if torch.rand(()) < 0.5:
            image = ImageOps.mirror(image)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return pixels.sub(self.mean).div(self.std), self.labels[row]


def our_steps(
    architecture: Architecture, data: ImageData, device: torch.device = CPU, **how: Any
) -> Callable[[], None]:
    """A few steps of our loop, reading of losses included."""
    training = Training(seeded_network(architecture, 0), data, RECIPE, device, **how)
    return lambda: training.advance(training.done + STEPS)


def bare_steps(architecture: Architecture, data: ImageData) -> Callable[[], None]:
    """The limit: the same network and optimiser on one batch that lies ready."""
    network = seeded_network(architecture, 0).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimiser = build_optimizer(network, RECIPE, CPU)
    batch = data.normalisation.apply(data.train.images[: RECIPE.batch_size]).contiguous(
        memory_format=torch.channels_last
    )
    labels = data.train.labels[: RECIPE.batch_size]
    return lambda: steps(network, optimiser, itertools.repeat((batch, labels), STEPS))


def plain_steps(architecture: Architecture, data: ImageData, workers: int) -> Callable[[], None]:
    """A plain PyTorch loop: DataLoader, per-image transforms, torch's own defaults."""
    network = seeded_network(architecture, 0).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05)
    loader = DataLoader(PerImage(data), RECIPE.batch_size, shuffle=True, num_workers=workers, drop_last=True)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    return lambda: steps(network, optimiser, itertools.islice(batches, STEPS))


def steps(network: nn.Module, optimiser: torch.optim.Optimizer, batches: Any) -> None:
    """Forward, backward, update."""
    for batch, labels in batches:
        optimiser.zero_grad()
        functional.cross_entropy(network(batch), labels, label_smoothing=RECIPE.label_smoothing).backward()
        optimiser.step()


def seconds(
    ways: dict[str, Callable[[], None]], settle: Callable[[], object] = lambda: None
) -> dict[str, float]:
    """The median of each way's rounds, all ways in turn; the first round warms up."""
    timings: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(ROUNDS + 1):
        for name, way in ways.items():
            settle()
            start = time.perf_counter()
            way()
            settle()
            if round_:
                timings[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in timings.items()}


def compared(
    ways: Callable[[Architecture], dict[str, Callable[[], None]]], ours: str = "ours"
) -> dict[str, Any]:
    """Images a second of every way for every candidate, and how many times each other way's ours are."""
    rows = {}
    for architecture in [*candidates(), *candidates(small=True)]:
        found = seconds(ways(architecture))
        images_a_second = {name: STEPS * RECIPE.batch_size / spent for name, spent in found.items()}
        ratios = {f"ours / {name}": found[name] / found[ours] for name in found if name != ours}
        rows[f"{architecture.layout} {architecture.id}"] = images_a_second | ratios
        print(architecture.layout, rounded(images_a_second | ratios), flush=True)
    table = pd.DataFrame(rows).T
    ratios = table[[name for name in table.columns if name.startswith("ours /")]]
    parts = {"hybrid": ratios.iloc[:CANDIDATES], "proxy_fairness": ratios.iloc[CANDIDATES:]}
    medians = {f"median of {name}": part.median().to_dict() for name, part in parts.items()}
    return {**medians, "least": ratios.min().to_dict(), "candidates": rows}


def loop() -> dict[str, Any]:
    """Our loop against plain PyTorch loops without and with worker processes."""
    data = images()
    return compared(
        lambda a: {
            "ours": our_steps(a, data),
            "plain": plain_steps(a, data, workers=0),
            "plain, 2 workers": plain_steps(a, data, workers=2),
        }
    )


def limit() -> dict[str, Any]:
    """Our loop against the bare step."""
    data = images()
    return compared(lambda a: {"ours": our_steps(a, data), "bare": bare_steps(a, data)})


def threads() -> dict[str, Any]:
    """Our loop on one thread and on two, in processes of their own, with the two ways that threads can wait."""
    rows = {}
    for policy, count in itertools.product(("ACTIVE", "PASSIVE"), (1, 2)):
        environment = {**os.environ, "OMP_WAIT_POLICY": policy, "OMP_NUM_THREADS": str(count)}
        command = [sys.executable, "-m", "studies.bench_training", "--one-pass"]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
        rows[f"{policy.lower()} {count}"] = json.loads(done.stdout)
    return rows


def one_pass() -> float:
    """Images a second of our loop, the mean over the candidates."""
    data = images()
    spent = [seconds({"ours": our_steps(a, data)})["ours"] for a in candidates()]
    return STEPS * RECIPE.batch_size / statistics.mean(spent)


def continuation() -> dict[str, Any]:
    """Stopped at two rungs, and trained straight through: how many bits differ, for each candidate."""
    data = images()
    recipe = Recipe(
        samples=1600, batch_size=32, crop=4, flip=True, cutout=8, schedule="wsd", ema=0.5, warmup=0.03
    )
    differing = {}
    for architecture in candidates():
        straight, stopped = (Training(seeded_network(architecture, 0), data, recipe, CPU) for _ in range(2))
        for share in RUNGS:
            stopped.rung(share)
            state = stopped.state()
            stopped = Training(seeded_network(architecture, 1), data, recipe, CPU)
            stopped.load(state)
        scores = [training.finish() for training in (straight, stopped)]
        one, other = (training.network.state_dict() for training in (straight, stopped))
        differing[architecture.layout] = sum(int((one[n] != other[n]).sum()) for n in one) + (
            scores[0].loss != scores[1].loss
        )
    print(differing, flush=True)
    return {"differing numbers": differing}


def job() -> dict[str, Any]:
    """The README's run in a fresh process: the share of its wall time that is not training."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).parent / "archsearch"),
            "run",
            "spaces/hybrid.yaml",
            "--out",
            folder,
        ]
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True)
        wall = time.perf_counter() - start
        trials = pd.read_parquet(Path(folder) / "trials.parquet")
    spent = {name: float(trials[f"{name}_seconds"].sum()) for name in ("train", "profile", "score")}
    return {
        "wall seconds": wall,
        **{f"{name} seconds": value for name, value in spent.items()},
        "in trials seconds": float(trials["seconds"].sum()),
        "everything but training": 1 - spent["train"] / wall,
    }


def graph() -> dict[str, Any]:
    """On a GPU: the captured step against the eager one."""
    device, data = torch.device("cuda:0"), images()
    rows = {}
    for architecture in candidates():
        ways = {
            "captured": our_steps(architecture, data, device),
            "eager": our_steps(architecture, data, device, capture=False),
        }
        found = seconds(ways, torch.cuda.synchronize)
        rows[architecture.layout] = {**found, "captured / eager": found["eager"] / found["captured"]}
        print(architecture.layout, rounded(rows[architecture.layout]), flush=True)
    return rows


def rounded(row: dict[str, float]) -> dict[str, float]:
    """To be read."""
    return {name: float(f"{value:.4g}") for name, value in row.items()}


SECTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "loop": loop,
    "limit": limit,
    "threads": threads,
    "continuation": continuation,
    "job": job,
    "graph": graph,
}


def conditions() -> dict[str, Any]:
    """On what it ran."""
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load before": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def main() -> None:
    """Run the sections asked for and record them."""
    parser = argparse.ArgumentParser(prog="python -m studies.bench_training")
    parser.add_argument("--only", choices=SECTIONS, action="append")
    parser.add_argument("--one-pass", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one_pass:
        print(one_pass())
        return
    file = HERE / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    chosen = asked.only or [name for name in SECTIONS if name != "graph" or torch.cuda.is_available()]
    for name in chosen:
        results[name] = {"conditions": conditions(), **SECTIONS[name]()}
        file.write_text(json.dumps(results, indent=2) + "\n")
        print(name, json.dumps({k: v for k, v in results[name].items() if k != "candidates"}), flush=True)


if __name__ == "__main__":
    main()
