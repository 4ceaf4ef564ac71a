"""Does the map find how global a network has to be, where the drawn images themselves decide it?

python -m studies.local_global_drawn             # searches every task from every seed; goes on where it was stopped
python -m studies.local_global_drawn --report    # table and picture from the runs there are
"""

import argparse
from pathlib import Path

from archsearch import Recipe, StudyConfig, load_space, run_study
from studies.local_global_drawn.report import write_report

HERE = Path(__file__).parent
# What is drawn, and how many images each candidate is shown: texture is learned at once.
TASKS = {
    "texture": ("procedural:texture,images=20000,size=20", 4_096),
    "layout": ("procedural:layout,images=20000,size=20,distance=8", 61_440),
    "xor": ("procedural:xor,images=20000,size=20,distance=8,informative=0.5", 61_440),
}
SEEDS = 3


def config(task: str, seed: int, trials: int) -> StudyConfig:
    """How a task is searched: random points behind the four references, all trained alike."""
    data, samples = TASKS[task]
    recipe = Recipe(
        samples=samples,
        batch_size=32,
        learning_rate=1e-3,
        weight_decay=0.05,
        warmup=0.1,
        label_smoothing=0.0,
        validation_images=1600,
    )
    return StudyConfig(
        data=data,
        recipe=recipe,
        objectives=("top1", "macs"),
        sampler="random",
        scores=False,
        threads=1,
        trials=trials,
        seed=seed,
        latency_seconds=0.05,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/drawn"))
    parser.add_argument("--only", action="append", choices=list(TASKS))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument(
        "--trials", type=int, default=8, help="candidates of a search, the four references among them"
    )
    parser.add_argument("--report", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    space = load_space(HERE / "space.yaml")
    for seed in range(arguments.seeds if not arguments.report else 0):
        for task in arguments.only or TASKS:
            out = arguments.runs / f"{task}-seed{seed}"
            run = run_study(space, config(task, seed, arguments.trials), out)
            print(
                run.trials[["reference", "layout", "globality", "macs", "top1", "seconds"]].to_string(
                    index=False
                )
            )
    write_report(arguments.runs, HERE)


if __name__ == "__main__":
    main()
