"""The commands. Heavy imports happen inside them, so that ``--help`` answers at once."""

from pathlib import Path
from typing import Annotated, Any

import typer

DESCRIPTION = "Where should a vision backbone mix locally (convolution) and where globally (attention)?"

app = typer.Typer(
    name="archsearch",
    help=DESCRIPTION,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# The help of options that several commands share.
DEVICE = "auto, cpu, cuda or cuda:N."
THREADS = "CPU threads of an operator."
SEED = "Seed of every random choice: candidates, initial weights, order of the images."
DRAWS = typer.Option(min=10, max=100_000, help="Random points of the space to count.")
SpaceFile = Annotated[Path, typer.Argument(metavar="SPACE", help="A space file, such as spaces/hybrid.yaml.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, as archsearch run named it.")]
StudyFile = Annotated[Path | None, typer.Option("--study", help="A study file: how to search and train.")]
Data = Annotated[
    str | None, typer.Option(help="digits, a Parquet file, a folder, procedural:TASK, or a hub name.")
]
Samples = Annotated[int | None, typer.Option(help="Training images of one training, repeats included.")]
Seed = Annotated[int | None, typer.Option(help=SEED)]
Device = Annotated[str | None, typer.Option(help=DEVICE)]
Threads = Annotated[int | None, typer.Option(help=THREADS)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def print_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        from archsearch import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback(help=DESCRIPTION)
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The options of the command as a whole."""


def settings_of(samples: int | None, flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given, as a study file would hold them."""
    recipe = {} if samples is None else {"recipe": {"samples": samples}}
    return {name: value for name, value in flags.items() if value is not None} | recipe


@app.command()
def run(
    space: SpaceFile,
    study: StudyFile = None,
    trials: Annotated[int | None, typer.Option(help="Candidates to train.")] = None,
    data: Data = None,
    samples: Samples = None,
    fill_map: Annotated[
        int | None, typer.Option(help="Further candidates for empty cells of the map.")
    ] = None,
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    sampler: Annotated[
        str | None, typer.Option(help="auto, gp, tpe, nsga2, evolution, macs, map or random.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder (by default runs/SPACE/DATA-seedN).")] = None,
    storage: Annotated[
        str | None, typer.Option(help="postgresql://USER@HOST/DATABASE, for workers on several machines.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="ray: train the candidates on its cluster.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="With ray: candidates at a time.")] = None,
    gpus: Annotated[float, typer.Option(min=0.0, help="With ray: GPUs for a candidate, such as 0.5.")] = 0.0,
) -> None:
    """Search a space: build, profile and train candidates, and map the Pareto front.

    Run the same command again to resume, or beside a running one to add a worker.
    """
    from archsearch.cli.run import engine_of, run_command

    flags = {"trials": trials, "fill_map": fill_map, "data": data, "sampler": sampler}
    flags |= {"seed": seed, "device": device, "threads": threads}
    run_command(space, study, settings_of(samples, flags), out, storage, engine_of(engine, workers, gpus))


@app.command()
def check(
    space: SpaceFile,
    study: StudyFile = None,
    draws: Annotated[int, DRAWS] = 100,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Check a space file; print its size, its costs and how long a study will take. Trains for a few steps only."""
    from archsearch.cli.check import check_command

    check_command(space, study, draws, settings_of(None, {"device": device}), as_json=as_json)


@app.command()
def profile(
    architecture: Annotated[Path, typer.Argument(metavar="FILE", help="An architecture file, or a space.")],
    device: Annotated[str, typer.Option(help=DEVICE)] = "auto",
    batch: Annotated[int, typer.Option(min=1, max=65_536, help="Images in the batch that is timed.")] = 1,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    mode: Annotated[str, typer.Option(help="eager, compiled or cuda_graph.")] = "eager",
    memory_format: Annotated[str, typer.Option(help="contiguous or channels_last.")] = "contiguous",
    threads: Annotated[int, typer.Option(min=1, max=1024, help=THREADS)] = 1,
    seconds: Annotated[float, typer.Option(min=0.0, max=600, help="Time limit of one latency.")] = 0.5,
    image: Annotated[str | None, typer.Option(help="Another image size: 160, or 224x160.")] = None,
    seed: Annotated[int | None, typer.Option(help="For a space: profile this random point only.")] = None,
    draws: Annotated[int, DRAWS] = 100,
    fit: Annotated[
        int | None, typer.Option(help="For a space: measure so many points and fit a latency predictor.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count and measure an architecture part by part; for a space, random points, or --fit a latency predictor."""
    from archsearch.cli.profile import ProfileOptions, profile_command
    from archsearch.profiling import conditions_of, pick_device

    conditions = conditions_of(
        pick_device(device),
        batch_size=batch,
        dtype=dtype,  # type: ignore[arg-type]  # checked there
        memory_format=memory_format,  # type: ignore[arg-type]
        mode=mode,
        threads=threads,
    )
    wanted = ProfileOptions(seconds=seconds, image=image, seed=seed, draws=draws, fit=fit)
    profile_command(architecture, conditions, wanted, as_json=as_json)


@app.command()
def results(
    run_folder: RunPath,
    against: Annotated[
        list[Path] | None, typer.Option(metavar="RUN", help="Compare with this run; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a run's tables and pictures and print its Pareto front; or compare the run --against others."""
    from archsearch.cli.results import against_command, results_command

    if against:
        against_command(run_folder, against, as_json=as_json)
    else:
        results_command(run_folder, as_json=as_json)


@app.command()
def report(run_folder: RunPath) -> None:
    """Write RUN/report.html, finished or not: answer, map, fronts, swaps and winners on one page."""
    from archsearch.cli.report import report_command

    report_command(run_folder)


@app.command()
def train(
    architecture: Annotated[Path, typer.Argument(metavar="ARCHITECTURE", help="An architecture file.")],
    study: StudyFile = None,
    data: Data = None,
    samples: Samples = None,
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    weights: Annotated[Path | None, typer.Option(help="Weights to start from, as exported.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder (by default trained/NAME/DATA-seedN).")] = None,
) -> None:
    """Train one architecture in full, by the recipe of a study file; the same command again resumes."""
    from archsearch.cli.train import train_command

    flags = {"data": data, "seed": seed, "device": device, "threads": threads}
    train_command(architecture, study, settings_of(samples, flags), weights, out)


@app.command()
def export(
    target: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN|ARCHITECTURE]", help="A run folder, or an architecture file."),
    ] = None,
    trial: Annotated[int | None, typer.Option(help="Number of the trial, as in the frontier table.")] = None,
    final_seed: Annotated[
        int | None, typer.Option(help="With --trial: weights of the finalist retrained from this seed.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="A file of weights: of the architecture, or published ones.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--as", help="Published network of the weights, such as t2t_vit_14.")
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format", help="yaml, weights, program, onnx or standalone; may be repeated (by default all)."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where to write.")] = Path("exported"),
) -> None:
    """Export a trial of a run, a published network, or an architecture file; each format is checked by running it."""
    from archsearch.cli.export import export_command

    export_command(target, trial, final_seed, weights, name, formats or None, out)


@app.command()
def swap(
    run_folder: RunPath,
    trial: Annotated[int, typer.Option(help="Number of the trial whose stages change, as in the frontier.")],
    stage: Annotated[int | None, typer.Option(help="Only this stage, from 0.")] = None,
    cost: Annotated[str, typer.Option(help="What is kept equal: macs or params.")] = "macs",
    tolerance: Annotated[float, typer.Option(help="Largest difference in cost, as a share of it.")] = 0.02,
    seeds: Annotated[int, typer.Option(help="Trainings of each network.")] = 3,
    samples: Annotated[
        int | None, typer.Option(help="Training images of each (by default as in the search).")
    ] = None,
    device: Annotated[str, typer.Option(help=DEVICE)] = "auto",
    threads: Annotated[int | None, typer.Option(help=f"{THREADS} By default as in the search.")] = None,
    dry: Annotated[
        bool, typer.Option("--dry", help="Print the swaps and their costs, train nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Local or global here? Retrain a trial with one stage of another kind at equal cost, from the same seeds.

    Run the same command again to resume, or beside a running one to add a worker.
    """
    from archsearch.cli.swap import dry_command, swap_command
    from archsearch.study.plan_swaps import SwapOptions

    wanted = SwapOptions(trial, stage, cost, tolerance, seeds, samples)
    if dry:
        dry_command(run_folder, wanted, as_json=as_json)
    else:
        swap_command(run_folder, wanted, device, threads, as_json=as_json)


@app.command()
def dashboard(
    run_folder: RunPath,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Port to listen on (by default 8080, or a free one)."),
    ] = None,
    writable: Annotated[
        bool, typer.Option("--writable", help="Let the page change and delete what is recorded.")
    ] = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="With --host: let others look, without a password.")
    ] = False,
) -> None:
    """Show a run in the browser with Optuna's dashboard, finished or not: read-only, for this machine alone."""
    from archsearch.cli.dashboard import dashboard_command

    dashboard_command(run_folder, host, port, writable=writable, insecure=insecure)
