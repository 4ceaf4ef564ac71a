"""The mixers of a built module, each with the pointwise layers beside it, and the residual sum that it is a part of.

A chain with several mixers (a basic block's two convolutions) is cut before each of them but the first, so that each
reaches as far as it does alone, not as far as the whole chain. Nothing needs to be said of a chain, or of a mixer that
stands alone. A module with a residual sum or an order of its own says so beside its class::

    @find_mixer_paths.register
    def paths_in_block(block: Block) -> Iterator[MixerPath]:
        yield from paths_in_sum(block, mixed=block.branch, kept=block.shortcut)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any, TypeGuard

from torch import Tensor, nn

from archsearch.stages.mixers import SpatialMixer, window_of

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ResidualSum:
    """``mixed(x) + kept(x)`` of what arrives at ``entered``."""

    entered: nn.Module
    mixed: Run
    kept: Run


@dataclass(frozen=True)
class MixerPath:
    """A mixer that can be run by itself.

    Attributes:
        mixer: the module that mixes.
        entered: the module at which the path starts, a part of the network that is called with what arrives there: a
            map ``(B, C, H, W)``, or ``(B, own + H * W, C)`` where tokens of a stage's own stand before the map's.
        run: what arrives there to the map, or to the tokens, at which the mixer is judged.
        links: the modules on the path, of which some may stride.
        total: the sum that it is a part of; None where there is no shortcut.
    """

    mixer: nn.Module
    entered: nn.Module
    run: Run
    links: tuple[nn.Module, ...]
    total: ResidualSum | None = None


@singledispatch
def find_mixer_paths(module: nn.Module) -> Iterator[MixerPath]:
    """One for each mixer of ``module``: in the order of a chain, else in that in which its modules were made."""
    if window_of(module) != 1:
        yield path_along([module], module)
    elif is_chain(module):
        yield from paths_in_chain(module)
    else:
        for child in module.children():
            yield from find_mixer_paths(child)


def is_chain(module: nn.Module) -> TypeGuard[nn.Sequential]:
    """Whether its modules run one after the other, and nothing else does."""
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def paths_in_chain(chain: nn.Sequential) -> Iterator[MixerPath]:
    """Cut before each mixer but the first, and around each module that has mixers inside."""
    links: list[nn.Module] = []
    mixer: nn.Module | None = None
    for link in links_of(chain):
        inside = [] if window_of(link) != 1 else list(find_mixer_paths(link))
        if mixer is not None and (inside or window_of(link) != 1):
            yield path_along(links, mixer)
            links, mixer = [], None
        yield from inside
        links = [] if inside else [*links, link]
        mixer = link if window_of(link) != 1 else mixer
    if mixer is not None:
        yield path_along(links, mixer)


def links_of(chain: nn.Sequential) -> Iterator[nn.Module]:
    """The modules of a chain, those of chains in it too. A pooling is no mixer: what it follows is read before it."""
    for link in chain:
        if is_chain(link) and window_of(link) == 1:
            yield from links_of(link)
        elif not isinstance(link, nn.MaxPool2d):
            yield link


def path_along(links: list[nn.Module], mixer: nn.Module) -> MixerPath:
    """The path of ``mixer`` with the pointwise ``links`` beside it."""
    return MixerPath(mixer, links[0], nn.Sequential(*links), tuple(links))


def paths_in_sum(entered: nn.Module, *, mixed: nn.Module, kept: nn.Module) -> Iterator[MixerPath]:
    """The mixers of ``mixed``, as parts of the sum of both that ``entered`` returns or goes on with."""
    total = ResidualSum(entered, mixed, kept)
    for path in find_mixer_paths(mixed):
        yield replace(path, total=path.total or total)


def steps_of(module: nn.Module, axis: int) -> tuple[int, int, int]:
    """Kernel, stride and padding of the windows of ``module`` along an axis; 1, 1 and 0 if its places stay."""
    if isinstance(module, SpatialMixer):
        if module.padding is None or module.window is None:
            return 1, module.stride, 0
        return module.window, module.stride, module.padding
    if not isinstance(module, nn.Conv2d | nn.AvgPool2d) or module.padding == "same":
        return 1, 1, 0
    dilation = along(getattr(module, "dilation", 1), axis)
    padding = 0 if module.padding == "valid" else along(module.padding, axis)
    return dilation * (along(module.kernel_size, axis) - 1) + 1, along(module.stride, axis), padding


def along(value: Any, axis: int) -> int:
    """What torch keeps for both axes, or for each."""
    return int(value[axis] if isinstance(value, tuple) else value)
