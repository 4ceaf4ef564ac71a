"""What the frontier is worth on images that no candidate was chosen by."""

from archsearch.architecture import Architecture, Network
from archsearch.data import load_test
from archsearch.proxy import evaluate
from archsearch.storage.trial_store import frontier_trials
from archsearch.storage.weights import load_network
from archsearch.study.context import TrialContext
from archsearch.study.loop import Loop


def evaluate_frontier_on_test(loop: Loop) -> None:
    """The frontier's accuracy on the test images, which the search has never seen; kept with the study.

    Weights that lie in another machine's folder are judged there. Under the lock of the record.
    """
    study, folder, context = loop.store.study, loop.folder, loop.context
    known: dict[str, float] = dict(study.user_attrs.get("test_top1", {}))
    waiting = [
        trial
        for trial in frontier_trials(study)
        if trial.user_attrs["architecture"] not in known
        and folder.weights_of(trial.user_attrs["architecture"]).exists()
    ]
    if context.source is None or not waiting:
        return
    for trial in waiting:
        context.announce(trial.user_attrs["slot"], f"testing {trial.user_attrs['layout']}")
        architecture = Architecture.model_validate_json(trial.user_attrs["description"])
        network = load_network(architecture, folder.weights_of(architecture.id))
        known[architecture.id] = accuracy_on_test(network, context)
    study.set_user_attr("test_top1", known)


def accuracy_on_test(network: Network, context: TrialContext) -> float:
    """The share of the test images that are classified right."""
    if context.source is None:
        raise ValueError("this study has no test images")
    test = load_test(context.source, context.space.image.shape, context.space.classes)
    top1, _ = evaluate(network.to(context.device), test, context.images.normalisation, context.device)
    return top1
