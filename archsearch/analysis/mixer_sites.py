"""Where the spatial mixers of a built network sit, and how to run each of them by itself.

There is one site for each mixer of ``Architecture.mixers()``, in the same order. What is found in the modules is held
against what their parts declare and against the maps that pass: where they differ, nothing is measured.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from archsearch.architecture import Network
from archsearch.errors import DataError, Problem
from archsearch.shapes import windows
from archsearch.stages import Mixer, SpatialMixer
from archsearch.stages.mixer_paths import MixerPath, find_mixer_paths, steps_of
from archsearch.stages.mixers import is_attention, window_of

# Pixels of the images that go through a network at once: 8 images of 32 x 32. What lies between passes then fits
# into a processor's cache: up to twice as fast as 32 at once.
PIXELS = 2**13
REMEDY = "say how its mixers run with archsearch.stages.mixer_paths.find_mixer_paths.register"


class Axis(NamedTuple):
    """The places behind some modules along an axis; place ``u`` stands at ``stride * u + offset`` of what arrives.

    That is the middle of its window; an even window leans down and right, as in ``counting.globality``. There are
    ``least`` places, or up to ``most`` where started windows count.
    """

    least: int
    most: int
    stride: int = 1
    offset: int = 0

    def behind(self, kernel: int, stride: int, padding: int) -> "Axis":
        """The places behind one window more."""
        least, most = (
            windows(size, kernel, stride, padding) for size in (self.least, self.most + stride - 1)
        )
        middle = (kernel - 1) // 2 - padding
        return Axis(least, most, self.stride * stride, self.offset + self.stride * middle)


def axis_behind(links: Sequence[nn.Module], size: int, axis: int) -> Axis:
    """Along one axis of ``size`` places, 0 down and 1 across, behind modules one after the other."""
    found = Axis(size, size)
    for link in links:
        found = found.behind(*steps_of(link, axis))
    return found


@dataclass(frozen=True)
class MixerSite:
    """A mixer of the network: the place of its part in the file, what its structure says of it, and how to run it."""

    place: str
    mixer: Mixer
    path: MixerPath

    @property
    def attention(self) -> SpatialMixer | None:
        """The mixer's module, if it has attention weights."""
        return self.path.mixer if is_attention(self.path.mixer) else None

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """The places that leave, down and across."""
        links = self.path.links
        return axis_behind(links, self.mixer.height, 0), axis_behind(links, self.mixer.width, 1)

    def run(self, x: Tensor) -> Tensor:
        """What arrives at the start of the path, to a map ``(B, C', H', W')`` without a stage's own tokens.

        Raises:
            TypeError: it is not the mixer's map that arrives, or not the one behind its windows that leaves.
        """
        height, width = self.mixer.height, self.mixer.width
        own = x.shape[1] - height * width if x.ndim == 3 else 0
        if own < 0 or (x.ndim != 3 and x.shape[2:] != (height, width)):
            raise self.refusal(f"takes {tuple(x.shape)}, not the {height}x{width} map that its part promises")
        out: object = self.path.run(x)
        if not isinstance(out, Tensor):
            raise self.refusal(f"returns a {type(out).__name__}, not a map or tokens")
        sizes = [axis.least for axis in self.axes]
        if out.ndim == 3 and out.shape[1] == own + sizes[0] * sizes[1]:
            out = out[:, own:].transpose(1, 2).reshape(len(out), out.shape[2], *sizes)
        if out.ndim != 4 or any(
            not axis.least <= size <= axis.most for axis, size in zip(self.axes, out.shape[2:], strict=True)
        ):
            raise self.refusal(f"returns {tuple(out.shape)}, not a map at the stride that it declares")
        return out

    def refusal(self, what: str) -> TypeError:
        """Why the mixer cannot be measured."""
        return TypeError(f"{self.place}: a {type(self.path.mixer).__name__} {what}; {REMEDY}")


def mixer_sites(network: Network) -> list[MixerSite]:
    """One for each mixer of ``network.architecture.mixers()``, in the same order.

    Raises:
        TypeError: the modules of a part have other mixers than it promises.
    """
    modules = (network.stem, *network.stages)
    sites = []
    for (place, part, shape), module in zip(network.architecture.placed(), modules, strict=True):
        promised, paths = part.mixers(shape), list(find_mixer_paths(module))
        windows_promised = [(mixer.window, mixer.attention) for mixer in promised]
        windows_found = [(window_of(path.mixer), is_attention(path.mixer)) for path in paths]
        if windows_found != windows_promised:
            raise TypeError(
                f"{place}: a {type(module).__name__} has mixers of (window, attention) {windows_found}, and a "
                f"{part.kind} promises {windows_promised}; {REMEDY}"
            )
        sites += [MixerSite(place, *both) for both in zip(promised, paths, strict=True)]
    return sites


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """In evaluation mode meanwhile, afterwards as before: batch norms by their running statistics."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


class Arrivals(dict[nn.Module, Tensor]):
    """What arrived, by module."""

    def __missing__(self, module: nn.Module) -> Tensor:
        """Its weights are used without calling it, or it is called by keyword."""
        raise TypeError(
            f"nothing arrives at a {type(module).__name__}; call it with its map or tokens as the first argument"
        )


@torch.no_grad()
def arrivals(network: nn.Module, images: Tensor, modules: Iterable[nn.Module]) -> Mapping[nn.Module, Tensor]:
    """What arrives at each of ``modules`` when ``images`` pass.

    Raises:
        TypeError: one of them is called twice; or, when it is looked up in the result, was not called at all.
    """
    found = Arrivals()

    def keep(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if module in found:
            raise TypeError(f"a {type(module).__name__} is called twice; make a module for each call")
        if arguments:
            found[module] = arguments[0].detach()

    hooks = [module.register_forward_pre_hook(keep) for module in dict.fromkeys(modules)]
    try:
        network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def some_at_once(network: Network, images: Tensor) -> tuple[Tensor, ...]:
    """The images in batches that fit into memory.

    Raises:
        DataError: there are none, or they are not what the network takes.
    """
    shape = network.architecture.image.shape
    if images.ndim != 4 or images.shape[1:] != (shape.channels, shape.height, shape.width) or not len(images):
        what = f"a tensor {tuple(images.shape)} is no batch of {shape} images"
        raise DataError("images", [Problem("shape", what, "give (B, C, H, W), normalised as for training")])
    return torch.split(images, max(1, PIXELS // (shape.height * shape.width)))
