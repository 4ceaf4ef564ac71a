"""The commands. Heavy imports happen inside them, so that ``--help`` answers at once."""

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

app = typer.Typer(
    name="archsearch",
    help="Where should a vision backbone mix locally (convolution) and where globally (attention)?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SpaceFile = Annotated[Path, typer.Argument(metavar="SPACE", help="A space file, such as spaces/hybrid.yaml.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, as archsearch run named it.")]
StudyFile = Annotated[Optional[Path], typer.Option("--study", help="A study file: how to search.")]  # noqa: UP045 - typer reads it
Device = Annotated[Optional[str], typer.Option(help="auto, cpu, cuda or cuda:N.")]  # noqa: UP045
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def version(value: bool) -> None:
    """Print the version and leave."""
    if value:
        from archsearch import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Where should a vision backbone mix locally (convolution) and where globally (attention)?"""


@app.command()
def run(
    space: SpaceFile,
    study: StudyFile = None,
    trials: Annotated[Optional[int], typer.Option(help="Candidates to train.")] = None,  # noqa: UP045
    data: Annotated[
        str | None, typer.Option(help="digits, a Parquet file, a folder, procedural:TASK, or a hub name.")
    ] = None,
    samples: Annotated[Optional[int], typer.Option(help="Training images shown to a candidate.")] = None,  # noqa: UP045
    fill_map: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--fill-map", help="So many candidates more, aimed at empty cells of the map."),
    ] = None,
    seed: Annotated[Optional[int], typer.Option(help="Seed of the whole search.")] = None,  # noqa: UP045
    device: Device = None,
    threads: Annotated[Optional[int], typer.Option(help="CPU threads of an operator.")] = None,  # noqa: UP045
    sampler: Annotated[
        str | None, typer.Option(help="auto, gp, tpe, nsga2, evolution, macs, map or random.")
    ] = None,
    out: Annotated[Optional[Path], typer.Option(help="Run folder [runs/SPACE/DATA-seedN].")] = None,  # noqa: UP045
    storage: Annotated[
        str | None, typer.Option(help="postgresql://USER@HOST/DATABASE, for workers on several machines.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="ray: candidates are trained on its cluster.")] = None,
    workers: Annotated[Optional[int], typer.Option(min=1, help="With ray: candidates at a time.")] = None,  # noqa: UP045
    gpus: Annotated[float, typer.Option(min=0.0, help="With ray: GPUs for a candidate, such as 0.5.")] = 0.0,
) -> None:
    """Search a space: build, profile and train candidates, and map the Pareto front.

    The same command again resumes; beside a running one it is one more worker.
    """
    from archsearch.cli.run import engine_of, run_command

    flags = {
        "trials": trials,
        "fill_map": fill_map,
        "data": data,
        "seed": seed,
        "device": device,
        "threads": threads,
        "sampler": sampler,
    }
    recipe = {} if samples is None else {"recipe": {"samples": samples}}
    given = {name: value for name, value in flags.items() if value is not None}
    run_command(space, study, {**given, **recipe}, out, storage, engine_of(engine, workers, gpus))


@app.command()
def check(
    space: SpaceFile,
    study: StudyFile = None,
    draws: Annotated[int, typer.Option(min=10, max=100_000, help="Random points to count.")] = 100,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Verify a space file and tell its size, its costs and the time of a study; trains only a few steps."""
    from archsearch.cli.check import check_command

    flags: dict[str, Any] = {} if device is None else {"device": device}
    check_command(space, study, draws, flags, as_json=as_json)


@app.command()
def profile(
    architecture: Annotated[Path, typer.Argument(metavar="FILE", help="An architecture file, or a space.")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch: Annotated[int, typer.Option(min=1, max=65_536, help="Images in the batch that is timed.")] = 1,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    mode: Annotated[str, typer.Option(help="eager, compiled or cuda_graph.")] = "eager",
    memory_format: Annotated[str, typer.Option(help="contiguous or channels_last.")] = "contiguous",
    threads: Annotated[int, typer.Option(min=1, max=1024, help="CPU threads of an operator.")] = 1,
    seconds: Annotated[float, typer.Option(min=0.0, max=600, help="Time for one latency, at most.")] = 0.5,
    image: Annotated[str | None, typer.Option(help="Another image size: 160, or 224x160.")] = None,
    seed: Annotated[Optional[int], typer.Option(help="Of a space: profile this random point alone.")] = None,  # noqa: UP045
    draws: Annotated[
        int, typer.Option(min=10, max=100_000, help="Of a space's summary: points to count.")
    ] = 100,
    fit: Annotated[Optional[int], typer.Option(help="Of a space: measure so many, fit a predictor.")] = None,  # noqa: UP045
    as_json: Json = False,
) -> None:
    """Count and measure: an architecture part by part; of a space, random points, or --fit its latency predictor."""
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
    asked = ProfileOptions(seconds=seconds, image=image, seed=seed, draws=draws, fit=fit)
    profile_command(architecture, conditions, asked, as_json=as_json)


@app.command()
def results(
    run_folder: RunPath,
    against: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(metavar="RUN", help="Compare with this run instead; may be given again."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Derive a run's tables and pictures and print its Pareto front; or compare the run --against others."""
    from archsearch.cli.results import against_command, results_command

    if against:
        against_command(run_folder, against, as_json=as_json)
    else:
        results_command(run_folder, as_json=as_json)


@app.command()
def report(run_folder: RunPath) -> None:
    """Write RUN/report.html: answer, map, fronts, swaps and winners on one page; also while a run goes on."""
    from archsearch.cli.report import report_command

    report_command(run_folder)


@app.command()
def train(
    architecture: Annotated[Path, typer.Argument(metavar="ARCHITECTURE", help="An architecture file.")],
    study: StudyFile = None,
    data: Annotated[
        str | None, typer.Option(help="digits, a Parquet file, a folder, procedural:TASK, or a hub name.")
    ] = None,
    samples: Annotated[Optional[int], typer.Option(help="Training images shown, in all.")] = None,  # noqa: UP045
    seed: Annotated[Optional[int], typer.Option(help="Of initial weights and the order of images.")] = None,  # noqa: UP045
    device: Device = None,
    threads: Annotated[Optional[int], typer.Option(help="CPU threads of an operator.")] = None,  # noqa: UP045
    weights: Annotated[Optional[Path], typer.Option(help="Weights to start from, as exported.")] = None,  # noqa: UP045
    out: Annotated[Optional[Path], typer.Option(help="Folder [trained/NAME/DATA-seedN].")] = None,  # noqa: UP045
) -> None:
    """Train one architecture in full, by the recipe of a study file; the same command again resumes."""
    from archsearch.cli.train import train_command

    flags = {"data": data, "seed": seed, "device": device, "threads": threads}
    recipe = {} if samples is None else {"recipe": {"samples": samples}}
    given = {name: value for name, value in flags.items() if value is not None}
    train_command(architecture, study, {**given, **recipe}, weights, out)


@app.command()
def export(
    target: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="[RUN|ARCHITECTURE]", help="A run folder, or an architecture file."),
    ] = None,
    trial: Annotated[int | None, typer.Option(help="Number of the trial, as in the frontier table.")] = None,
    final_seed: Annotated[
        int | None, typer.Option(help="With --trial: its weights as a finalist, of this seed.")
    ] = None,
    weights: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A file of weights: of the architecture, or published ones."),
    ] = None,
    name: Annotated[Optional[str], typer.Option("--as", help="Whose they are, such as t2t_vit_14.")] = None,  # noqa: UP045
    form: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="yaml, weights, program, onnx or standalone; may be given again [all]."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where to write.")] = Path("exported"),
) -> None:
    """Take a network away, each form checked by running it: a trial of a run, a published network, or a file's."""
    from archsearch.cli.export import ExportRequest, export_command

    export_command(ExportRequest(target, trial, final_seed, weights, name, form or None), out)


@app.command()
def swap(
    run_folder: RunPath,
    trial: Annotated[int, typer.Option(help="Number of the trial whose stages change, as in the frontier.")],
    stage: Annotated[Optional[int], typer.Option(help="This stage alone, from 0.")] = None,  # noqa: UP045
    cost: Annotated[str, typer.Option(help="What is kept equal: macs or params.")] = "macs",
    tolerance: Annotated[float, typer.Option(help="How nearly, as a share of it.")] = 0.02,
    seeds: Annotated[int, typer.Option(help="Trainings of each network.")] = 3,
    samples: Annotated[int | None, typer.Option(help="Training images of each [as in the search].")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of an operator [as in the search].")
    ] = None,
    dry: Annotated[
        bool, typer.Option("--dry", help="Show the swaps and their costs, and train nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Local or global here? Train a trial again with one stage of another kind at equal cost, from the same seeds.

    The same command again resumes; beside a running one it is one more worker.
    """
    from archsearch.cli.swap import dry_command, swap_command
    from archsearch.study.plan_swaps import SwapOptions

    asked = SwapOptions(trial, stage, cost, tolerance, seeds, samples)
    if dry:
        dry_command(run_folder, asked, as_json=as_json)
    else:
        swap_command(run_folder, asked, device, threads, as_json=as_json)


@app.command()
def dashboard(
    run_folder: RunPath,
    port: Annotated[
        Optional[int],  # noqa: UP045 - typer reads it
        typer.Option(min=1, max=65_535, help="Port to listen on [8080, or a free one]."),
    ] = None,
    writable: Annotated[
        bool, typer.Option("--writable", help="Let the page change and delete what is recorded.")
    ] = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="With --host: others may look, without a password.")
    ] = False,
) -> None:
    """Show a run in the browser with Optuna's dashboard, finished or going on; read-only, for this machine alone."""
    from archsearch.cli.dashboard import dashboard_command

    dashboard_command(run_folder, host, port, writable=writable, insecure=insecure)
