"""The search: slot after slot, a proposal is judged and recorded, until the budget is used up.

An own loop over Optuna's ask and tell: ``Study.optimize`` hides storage errors behind its own.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.trial import Trial, TrialState
from safetensors.torch import load_file, save_file

from archsearch.architecture import Architecture, Network
from archsearch.errors import FailedTrialError, InfeasibleError
from archsearch.profiling import pick_device
from archsearch.profiling.conditions import device_name
from archsearch.proxy import ImageData, load_data, load_test
from archsearch.proxy import evaluate as evaluate_network
from archsearch.space import Space
from archsearch.study.config import StudyConfig
from archsearch.study.folder import RunFolder
from archsearch.study.objective import Bench, Candidate, Evaluate, counted, judge
from archsearch.study.propose import Given, Proposal, propose
from archsearch.study.record import TrialRecord
from archsearch.study.storage import close, finished, open_study, storage_faults
from archsearch.study.watch import Watcher

MAX_FAILURES_IN_A_ROW = 10


@dataclass(frozen=True)
class Ending:
    """How a search ended: slots used up, and whether the space had nothing more to offer."""

    used: int
    exhausted: bool


def search(
    space: Space,
    config: StudyConfig,
    out: str | Path,
    *,
    evaluate: Evaluate | None = None,
    watcher: Watcher | None = None,
) -> Ending:
    """Search ``space`` as ``config`` says, in the run folder ``out``; the same call resumes.

    Raises:
        DataError, InputError: the data or the device cannot be used; nothing is written.
        InfeasibleError: nothing feasible was found, or ten candidates in a row failed.
        EnvironmentFaultError: the disk or the database failed; what is recorded is kept.
        RunFolderError: the folder is in use, or belongs to another space, study or seed.
    """
    device = pick_device(config.device)
    data = None if evaluate is not None else load_images(space, config)
    bench = Bench(space, config, device, data, evaluate, watcher or Watcher())
    folder = RunFolder(Path(out))
    with folder.owned():
        folder.claim(identity(space, config, data), device_name(device))
        study = open_study(folder.database, space.name, config.objectives)
        try:
            with storage_faults(folder.database):
                ending = Loop(study, folder, bench).run()
                judge_on_test(study, folder, bench)
                return ending
        finally:
            close(study)


def load_images(space: Space, config: StudyConfig) -> ImageData:
    """The images that the recipe needs, converted as the space says."""
    recipe = config.recipe
    return load_data(
        config.data,
        space.image.shape,
        space.classes,
        limit=recipe.samples,
        validation_limit=recipe.validation_images,
    )


def identity(space: Space, config: StudyConfig, data: ImageData | None) -> dict[str, object]:
    """What a run folder belongs to."""
    fingerprint = data.fingerprint if data is not None else "evaluate"
    return {
        **config.identity(),
        "space": space.name,
        "space_fingerprint": space.fingerprint,
        "data_fingerprint": fingerprint,
    }


class Loop:
    """One process's passage through the budget."""

    def __init__(self, study: optuna.Study, folder: RunFolder, bench: Bench) -> None:
        self.study = study
        self.folder = folder
        self.bench = bench
        self.failures: list[str] = []

    def run(self) -> Ending:
        """Use up every slot that is free."""
        interrupt_orphans(self.study)
        trials = self.bench.config.trials
        self.bench.watcher.started(len(finished(self.study)), trials)
        while (slot := free_slot(self.study, trials)) is not None:
            proposal = propose(
                self.bench.space, self.bench.config, self.study.get_trials(deepcopy=False), slot
            )
            if proposal is None:
                return self.exhausted()
            self.run_trial(proposal, slot)
        return Ending(len(finished(self.study)), exhausted=False)

    def exhausted(self) -> Ending:
        """Nothing new can be drawn: the end of a small space, or the proof that nothing is feasible."""
        used = len(finished(self.study))
        if used == 0:
            self.bench.space.draw(self.bench.config.seed)
            raise InfeasibleError(f"{self.bench.space.name}: no candidate is within the limits; raise them")
        return Ending(used, exhausted=True)

    def run_trial(self, proposal: Proposal, slot: int) -> None:
        """One candidate from question to record; stopped in the middle, it is marked and run again later."""
        trial = self.ask(proposal, slot)
        try:
            candidate = judge(proposal.architecture, slot, self.bench)
        except FailedTrialError as error:
            record = replace(counted(proposal.architecture, slot), outcome="failed", error=str(error))
            self.store(trial, record, {}, TrialState.FAIL)
            self.count_failure(str(error))
        except BaseException:
            trial.set_user_attr("outcome", "interrupted")
            self.study.tell(trial, state=TrialState.FAIL)
            raise
        else:
            self.tell(trial, candidate)

    def ask(self, proposal: Proposal, slot: int) -> Trial:
        """A running trial in the record, with the proposal's answers as its parameters."""
        self.study.sampler = Given(proposal.params)
        trial = self.study.ask()
        trial.set_user_attr("slot", slot)
        self.bench.space.sample(trial)
        return trial

    def tell(self, trial: Trial, candidate: Candidate) -> None:
        """Trained candidates are complete, their weights on the disk before the record says so."""
        record = candidate.record
        if record.outcome != "trained":
            self.store(trial, record, candidate.constraints, TrialState.PRUNED)
            return
        self.failures.clear()
        if candidate.network is not None:
            save_weights(candidate.network, self.folder.weights_of(record.architecture))
        self.store(trial, record, candidate.constraints, TrialState.COMPLETE)
        self.keep_frontier_weights()

    def store(
        self, trial: Trial, record: TrialRecord, constraints: dict[str, float], state: TrialState
    ) -> None:
        """Attributes and constraints first: nothing can be added to a trial that is told."""
        for name, value in record.attributes().items():
            trial.set_user_attr(name, value)
        for name, excess in sorted(constraints.items()):
            trial.set_constraint(name, excess)
        values = (
            [record.value(o) for o in self.bench.config.objectives] if state == TrialState.COMPLETE else None
        )
        self.study.tell(trial, values, state)
        self.bench.watcher.recorded(trial.number, record)

    def count_failure(self, reason: str) -> None:
        """Ten failures in a row are no accident."""
        self.failures.append(reason)
        if len(self.failures) >= MAX_FAILURES_IN_A_ROW:
            raise InfeasibleError(
                f"the last {len(self.failures)} candidates failed, the last one with: {reason}"
            )

    def keep_frontier_weights(self) -> None:
        """Weights of candidates that are dominated by now are let go."""
        wanted = {t.user_attrs["architecture"] for t in self.study.best_trials}
        for path in self.folder.weights.glob("*.safetensors"):
            if path.stem not in wanted:
                path.unlink()


