"""Which modules of a built network carry information from place to place, and how far."""

from torch import Tensor, nn

from archsearch.stages.base import GlobalMixer, Mixer
from archsearch.stages.tokens import SoftSplit


def mixer_of(module: nn.Module, arriving: Tensor) -> Mixer | None:
    """The mixer that ``module`` is for the map or the tokens that arrive there; None if it mixes no places.

    Attentions with their projections, convolutions wider than 1x1, and soft splits with the projection that
    follows them. Tokens ``(B, N, D)`` count as a map of ``1 x N``, which is all the same to an attention.
    """
    kernel = kernel_of(module)
    if kernel == 1:
        return None
    height, width = arriving.shape[2:] if arriving.ndim == 4 else (1, arriving.shape[1])
    return Mixer(height, width, kernel)


def kernel_of(module: nn.Module) -> int | None:
    """The side of a module's window: 1 for what keeps places apart, None for what reaches everywhere."""
    if isinstance(module, GlobalMixer):
        return None
    if isinstance(module, nn.Sequential) and len(module) and isinstance(module[0], SoftSplit):
        return kernel_of(module[0])
    if isinstance(module, SoftSplit):
        return int(module.unfold.kernel_size)  # type: ignore[arg-type]  # one number, as SoftSplit gave it
    return max(module.kernel_size) if isinstance(module, nn.Conv2d) else 1
