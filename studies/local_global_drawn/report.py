"""The least globality that the seeds do not tell from the best, task by task and seed by seed."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from archsearch import Run, load_run
from archsearch.families import ALL_LOCAL
from archsearch.stats.seeds import SeedSpread, seed_spread

# Differences below this are no matter on 1,600 validation images: their standard error at 98 % is 0.0035.
LEAST = 0.01


def write_report(runs: Path, out: Path) -> None:
    """``results.csv``, ``needed.csv``, ``map.png`` and the tables on standard output."""
    found = {path.name: load_run(path) for path in sorted(runs.glob("*-seed*"))}
    trials = pd.concat([trained(name, run) for name, run in found.items()])
    needed = needed_frame(trials)
    trials.to_csv(out / "results.csv", index=False)
    needed.to_csv(out / "needed.csv", index=False)
    save_picture(trials, needed, out / "map.png")
    print(needed.to_string(index=False))
    print(needed.groupby("task")[["best_globality", "needed_globality", "best_top1"]].agg(["mean", "std"]))


def trained(name: str, run: Run) -> pd.DataFrame:
    """The trained candidates of one run."""
    task, _, seed = name.rpartition("-seed")
    columns = [
        "architecture",
        "reference",
        "layout",
        "family",
        "globality",
        "macs",
        "params",
        "samples",
        "top1",
    ]
    rows = run.trials.loc[run.trials["outcome"] == "trained", columns]
    return rows.assign(task=task, seed=int(seed))


def needed_frame(trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each search: the best candidate, and the least global one that is as good as far as seeds tell."""
    rows = []
    for (task, seed), found in trials.groupby(["task", "seed"]):
        spread = spread_of(trials[trials["task"] == task])
        margin = max(LEAST, 0.0 if spread is None else spread.margin_between())
        best = found.loc[found["top1"].idxmax()]
        near = found[found["top1"] >= best["top1"] - margin]
        least = near.loc[near["globality"].idxmin()]
        rows.append(
            {
                "task": task,
                "seed": seed,
                "trained": len(found),
                "best_top1": best["top1"],
                "best_layout": best["layout"],
                "best_globality": best["globality"],
                "margin": margin,
                "needed_globality": least["globality"],
                "needed_layout": least["layout"],
                "all_conv_top1": found.loc[found["family"] == ALL_LOCAL, "top1"].max(),
            }
        )
    return pd.DataFrame(rows)


def spread_of(trials: pd.DataFrame) -> SeedSpread | None:
    """What seeds make of the references that learned with every seed: one that did not says nothing of a margin."""
    references = trials[trials["reference"].notna()]
    steady = references.groupby("architecture")["top1"].transform("min") > 0.9
    return seed_spread(references[steady], None)


def save_picture(trials: pd.DataFrame, needed: pd.DataFrame, path: Path) -> None:
    """Accuracy against globality, a panel a task; a line where the needed globality of each seed lies."""
    tasks = [task for task in ("texture", "xor", "layout") if task in set(trials["task"])]
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(9, 3.2), layout="constrained", dpi=160)
        for axes, task in zip(
            figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0], tasks, strict=True
        ):
            rows = trials[trials["task"] == task]
            for seed, marker in zip(sorted(rows["seed"].unique()), "osD^v", strict=False):
                own = rows[rows["seed"] == seed]
                axes.scatter(
                    own["globality"], own["top1"], marker=marker, s=26, alpha=0.8, label=f"seed {seed}"
                )
            for at in needed.loc[needed["task"] == task, "needed_globality"]:
                axes.axvline(at, color="0.5", linewidth=1, linestyle="--")
            axes.set_title(task, loc="left")
            axes.set_xlabel("globality (0 local, 1 global)")
            axes.set_xlim(0, 0.7)
        figure.axes[0].set_ylabel("top-1 accuracy (validation)")
        figure.axes[0].legend(frameon=False, fontsize=8)
        figure.savefig(path)
