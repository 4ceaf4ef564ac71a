"""Architecture search for vision backbones: where to mix locally, and where globally.

The rooms, each of which imports only rooms above it:

    errors         what can go wrong, and how every message is formed
    shapes         the feature map that passes between parts
    formatting     amounts and times as one reads them
    objectives     the one table of what can be optimised: unit, direction, counted or measured
    families       how the families of networks are called, from local to global
    files          atomic writes, locks on files, faults of a disk
    cuda_graph     work on a GPU as one graph that is replayed
    stats/         Pareto front, hypervolume, rank correlation, intervals, cells of the map
    stages/        what can be built: one file for each kind of stem and stage, description and module
    architecture   a frozen description of one network, its identity, and the network it builds
    counting/      what an architecture costs exactly: parameters, MACs; and how global it is
    trial          what chooses: the Trial protocol, random, fixed, recorded; no torch
    space/         what may be built: YAML becomes a Space, a Space and a trial become an Architecture
    published/     networks of others that are points of our space, and their weights under our names
    profiling/     what it costs on a device: latency, memory, with their conditions
    data/          images with labels: sources, decoding, cache, splits
    proxy/         how good it seems: recipe, short training, zero-cost scores
    analysis/      what a trained network does: measured globality, attention distance, receptive field
    search/        what comes next: samplers and successive halving, as functions of what is known
    storage/       the record: trials in an Optuna storage, run folder, checkpoints, weights
    workers/       processes that share a run: locks, the device, signals
    study/         the search as it is run: loop, candidates, finalists, swaps
    results/       what was found: a run as frames, its answer and its health
    export/        a network as others read it: program, ONNX, a file for torch alone; each checked by running it
    plots/         every picture; one table of how a family looks
    report/        the same as a page to read: words, figures, tables and drawings in one file
    dashboard/     the same in a browser: Optuna's dashboard on a run, read-only, with our notes and figures
    api            the whole walk as one call
    cli            the command line
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archsearch.api import run_baselines as run_baselines
    from archsearch.api import run_study as run_study
    from archsearch.architecture import Architecture as Architecture
    from archsearch.architecture import Network as Network
    from archsearch.counting import Macs as Macs
    from archsearch.counting import count_macs as count_macs
    from archsearch.counting import count_params as count_params
    from archsearch.counting import globality as globality
    from archsearch.errors import ArchsearchError as ArchsearchError
    from archsearch.errors import InfeasibleError as InfeasibleError
    from archsearch.errors import SpaceError as SpaceError
    from archsearch.profiling import Profile as Profile
    from archsearch.profiling import profile_architecture as profile_architecture
    from archsearch.proxy import Recipe as Recipe
    from archsearch.published import load_published as load_published
    from archsearch.results import Run as Run
    from archsearch.results import load_run as load_run
    from archsearch.space import Space as Space
    from archsearch.space import load_architecture as load_architecture
    from archsearch.space import load_space as load_space
    from archsearch.study.callbacks import Callback as Callback
    from archsearch.study.config import StudyConfig as StudyConfig
    from archsearch.study.train_architecture import train_architecture as train_architecture

__version__ = version("archsearch")

# Names are imported when they are first used: the command line answers --help without torch.
_HOMES = {
    "Architecture": "architecture",
    "ArchsearchError": "errors",
    "Callback": "study.callbacks",
    "InfeasibleError": "errors",
    "Macs": "counting",
    "Network": "architecture",
    "Profile": "profiling",
    "Recipe": "proxy",
    "Run": "results",
    "Space": "space",
    "SpaceError": "errors",
    "StudyConfig": "study.config",
    "count_macs": "counting",
    "count_params": "counting",
    "globality": "counting",
    "load_architecture": "space",
    "load_published": "published",
    "load_run": "results",
    "load_space": "space",
    "profile_architecture": "profiling",
    "run_baselines": "api",
    "run_study": "api",
    "train_architecture": "study.train_architecture",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'archsearch' has no attribute {name!r}")
    return getattr(import_module(f"archsearch.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
