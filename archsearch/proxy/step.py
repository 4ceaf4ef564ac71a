"""One step of a training: augment a batch, and update the weights by its loss; on a GPU as one CUDA graph."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from archsearch.cuda_graph import WARM_UP_RUNS, capture, side_stream
from archsearch.data import ImageData
from archsearch.errors import FailedTrialError
from archsearch.proxy.augment import Augmenter, BatchPlan
from archsearch.proxy.evaluate import autocast
from archsearch.proxy.recipe import Recipe

Update = Callable[[BatchPlan], Tensor]


class Step:
    """Updates ``network`` by one batch; gives the smoothed cross-entropy in nats, still on the device."""

    def __init__(
        self,
        network: nn.Module,
        data: ImageData,
        recipe: Recipe,
        optimizer: torch.optim.Optimizer,
        device: torch.device,
    ) -> None:
        self._network, self._recipe, self._optimizer = network, recipe, optimizer
        self._labels, self._classes = data.train.labels.to(device), data.classes
        self._mean, self._std = data.normalisation.tensors(device)
        grey = torch.tensor(data.normalisation.mean) * 255
        self._augment = Augmenter(data.train.images, recipe, grey.round().to(torch.uint8), device)

    def __call__(self, plan: BatchPlan) -> Tensor:
        """``plan`` is of one step, on the device."""
        images = self._augment(plan)
        with autocast(images.device):
            logits = self._network((images.float() - self._mean).div_(self._std))
        refuse_other_shapes(logits, images, self._classes)
        labels = self._labels[plan.rows]
        loss = functional.cross_entropy(logits.float(), labels, label_smoothing=self._recipe.label_smoothing)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._optimizer.step()
        return loss.detach()


class CapturedStep:
    """The same step on a GPU: three times eagerly, as capturing wants, and then as one replayed CUDA graph.

    ``captured`` is False where the network does something that no graph can hold, such as reading a tensor's
    value on the host; the steps are then taken eagerly, with the same result.
    """

    def __init__(self, step: Update) -> None:
        self._step = step
        self._eager_left = WARM_UP_RUNS
        self._replay: Callable[[], Tensor] | None = None
        self.captured: bool | None = None

    def __call__(self, plan: BatchPlan) -> Tensor:
        """``plan`` is of one step, on the device."""
        if self._eager_left:
            self._eager_left -= 1
            with side_stream():
                return self._step(plan)
        if self.captured is None:
            self._capture(plan)
        if self._replay is None:
            return self._step(plan)
        for place, tensor in zip(self._plan, plan, strict=True):
            place.copy_(tensor)
        return self._replay().clone()

    def _capture(self, plan: BatchPlan) -> None:
        """Nothing is learnt while a graph is captured: it only runs when it is replayed."""
        self._plan = BatchPlan(*(tensor.clone() for tensor in plan))
        try:
            self._replay = capture(lambda: self._step(self._plan))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            self.captured = False
        else:
            self.captured = True


def refuse_other_shapes(logits: object, images: Tensor, classes: int) -> None:
    """Fail the trial of a network that does not give one logit for each class."""
    wanted = (len(images), classes)
    if not isinstance(logits, Tensor) or logits.shape != wanted:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise FailedTrialError(
            "train", f"the network gives {got} for images {tuple(images.shape)}; wanted {wanted}"
        )
