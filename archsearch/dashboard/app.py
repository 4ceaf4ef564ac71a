"""Optuna's dashboard on a run, with what it does not find by itself: constraints, notes, files, our figures.

The record is left as it is: what the dashboard's own page asks its server for is answered as before, and
added to on the way. Three of its addresses get another answer, by Bottle's own rule that a later route
replaces an earlier one: a study in detail, and a trial's files.

    constraints   Optuna 5 keeps them one by one, which dashboard 0.21 does not read; nor do its best trials
                  respect them. Both come from Optuna here.
    notes, files  made from the record when they are asked for, so that they are there while a study runs
    figures       Pareto front and map, made again when a trial has changed its state
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
import pandas as pd
from bottle import Bottle, HTTPResponse
from optuna.artifacts import FileSystemArtifactStore
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from optuna_dashboard import wsgi
from optuna_dashboard._serializer import serialize_frozen_trial

from archsearch.dashboard.figures import as_graph, frontier_figure, map_figure
from archsearch.dashboard.files import files_of, list_files
from archsearch.dashboard.notes import study_note, trial_note
from archsearch.results.frames import RunFrames
from archsearch.results.repeats import repeats_frame
from archsearch.results.run import objectives
from archsearch.results.trials import trained_trials, trials_frame
from archsearch.storage.open import close, load_for_work, open_read_only
from archsearch.storage.run_folder import RunFolder

DETAIL = "/api/studies/<study_id:int>"
FILE = "/artifacts/<study_id:int>/<trial_id:int>/<artifact_id:re:[0-9a-fA-F-]+>"
# Attributes that the page does not list: the note and the files say it better than a line of JSON does.
HIDDEN = ("description", "rungs")
Answer = dict[str, Any]


@dataclass(frozen=True)
class Derived:
    """What follows from all trials together, as long as they are in this ``state``.

    Attributes:
        state: number, state and outcome of every trial, and how many attributes the study has.
        best: numbers of those that Optuna calls best: no feasible one is better in every objective.
        figures: Pareto front and map, as the dashboard lists them.
    """

    state: tuple[object, ...]
    best: frozenset[int]
    figures: tuple[dict[str, str], ...]


@dataclass
class Viewer:
    """One run as the dashboard shows it.

    Attributes:
        folder: the run.
        study: its record, opened read-only unless ``writable``.
        writable: whether the page may change the record.
    """

    folder: RunFolder
    study: optuna.Study
    writable: bool = False
    _derived: Derived | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @property
    def storage(self) -> BaseStorage:
        """The record."""
        return self.study._storage  # noqa: SLF001 - Optuna has no public way to it

    @property
    def study_id(self) -> int:
        """The study's number in the record, which is in every address."""
        return self.study._study_id  # noqa: SLF001

    def app(self) -> Bottle:
        """The dashboard as a WSGI application, with our answers."""
        app: Any = wsgi(
            self.storage, artifact_store=FileSystemArtifactStore(str(self.folder.path / "artifacts"))
        )
        routes: dict[tuple[str, str], Callable[..., Any]] = {
            (route.method, route.rule): route.callback for route in app.routes
        }
        detail, file = routes["GET", DETAIL], routes["GET", FILE]

        @app.get(DETAIL)  # type: ignore[untyped-decorator]
        def study_detail(study_id: int) -> Any:
            answer = detail(study_id=study_id)
            return self.add_to_study(answer) if study_id == self.study_id and "trials" in answer else answer

        @app.get(FILE)  # type: ignore[untyped-decorator]
        def trial_file(study_id: int, trial_id: int, artifact_id: str) -> Any:
            ours = self.file(trial_id, artifact_id) if study_id == self.study_id else None
            return ours or file(study_id=study_id, trial_id=trial_id, artifact_id=artifact_id)

        return app

    def trials(self) -> dict[int, FrozenTrial]:
        """Every trial by its number in the record."""
        return {trial._trial_id: trial for trial in self.study.get_trials(deepcopy=False)}  # noqa: SLF001

    def add_to_study(self, answer: Answer) -> Answer:
        """The dashboard's answer about the study, with what the dashboard does not find by itself."""
        trials = self.trials()
        attributes = self.storage.get_study_system_attrs(self.study_id)
        derived = self.derive(list(trials.values()))
        best = [
            serialize_frozen_trial(self.study_id, trial, attributes)
            for trial in trials.values()
            if trial.number in derived.best
        ]
        known = [trial for trial in answer["trials"] if trial["trial_id"] in trials]
        for trial in (*known, *best):
            self.add_to_trial(trial, trials[trial["trial_id"]])
        note, name = answer["note"], self.folder.path.resolve().name
        ours = study_note(name, objectives(self.study), list(trials.values()), writable=self.writable)
        return {
            **answer,
            "trials": known,
            "best_trials": best,
            "union_user_attrs": without_hidden(answer["union_user_attrs"]),
            "note": {**note, "body": note["body"] or ours},
            "plotly_graph_objects": [*answer["plotly_graph_objects"], *derived.figures],
        }

    def add_to_trial(self, answer: Answer, trial: FrozenTrial) -> None:
        """Add to what the dashboard answers about a trial; a note that somebody wrote is kept."""
        answer["constraints"] = list(trial.constraints.values())
        answer["artifacts"] = [*list_files(trial), *answer["artifacts"]]
        answer["user_attrs"] = without_hidden(answer["user_attrs"])
        if not answer["note"]["body"]:
            answer["note"] = {**answer["note"], "body": trial_note(self.study_id, trial)}

    def derive(self, trials: Sequence[FrozenTrial]) -> Derived:
        """Best trials and figures, made again when a trial or the study has changed its state."""
        states = ((trial.number, trial.state, trial.user_attrs.get("outcome")) for trial in trials)
        state = (*states, len(self.study.user_attrs))
        with self._lock:
            if self._derived is None or self._derived.state != state:
                self._derived = derive(self.run(), {trial.number: trial.params for trial in trials}, state)
            return self._derived

    def run(self) -> RunFrames:
        """The record as frames: what the figures need of it."""
        return RunFrames(
            folder=self.folder.path,
            objectives=objectives(self.study),
            trials=trials_frame(self.study),
            stages=pd.DataFrame(),
            descriptions={},
            repeats=repeats_frame(self.study.user_attrs),
        )

    def file(self, trial_id: int, artifact_id: str) -> HTTPResponse | None:
        """One of our files of a trial; None if it has none of that id, but may have somebody else's."""
        trial = self.trials().get(trial_id)
        if trial is None:
            return HTTPResponse("Not Found", 404)
        found = files_of(trial).get(artifact_id)
        if found is None:
            return None
        headers = {"Content-Type": found.mimetype, "Content-Disposition": f'inline; filename="{found.name}"'}
        return HTTPResponse(found.content(trial.user_attrs), headers=headers)

    def close(self) -> None:
        """Close the record."""
        close(self.study)


def without_hidden(attributes: list[Answer]) -> list[Answer]:
    """The attributes that the page lists."""
    return [entry for entry in attributes if entry["key"] not in HIDDEN]


def viewer(folder: RunFolder, *, writable: bool = False) -> Viewer:
    """The run in ``folder``, to be looked at, or also to be changed if ``writable``.

    Raises:
        InputError: there is no run in this folder.
        EnvironmentFaultError: its database cannot be read.
    """
    opened = load_for_work if writable else open_read_only
    return Viewer(folder, opened(*folder.record()), writable)


def derive(run: RunFrames, choices: Mapping[int, Mapping[str, Any]], state: tuple[object, ...]) -> Derived:
    """What follows from the trials in this state; no figures before the first of them is trained."""
    best = frozenset(int(number) for number in run.trials.loc[run.trials["on_frontier"], "number"])
    if trained_trials(run.trials).empty:
        return Derived(state, best, ())
    frontier = frontier_figure(run.trials, run.frontier, run.cost, choices)
    return Derived(
        state, best, (as_graph("frontier", frontier), as_graph("map", map_figure(run.map, run.cost)))
    )
