"""The search as one call: data, device, run folder, record, loop, and the frontier on test images."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from archsearch.search import Sampler
from archsearch.space import Space
from archsearch.storage.run_folder import RunFolder
from archsearch.study.callbacks import Callback, CallbackList
from archsearch.study.config import StudyConfig
from archsearch.study.context import Evaluate
from archsearch.study.finalists import train_finalists
from archsearch.study.frontier_test import evaluate_frontier_on_test
from archsearch.study.loop import Ending, Loop
from archsearch.study.measure_globality import measure_winners
from archsearch.study.open_run import open_run
from archsearch.study.prepare import Images, prepare

__all__ = ["Ending", "Engine", "search"]

Engine = Callable[[Loop], Ending]


def search(  # noqa: PLR0913 - whatever a user brings is an argument
    space: Space,
    config: StudyConfig,
    out: str | Path,
    *,
    evaluate: Evaluate | None = None,
    data: Images | None = None,
    sampler: Sampler | None = None,
    callbacks: Sequence[Callback] = (),
    storage: str | None = None,
    engine: Engine | None = None,
) -> Ending:
    """Search ``space`` as ``config`` says, in the run folder ``out``; the same call resumes, or is one more worker.

    ``storage`` is the URL of a PostgreSQL database that workers on several machines share; without it the
    record is a SQLite file in ``out``, for the workers of this machine. ``engine`` works through the loop
    in the place of this process alone: ``study.engines.ray.OnRay``, for instance. The other arguments are those of
    ``api.run_study``.

    Raises:
        DataError, InputError: the data, the device or the storage cannot be used; nothing is written.
        InfeasibleError: nothing feasible was found, or ten candidates in a row failed.
        EnvironmentFaultError: the disk or the database failed; what is recorded is kept.
        RunFolderError: the folder belongs to another space, study or seed.
        CallbackError: a callback raised.
    """
    context = prepare(space, config, data, evaluate)
    context = replace(context, sampler=sampler, callbacks=CallbackList(callbacks))
    with open_run(context, RunFolder(Path(out)), storage) as loop:
        ending = engine(loop) if engine is not None else loop.run()
        train_finalists(loop)
        loop.with_lock(lambda: evaluate_frontier_on_test(loop))
        measure_winners(loop)
        return ending
