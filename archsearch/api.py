"""The whole walk as one call: search, then everything that can be derived from the record."""

from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Literal

from archsearch.errors import ArchsearchError, RunFolderError
from archsearch.export.export import export_frontier
from archsearch.files import disk_faults, file_lock
from archsearch.plots.pictures import write_pictures
from archsearch.results import Run, load_run, write_tables
from archsearch.space import Space
from archsearch.storage.run_folder import RunFolder
from archsearch.study.callbacks import Callback
from archsearch.study.config import StudyConfig
from archsearch.study.context import Evaluate
from archsearch.study.run import Engine, search

BASELINES: tuple[Literal["random", "macs"], ...] = ("random", "macs")


def run_study(
    space: Space,
    study: StudyConfig,
    out: str | Path,
    *,
    evaluate: Evaluate | None = None,
    watcher: Callback | None = None,
    storage: str | None = None,
    engine: Engine | None = None,
) -> Run:
    """Search ``space`` in the run folder ``out`` and write its results; the same call resumes.

    ``evaluate(architecture, budget) -> top1`` may stand in for training; see ``study.context.Budget``. The same
    call in another process is one more worker. Results are written also when the search is stopped or fails,
    as far as there are any. ``storage``, ``engine`` and errors are those of ``study.run.search``.
    """
    try:
        search(space, study, out, evaluate=evaluate, watcher=watcher, storage=storage, engine=engine)
    except RunFolderError:  # what lies there is not ours
        raise
    except BaseException:
        # What stopped the search is what the caller has to hear.
        with suppress(ArchsearchError):
            write_all(out)
        raise
    return write_all(out)


def run_baselines(space: Space, study: StudyConfig, out: str | Path, evaluate: Evaluate) -> dict[str, Run]:
    """Random search and rank-by-MACs beside the search in ``out``, on its budget: what any search has to beat.

    They lie in ``out/baselines/SAMPLER`` and are resumed like any run. Where ``evaluate`` is a table or a
    predictor they cost next to nothing; ``results.compare`` and ``archsearch results --against`` compare.
    """
    return {
        sampler: run_study(
            space,
            study.model_copy(update={"sampler": sampler}),
            Path(out) / "baselines" / sampler,
            evaluate=evaluate,
        )
        for sampler in BASELINES
    }


def write_all(out: str | Path) -> Run:
    """Every result file of the run in ``out``; EnvironmentFaultError if the disk does not take them."""
    folder = RunFolder(Path(out))
    # Workers that end together write one after the other: the last one has read everything.
    turn = file_lock(folder.workers / "results.lock") if folder.manifest.is_file() else nullcontext()
    with turn:
        run = load_run(out)
        with disk_faults(run.folder):
            write_tables(run)
            write_pictures(run)
            export_frontier(run)
    return run