def interrupt_orphans(study: optuna.Study) -> None:
    """Trials left running by a process that is gone, since this one owns the folder: their slots are free again."""
    storage = study._storage  # noqa: SLF001 - a trial of another process can only be marked through the storage
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING)):
        storage.set_trial_user_attr(trial._trial_id, "outcome", "interrupted")  # noqa: SLF001
        study.tell(trial.number, state=TrialState.FAIL)


def free_slot(study: optuna.Study, trials: int) -> int | None:
    """The first slot of the budget that no finished trial has used up."""
    used = {trial.user_attrs["slot"] for trial in finished(study)}
    return next((slot for slot in range(trials) if slot not in used), None)


def save_weights(network: Network, path: Path) -> None:
    """The state dict as safetensors, whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    beside = path.with_name(f".{path.name}")
    save_file({name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}, beside)
    beside.replace(path)


def load_network(architecture: Architecture, path: Path) -> Network:
    """The network of ``architecture`` with the weights in ``path``."""
    network = architecture.build()
    network.load_state_dict(load_file(path))
    return network


def judge_on_test(study: optuna.Study, folder: RunFolder, bench: Bench) -> None:
    """The frontier's accuracy on the test images, which the search has never seen; kept with the study."""
    known: dict[str, float] = dict(study.user_attrs.get("test_top1", {}))
    waiting = [t for t in study.best_trials if t.user_attrs["architecture"] not in known]
    if bench.data is None or not waiting:
        return
    test = load_test(bench.config.data, bench.space.image.shape, bench.space.classes)
    for trial in waiting:
        bench.watcher.phase(trial.user_attrs["slot"], f"testing {trial.user_attrs['layout']}")
        architecture = Architecture.model_validate_json(trial.user_attrs["description"])
        network = load_network(architecture, folder.weights_of(architecture.id)).to(bench.device)
        top1, _ = evaluate_network(network, test, bench.data.normalisation, bench.device)
        known[architecture.id] = top1
    study.set_user_attr("test_top1", known)
