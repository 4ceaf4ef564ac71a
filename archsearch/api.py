"""The whole walk as one call: search, then everything that can be derived from the record."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from archsearch.errors import ArchsearchError, RunFolderError
from archsearch.export.export import export_frontier
from archsearch.plots.pictures import write_pictures
from archsearch.results.run import Run, load_run, write_tables
from archsearch.search import Sampler
from archsearch.space import Space
from archsearch.storage.run_folder import RunFolder
from archsearch.study.callbacks import Callback
from archsearch.study.config import StudyConfig
from archsearch.study.inputs import Evaluate, Images
from archsearch.study.prepare import prepare
from archsearch.study.run import Engine, search

BASELINES: tuple[Literal["random", "macs"], ...] = ("random", "macs")


def run_study(  # noqa: PLR0913 - whatever a user brings is an argument
    space: Space,
    study: StudyConfig,
    out: str | Path,
    *,
    evaluate: Evaluate | None = None,
    data: Images | None = None,
    sampler: Sampler | None = None,
    callbacks: Sequence[Callback] = (),
    storage: str | None = None,
    engine: Engine | None = None,
) -> Run:
    """Search ``space`` in the run folder ``out`` and write its results; the same call resumes.

    The same call in another process is one more worker. Results are written also when the search is stopped or fails,
    as far as there are any.

    Args:
        space: what may be built.
        study: how it is searched.
        out: the run folder.
        evaluate: ``evaluate(architecture, budget)`` stands in for training. It returns top-1 accuracy in [0, 1], or a
            mapping such as ``{"top1": 0.8, "energy_mj": 3.2}``, whose further values ``study.objectives`` may name
            and ``run.trials`` has as columns; see ``study.call_evaluate``.
        data: images in the place of ``study.data``: a torch ``Dataset`` of (image, label), split as any other source;
            one for each of ``train``, ``validation`` and ``test``; or ``ImageData``, which has no test images.
        sampler: proposes candidates in the place of ``study.sampler``: a function of the space, of one row for each
            candidate that teaches something, and of a seed, that returns a ``Proposal``; see
            ``search.samplers.sampler``. The folder belongs to its name.
        callbacks: are called for what happens; see ``Callback``.
        storage: the URL of a PostgreSQL database that has the record; see ``study.run.search``.
        engine: works through the search in the place of this process alone; see ``study.run.search``.

    Raises:
        DataError, InputError: the data, the device or the storage cannot be used; nothing is written.
        ArchsearchError: others of ``study.run.search``.
    """
    try:
        context = prepare(space, study, data, evaluate, sampler, callbacks)
        search(context, RunFolder(Path(out)), storage, engine)
    except RunFolderError:  # what lies there is not ours
        raise
    except BaseException:
        # The caller has to see what stopped the search.
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
    with RunFolder(Path(out)).writing_results():
        run = load_run(out)
        write_tables(run)
        write_pictures(run)
        export_frontier(run)
    return run
