"""Architecture search for vision backbones: where to mix locally, and where globally.

The rooms, in the order the data walks through them; a room imports only rooms above it:

    errors         what can go wrong, and how every message is formed
    shapes         the feature map that passes between parts
    stages/        what can be built: one file for each kind of stem and stage, description and module
    architecture   a frozen description of one network, its identity, and the network it builds
    counting/      what an architecture costs exactly: parameters, MACs; and how global it is
    space/         what may be built: YAML becomes a Space, a Space and a trial become an Architecture
    published/     networks of others that are points of our space, and their weights under our names
    profiling/     what it costs on a device: latency, memory, with their conditions
    proxy/         how good it seems: images, recipe, short training
    influence/     how far a trained network really reaches: on its weights, and on images
    search/        what comes next: samplers, and who goes on from a rung, as functions of what is known
    study/         the search as it is run: workers, the record, the loop
    forms/         a network as others read it: program, ONNX, a file for torch alone; each checked by running it
    results/       what was found: frames, frontier, pictures, winners
    dashboard/     the same in a browser: Optuna's dashboard on a run, read-only, with our notes and figures
    report/        the same as a page to read: words, figures, tables and drawings in one file
    api            the whole walk as one call
    cli            the command line
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archsearch.api import run_baselines, run_study
    from archsearch.architecture import Architecture, Network
    from archsearch.counting import Macs, count_macs, count_params, globality
    from archsearch.errors import ArchsearchError, InfeasibleError, SpaceError
    from archsearch.profiling import Profile, profile_architecture
    from archsearch.proxy import Recipe
    from archsearch.published import load_published
    from archsearch.results import Run, load_run
    from archsearch.space import Space, load_architecture, load_space
    from archsearch.study.callbacks import Callback
    from archsearch.study.config import StudyConfig
    from archsearch.study.train_architecture import train_architecture

__version__ = version("archsearch")

# Names are imported when they are first used: the command line answers --help without torch.
_HOMES = {
    "Architecture": "architecture",
    "Callback": "study.callbacks",
    "ArchsearchError": "errors",
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

__all__ = [
    "Architecture",
    "ArchsearchError",
    "Callback",
    "InfeasibleError",
    "Macs",
    "Network",
    "Profile",
    "Recipe",
    "Run",
    "Space",
    "SpaceError",
    "StudyConfig",
    "count_macs",
    "count_params",
    "globality",
    "load_architecture",
    "load_published",
    "load_run",
    "load_space",
    "profile_architecture",
    "run_baselines",
    "run_study",
    "train_architecture",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'archsearch' has no attribute {name!r}")
    return getattr(import_module(f"archsearch.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
