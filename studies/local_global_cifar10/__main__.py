"""Latencies of a run measured anew, all candidates in turn, to see what its recorded ones are worth.

python -m studies.local_global_cifar10 RUN      # writes latencies.csv beside this file

The search itself is ``archsearch run`` on space.yaml and study.yaml; see README.md.
"""

import argparse
from pathlib import Path

import pandas as pd
from scipy.stats import spearmanr

from archsearch import load_run
from archsearch.architecture import Architecture
from archsearch.profiling import conditions_of, profile_architecture
from archsearch.results.families import disagreement_frame

HERE = Path(__file__).parent
ROUNDS = 3
SECONDS = 0.15


def measured_anew(descriptions: dict[str, str], wanted: list[str]) -> pd.DataFrame:
    """One row a candidate: the median of its medians, and how many of them were disturbed."""
    conditions = conditions_of("cpu", batch_size=32, threads=1)
    found: dict[str, list[tuple[float, float, bool]]] = {identity: [] for identity in wanted}
    for _ in range(ROUNDS):
        for identity in wanted:
            architecture = Architecture.model_validate_json(descriptions[identity])
            latency = profile_architecture(
                architecture, conditions=conditions, seconds=SECONDS, training=False
            ).latency
            found[identity].append((latency.median_ms, latency.iqr_ms, bool(latency.flags)))
    rows = []
    for identity, rounds in found.items():
        medians, spreads, flags = (pd.Series(column) for column in zip(*rounds, strict=True))
        rows.append(
            {
                "architecture": identity,
                "anew_ms": medians.median(),
                "anew_low_ms": medians.min(),
                "anew_high_ms": medians.max(),
                "anew_iqr_ms": spreads.median(),
                "disturbed_rounds": int(flags.sum()),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    run = load_run(parser.parse_args().run)
    trained = run.trials[run.trials["outcome"] == "trained"]
    anew = measured_anew(run.descriptions, trained["architecture"].tolist())
    names = [
        "number",
        "architecture",
        "layout",
        "family",
        "globality",
        "macs",
        "top1",
        "latency_ms",
        "latency_iqr_ms",
    ]
    table = trained[[*names, "latency_flags"]].merge(anew, on="architecture")
    table.to_csv(HERE / "latencies.csv", index=False)
    ratio = table["latency_ms"] / table["anew_ms"]
    rank = spearmanr(table["latency_ms"].astype(float), table["anew_ms"]).statistic
    print(
        f"{len(table)} candidates; Spearman of recorded and new latency {rank:.3f}; recorded over new: median {ratio.median():.2f}, "
    )
    print(
        f"5 % to 95 %: {ratio.quantile(0.05):.2f} to {ratio.quantile(0.95):.2f}; disturbed rounds {table['disturbed_rounds'].sum()} of {ROUNDS * len(table)}"
    )
    again = trained.merge(anew, on="architecture").drop(columns=["latency_ms", "latency_iqr_ms"])
    again = again.rename(columns={"anew_ms": "latency_ms", "anew_iqr_ms": "latency_iqr_ms"})
    print("on the MACs front and off the latency front, by the new latencies:")
    print(disagreement_frame(again).to_string(index=False))


if __name__ == "__main__":
    main()
