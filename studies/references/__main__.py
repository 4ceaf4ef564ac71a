"""Build and profile every published network and write the table of this folder's README: python -m studies.references.

Prints, for each file of ``spaces/reference/``, parameters and MACs beside the published figures, and the
time that building and counting all of them took; ``--out`` writes the rows as CSV.
"""

import argparse
import csv
import time
from pathlib import Path

import torch

from archsearch import count_macs, count_params, globality, load_space
from archsearch.counting import count_frozen

REFERENCE = Path(__file__).parents[2] / "spaces" / "reference"


def row(path: Path) -> dict[str, object]:
    space = load_space(path)
    architecture = next(space.draws(seed=0, count=1))
    network = architecture.build()
    macs = count_macs(architecture)
    published = space.published
    params, frozen = count_params(architecture), count_frozen(architecture)
    if params + frozen != sum(p.numel() for p in network.parameters()):
        raise SystemExit(f"{path.stem}: the count is not that of the built network")
    return {
        "network": path.stem,
        "params": params + frozen,
        "trainable": params,
        "macs": macs.total,
        "macs_without_norms": macs.without_norms,
        "published_params": published.params,
        "published_macs": published.macs,
        "macs_deviation": None
        if published.macs is None
        else round(macs.without_norms / published.macs - 1, 4),
        "globality": round(globality(architecture), 3),
        "source": published.source,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write the rows as CSV")
    out = parser.parse_args().out
    start = time.perf_counter()
    rows = [row(path) for path in sorted(REFERENCE.glob("*.yaml"))]
    seconds = time.perf_counter() - start
    for r in rows:
        theirs = "-" if r["published_macs"] is None else f"{r['published_macs'] / 1e9:.3f}"
        deviation = "-" if r["macs_deviation"] is None else f"{r['macs_deviation']:+.1%}"
        print(
            f"{r['network']:34s} {r['params']:>12,} {r['trainable']:>12,} "
            f"{r['macs_without_norms'] / 1e9:8.3f} {theirs:>8s} {deviation:>7s} {r['globality']:6.3f}"
        )
    print(f"{len(rows)} networks built and counted in {seconds:.1f} s with {torch.get_num_threads()} threads")
    if out is not None:
        with out.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
