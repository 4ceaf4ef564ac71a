"""Everything that needs a GPU, in one command of under eight minutes: python -m studies.gpu_check.

Runs the tests that are marked ``gpu``, then measures, prints a table a section and writes all of it as
JSON (``--out``, by default ``studies/gpu_check/DEVICE.json``). A section that would begin too late is left
out and named. ``--device cpu`` runs what a CPU can, to try the command itself.
"""

import argparse
import itertools
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from archsearch import count_macs, load_architecture, load_space
from archsearch.architecture import Architecture
from archsearch.profiling import (
    Latency,
    conditions_of,
    device_name,
    fit_predictor,
    measure_latency,
    pick_device,
)
from archsearch.profiling.memory import inference_memory_mib, training_memory_mib
from archsearch.proxy import Recipe, Training
from archsearch.study.forecast import noise

ROOT = Path(__file__).parents[2]
BUDGET_S = 7.5 * 60
NETWORKS = ("resnet50", "bot50", "vit_small_patch16_224", "t2t_vit_14")
SECONDS = 0.5


def network(name: str) -> Architecture:
    return load_architecture(ROOT / "spaces" / "reference" / f"{name}.yaml")


def measured(architecture: Architecture, device: torch.device, **wanted: Any) -> Latency:
    built = architecture.build()
    return measure_latency(built, architecture.image.shape, conditions_of(device, **wanted), seconds=SECONDS)


def marked_tests(_device: torch.device) -> list[dict[str, Any]]:
    """The tests that are marked gpu."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-m", "gpu", "-q", "tests"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    lines = ran.stdout.strip().splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return [{"exit": ran.returncode, "result": lines[-1] if lines else ran.stderr[-300:], "failed": failed}]


def protocol(device: torch.device) -> list[dict[str, Any]]:
    """Five runs in a row of each network, batch 1: how far apart their medians are."""
    rows = []
    for name in NETWORKS:
        architecture = network(name)
        built = architecture.build()
        conditions = conditions_of(device)
        runs = [
            measure_latency(built, architecture.image.shape, conditions, seconds=SECONDS) for _ in range(5)
        ]
        medians = [run.median_ms for run in runs]
        rows.append(
            {
                "network": name,
                "median_ms": statistics.median(medians),
                "spread_of_5": max(medians) / min(medians) - 1,
                "anchor_ms": runs[-1].anchor_ms,
                "flags": sorted({flag for run in runs for flag in run.flags}),
            }
        )
    return rows


def modes(device: torch.device) -> list[dict[str, Any]]:
    """Eager, captured and compiled, float32 and bfloat16, batch 1: what launching costs."""
    on_gpu = device.type == "cuda"
    small = load_space(ROOT / "spaces" / "hybrid.yaml").draw(1)
    rows = []
    for name, architecture in (("hybrid, 32 px", small), *((name, network(name)) for name in NETWORKS)):
        row: dict[str, Any] = {"network": name}
        for dtype in ("float32", "bfloat16"):
            for mode in ("eager", "cuda_graph") if on_gpu else ("eager",):
                row[f"{mode} {dtype}"] = measured(architecture, device, dtype=dtype, mode=mode).median_ms
        if on_gpu:
            row["eager / graph"] = row["eager float32"] / row["cuda_graph float32"]
        rows.append(row)
    return rows


def compiled(device: torch.device) -> list[dict[str, Any]]:
    """torch.compile against eager, bfloat16, batch 1."""
    rows = []
    for name in ("resnet50", "vit_small_patch16_224"):
        eager, fused = (
            measured(network(name), device, dtype="bfloat16", mode=mode).median_ms
            for mode in ("eager", "compiled")
        )
        rows.append(
            {"network": name, "eager ms": eager, "compiled ms": fused, "eager / compiled": eager / fused}
        )
    return rows


def throughput(device: torch.device) -> list[dict[str, Any]]:
    """MACs against images a second, batch 128, bfloat16, channels_last, captured: what MACs do not tell."""
    on_gpu = device.type == "cuda"
    batch = 128 if on_gpu else 2
    rows = []
    for name in (*NETWORKS, "resnet18", "vit_base_patch16_224"):
        architecture = network(name)
        latency = measured(
            architecture,
            device,
            batch_size=batch,
            dtype="bfloat16",
            memory_format="channels_last",
            mode="cuda_graph" if on_gpu else "eager",
        )
        macs = count_macs(architecture).without_norms
        per_second = batch / latency.median_ms * 1e3
        rows.append(
            {
                "network": name,
                "GMACs": macs / 1e9,
                "images/s": per_second,
                "TMACs/s": macs * per_second / 1e12,
                "flags": list(latency.flags),
            }
        )
    return rows


def memory(device: torch.device) -> list[dict[str, Any]]:
    """Peak memory at batch 64: inference in float32 and bfloat16, a training step in float32."""
    rows = []
    for name in NETWORKS:
        architecture = network(name)
        image, built = architecture.image.shape, architecture.build()
        whole, half = (conditions_of(device, batch_size=64, dtype=d) for d in ("float32", "bfloat16"))
        rows.append(
            {
                "network": name,
                "inference MiB": inference_memory_mib(built, image, whole),
                "inference bf16 MiB": inference_memory_mib(built, image, half),
                "training MiB": training_memory_mib(built, image, architecture.classes, whole),
            }
        )
    return rows


def predictor(device: torch.device) -> list[dict[str, Any]]:
    """The latency predictor of the hybrid space, 40 candidates, eager and captured."""
    space = load_space(ROOT / "spaces" / "hybrid.yaml")
    candidates = [a for a in space.draws(3, 400) if not space.violations(a)][:40]
    rows = []
    for mode in ("eager", "cuda_graph") if device.type == "cuda" else ("eager",):
        for batch in (1, 64):
            start = time.perf_counter()
            fitted = fit_predictor(
                candidates, conditions_of(device, batch_size=batch, mode=mode), seconds=0.2
            )
            rows.append(
                {
                    "mode": mode,
                    "batch": batch,
                    **asdict(fitted.accuracy),
                    "calls": len(fitted.table.ms),
                    "seconds": time.perf_counter() - start,
                }
            )
    return rows


def training(device: torch.device) -> list[dict[str, Any]]:
    """Images a second of the proxy's loop on resident noise, hybrid space: eager, and as one captured graph."""
    space = load_space(ROOT / "spaces" / "hybrid.yaml")
    on_gpu = device.type == "cuda"
    batches = (32, 256) if on_gpu else (16,)
    rows = []
    for batch, seed in itertools.product(batches, (1, 2, 3)):
        architecture = space.draw(seed)
        row: dict[str, Any] = {"layout": architecture.layout, "batch": batch}
        row["eager images/s"], _ = trained_a_second(architecture, batch, device, capture=False)
        if on_gpu:
            row["captured images/s"], row["captured"] = trained_a_second(
                architecture, batch, device, capture=True
            )
            row["times"] = row["captured images/s"] / row["eager images/s"]
        rows.append(row)
    return rows


