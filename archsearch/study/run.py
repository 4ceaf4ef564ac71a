"""The search as one call: run folder, record, loop, finalists, and the frontier on test images."""

from collections.abc import Callable

from archsearch.storage.run_folder import RunFolder
from archsearch.study.context import TrialContext
from archsearch.study.finalists import evaluate_frontier_on_test, train_finalists
from archsearch.study.loop import Ending, Loop
from archsearch.study.measure_globality import measure_winners
from archsearch.study.open_run import open_run

Engine = Callable[[Loop], Ending]


def search(
    context: TrialContext, folder: RunFolder, storage: str | None = None, engine: Engine | None = None
) -> Ending:
    """Search with what ``study.prepare.prepare`` made, in ``folder``; the same call resumes, or is one more worker.

    ``storage`` is the URL of a PostgreSQL database that workers on several machines share; without it the
    record is a SQLite file in ``folder``, for the workers of this machine. ``engine`` works through the loop
    in the place of this process alone: ``study.engines.ray.OnRay``, for instance.

    Raises:
        InputError: the storage cannot be used; nothing is written.
        InfeasibleError: nothing feasible was found, or ten candidates in a row failed.
        EnvironmentFaultError: the disk or the database failed; what is recorded is kept.
        RunFolderError: the folder belongs to another space, study or seed.
        CallbackError: a callback raised.
    """
    with open_run(context, folder, storage) as loop:
        ending = engine(loop) if engine is not None else loop.run()
        train_finalists(loop)
        loop.locks.with_lock(lambda: evaluate_frontier_on_test(loop))
        measure_winners(loop)
        return ending
