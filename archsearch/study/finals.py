"""What the frontier is worth on images that no candidate was chosen by."""

import optuna

from archsearch.architecture import Architecture
from archsearch.proxy import evaluate, load_test
from archsearch.study.bench import Bench
from archsearch.study.folder import RunFolder
from archsearch.study.weights import load_network


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
        top1, _ = evaluate(network, test, bench.data.normalisation, bench.device)
        known[architecture.id] = top1
    study.set_user_attr("test_top1", known)