def trained_a_second(
    architecture: Architecture, batch: int, device: torch.device, *, capture: bool
) -> tuple[float, bool | None]:
    """Images a second behind ten steps that set things up, and whether the steps were captured."""
    recipe = Recipe(samples=batch * 40, batch_size=batch, crop=4, flip=True)
    run = Training(architecture.build(), noise(architecture, batch), recipe, device, capture=capture)
    run.advance(10)
    start = time.perf_counter()
    run.advance(run.steps)  # which reads the last loss, and so waits for the device
    return batch * (run.steps - 10) / (time.perf_counter() - start), run.score().captured


SECTIONS: dict[str, Callable[[torch.device], list[dict[str, Any]]]] = {
    "tests marked gpu": marked_tests,
    "latency protocol": protocol,
    "eager and captured": modes,
    "MACs and throughput": throughput,
    "peak memory": memory,
    "predictor": predictor,
    "training": training,
    "compiled": compiled,
}


def table(title: str, rows: list[dict[str, Any]]) -> str:
    """Rows as text in columns."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([shown(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join([f"\n## {title}", *lines])


def shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "-"
    return "-" if value is None else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="these sections alone")
    parser.add_argument("--out", type=Path, help="where the JSON goes")
    asked = parser.parse_args()
    device = pick_device(asked.device)
    name = device_name(device)
    out = (
        asked.out or Path(__file__).parent / f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-').lower()}.json"
    )
    start = time.perf_counter()
    found: dict[str, Any] = {"conditions": asdict(conditions_of(device)), "sections": {}, "left out": []}
    print(f"{name}, torch {torch.__version__}")
    for title in asked.only or SECTIONS:
        begun = time.perf_counter()
        if begun - start > BUDGET_S * 0.85:
            found["left out"].append(title)
            print(f"\n## {title}: left out, {begun - start:.0f} s have passed")
            continue
        try:
            rows = SECTIONS[title](device)
        except Exception as error:  # noqa: BLE001 - the other sections are worth having; the exit code tells
            rows = [{"error": f"{type(error).__name__}: {error}"}]
        found["sections"][title] = {"rows": rows, "seconds": time.perf_counter() - begun}
        print(f"{table(title, rows)}\n({time.perf_counter() - begun:.0f} s)", flush=True)
        out.write_text(json.dumps(found, indent=1) + "\n")
    found["seconds"] = time.perf_counter() - start
    out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\n{found['seconds']:.0f} s; written to {out}")
    broken = [
        title
        for title, section in found["sections"].items()
        if any("error" in row or row.get("exit", 0) not in (0, 5) for row in section["rows"])
    ]
    if broken:
        raise SystemExit(f"failed: {', '.join(broken)}")


if __name__ == "__main__":
    main()
