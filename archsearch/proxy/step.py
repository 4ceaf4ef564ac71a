"""One step of a training: a batch augmented, shown, and learnt from; on a GPU as one captured graph.

AdamW with decoupled decay: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from archsearch.data import ImageData
from archsearch.errors import FailedTrialError
from archsearch.proxy.augment import Augmenter, BatchPlan
from archsearch.proxy.evaluate import autocast
from archsearch.proxy.recipe import Recipe

WARM_UP_STEPS = 3

Update = Callable[[BatchPlan], Tensor]


class Step:
    """What one batch does to ``network``; gives the smoothed cross-entropy in nats, not yet read."""

    def __init__(
        self,
        network: nn.Module,
        data: ImageData,
        recipe: Recipe,
        optimiser: torch.optim.Optimizer,
        device: torch.device,
    ) -> None:
        self._network, self._recipe, self._optimiser = network, recipe, optimiser
        self._labels, self._classes = data.train.labels.to(device), data.classes
        self._mean, self._std = data.normalisation.tensors(device)
        grey = torch.tensor(data.normalisation.mean) * 255
        self._shown = Augmenter(data.train.images, recipe, grey.round().to(torch.uint8), device)

    def __call__(self, plan: BatchPlan) -> Tensor:
        """``plan`` is of one step, on the device."""
        images = self._shown(plan)
        with autocast(images.device):
            logits = self._network((images.float() - self._mean).div_(self._std))
        refuse_other_shapes(logits, images, self._classes)
        labels = self._labels[plan.rows]
        loss = functional.cross_entropy(logits.float(), labels, label_smoothing=self._recipe.label_smoothing)
        self._optimiser.zero_grad()
        torch.autograd.backward(loss)
        self._optimiser.step()
        return loss.detach()


class CapturedStep:
    """The same step on a GPU: eagerly three times, as capturing wants, and then as one replayed graph.

    ``captured`` is False where the network does something that no graph can hold, such as to ask a tensor
    for its value; the steps are then taken eagerly, with the same result.
    """

    def __init__(self, step: Update) -> None:
        self._step = step
        self._eager_left = WARM_UP_STEPS
        self._graph: torch.cuda.CUDAGraph | None = None
        self.captured: bool | None = None

    def __call__(self, plan: BatchPlan) -> Tensor:
        """``plan`` is of one step, on the device."""
        if self._eager_left:
            self._eager_left -= 1
            return self._beside(plan)
        if self.captured is None:
            self._capture(plan)
        if self._graph is None:
            return self._step(plan)
        for place, tensor in zip(self._plan.tensors(), plan.tensors(), strict=True):
            place.copy_(tensor)
        self._graph.replay()
        return self._loss.clone()

    def _beside(self, plan: BatchPlan) -> Tensor:
        """A step on another stream, where work that will be captured is to be warmed up."""
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            loss = self._step(plan)
        torch.cuda.current_stream().wait_stream(beside)
        return loss

    def _capture(self, plan: BatchPlan) -> None:
        """Nothing is learnt while a graph is captured: it only runs when it is replayed."""
        self._plan = BatchPlan(*(tensor.clone() for tensor in plan.tensors()))
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._loss = self._step(self._plan)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            self.captured = False
        else:
            self._graph, self.captured = graph, True


def refuse_other_shapes(logits: object, images: Tensor, classes: int) -> None:
    """A network that does not give one logit for each class is told so once and clearly."""
    wanted = (len(images), classes)
    if not isinstance(logits, Tensor) or logits.shape != wanted:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise FailedTrialError(
            "train", f"the network gives {got} for images {tuple(images.shape)}; wanted {wanted}"
        )


def adamw(network: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.AdamW:
    """The optimiser with its moments in place, so that a checkpoint can be copied into them.

    On a GPU the rate is a tensor: a captured graph reads it anew for each step.
    """
    groups = decay_groups(network, recipe.weight_decay)
    on_gpu = device.type == "cuda"
    rate = torch.tensor(recipe.learning_rate, device=device) if on_gpu else recipe.learning_rate
    optimiser = torch.optim.AdamW(groups, lr=rate, fused=True, capturable=on_gpu)
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            optimiser.state[parameter] = {
                "step": torch.zeros((), device=device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
    return optimiser


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """AdamW's groups: matrices and kernels decay; norms, biases, scales and position tables do not.

    What decays is told by torch's own naming: a parameter that is called ``weight``, has two dimensions or
    more, and is no embedding. A table or token that a stage declares for itself bears another name.
    """
    tables = {id(module.weight) for module in network.modules() if isinstance(module, nn.Embedding)}
    decaying: list[nn.Parameter] = []
    other: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            decays = name.endswith("weight") and parameter.ndim >= 2 and id(parameter) not in tables
            (decaying if decays else other).append(parameter)
    return [{"params": decaying, "weight_decay": weight_decay}, {"params": other, "weight_decay": 0.0}]
