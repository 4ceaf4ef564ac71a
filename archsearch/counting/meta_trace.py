"""The operators of a module and the work of each, read off one pass on the meta device: shapes, no numbers.

fvcore counts a network by tracing it, which runs it; that takes a second at ImageNet size. Here the module
is built and called on torch's ``meta`` device, every call of torch is seen on its way, and ``op_counters``
says what it costs. The sum equals one fvcore pass over the traced network, which tests and
``studies/bench_profiling`` compare.

Activations are the elements that convolutions, linear layers and matrix products write (Radosavovic et
al. 2020, https://arxiv.org/abs/2003.13678, section 3.3).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from operator import add
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

from archsearch.counting.globality import reach
from archsearch.counting.op_counters import (
    ACTIVATIONS,
    HANDLE_GROUPS,
    HANDLES,
    MAKERS,
    NAMES,
    NEGLIGIBLE,
    SCOPES,
    SHAPE_ONLY,
    mixes_places,
)
from archsearch.errors import UncountedOperationError
from archsearch.shapes import FeatureShape, windows
from archsearch.stages.mixers import Mixer, SpatialMixer, mixer_of, window_of


@dataclass(frozen=True)
class Amounts:
    """Amounts of several things, added and multiplied one by one."""

    def __add__(self, other: Self) -> Self:
        return type(self)(*map(add, vars(self).values(), vars(other).values()))

    def __mul__(self, times: int) -> Self:
        return type(self)(*(amount * times for amount in vars(self).values()))


@dataclass(frozen=True)
class OpCosts(Amounts):
    """What some calls of one group of operators do: how many, their MACs, the elements that they write."""

    calls: int = 0
    macs: int = 0
    elements: int = 0


@dataclass(frozen=True)
class MixerCosts(Amounts):
    """What the spatial mixers of a module cost.

    Attributes:
        macs: MACs of all its mixers, local and global.
        reach_macs: the same, each mixer's times its reach, to whole ones.
        global_macs: MACs of those that reach everywhere.
        global_params: trainable parameters of those.
    """

    macs: int = 0
    reach_macs: int = 0
    global_macs: int = 0
    global_params: int = 0


# What returns a map of its argument's shape needs no calculation.
SAME_SHAPE = ACTIVATIONS | frozenset(
    ["batch_norm", "group_norm", "exp", "square", "sqrt", "rsqrt", "dropout"]
)
# The arguments that nn.Conv2d hands to conv2d, all by place.
PLAIN_CONV2D = 7


def trace_costs(
    build: Callable[[], nn.Module], shape: FeatureShape, promised: Sequence[Mixer] | None = None
) -> tuple[nn.Module, dict[str, OpCosts], MixerCosts]:
    """The module that ``build`` makes, on the meta device; its work for one map of ``shape``, by group; and its mixers'.

    ``promised`` are the mixers that its part promises.

    Raises:
        UncountedOperationError: as in ``meta_trace``; or the module has other mixers than were promised.
    """
    recorder = Recorder(promised)
    module = meta_trace(build, shape, recorder)
    if recorder.promised:
        raise UncountedOperationError(
            f"a {type(module).__name__} has no {describe_mixer(recorder.promised[0])}, and mixers() promises one"
        )
    return module, recorder.work, recorder.mixed


def meta_trace(
    build: Callable[[], nn.Module], shape: FeatureShape, recorder: "Recorder", *, batch_size: int = 1
) -> nn.Module:
    """One pass of the module that ``build`` makes, for maps of ``shape``; ``recorder`` sees its calls.

    Raises:
        UncountedOperationError: it calls an operator that has no handle and is not negligible, or mixes places
            in no mixer.
    """
    with MetaTrace():
        module = build().eval()
    images = torch.empty(batch_size, shape.channels, shape.height, shape.width, device="meta")
    with torch.inference_mode(), recorder, recorder.watching(module):
        module(images)
    if recorder.uncounted:
        raise UncountedOperationError(
            f"no MAC counter for {', '.join(sorted(recorder.uncounted))}: the total would be too low; give it a "
            "handle in archsearch/counting/op_counters.py, or write the layer with counted operators"
        )
    if recorder.unowned:
        raise UncountedOperationError(
            f"{', '.join(sorted(recorder.unowned))}: mixes places, and no mixer says how far; derive the module "
            "that does it from archsearch.stages.SpatialMixer and give it a window, or write it with nn.Conv2d"
        )
    return module


class MetaTrace(TorchFunctionMode):
    """Makes tensors that have a shape and no numbers, and leaves out what would fill them in place."""

    def __torch_function__(
        self, func: Any, _types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Calls that only fill their first argument return it as it is."""
        name, kwargs = func.__name__, kwargs or {}
        if only_fills(name) and (args or "tensor" in kwargs):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **on_meta(name, kwargs))


def only_fills(name: str) -> bool:
    """Whether a call gives a tensor other numbers in place: no function of its name returns a new tensor."""
    in_place = name.endswith("_") and not name.endswith("__")
    return in_place and not hasattr(Tensor, name.removesuffix("_"))


class Recorder(TorchFunctionMode):
    """Sees every call of torch, and adds up its work by group."""

    def __init__(self, promised: Sequence[Mixer] | None = None) -> None:
        super().__init__()
        self.work: dict[str, OpCosts] = {}
        self.uncounted: set[str] = set()
        self.unowned: set[str] = set()
        self.scopes = ["linear"]
        # The modules that are at work, the outermost one first; and how many of them may mix places.
        self.inside: list[str] = []
        self.owners = 0
        self.promised = None if promised is None else list(promised)
        self.mixed = MixerCosts()
        # MACs so far of the mixers that are at work, the outermost one's first.
        self.mixing: list[int] = []

    def __torch_function__(
        self, func: Any, _types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """The call itself, or its shape where that is plain; its work is noted."""
        name, kwargs = func.__name__, kwargs or {}
        name = name if name.endswith("__") else name.removesuffix("_")
        if name in SHAPE_ONLY:
            self.seen("shape", func, args, kwargs)
            return func(*args, **kwargs)
        arguments = [*args, *(kwargs.get(key) for key in NAMES.get(name, ())[len(args) :])]
        out = shape_of(name, arguments)
        if out is None:
            out = func(*args, **on_meta(name, kwargs))
        if func is torch.batch_norm:  # whose arguments stand in another order than those of F.batch_norm
            self.uncounted.add("torch.batch_norm")
            return out
        if not self.owners and mixes_places(name, arguments):
            self.unowned.add(f"{name} in {self.inside[-1] if self.inside else 'a function'}")
        if name in HANDLES:
            group = self.group(name, arguments, out)
            self.note(group, HANDLES[name](arguments, out), out)
            self.seen(group, func, args, kwargs)
        elif name in NEGLIGIBLE:
            self.note(NEGLIGIBLE[name], 0, out)
            self.seen(NEGLIGIBLE[name], func, args, kwargs)
        else:
            self.uncounted.add(resolve_name(func) or name)
        return out

    @contextmanager
    def watching(self, module: nn.Module) -> Iterator[None]:
        """Know, during a pass of ``module``, in which modules a call happens, and in which of the named scopes."""
        with ExitStack() as stack:
            for path, inner in module.named_modules():
                name = f"{path or 'the module'} ({type(inner).__name__})"
                group = SCOPES.get(path.rpartition(".")[2])
                enter, leave = partial(self._enter, name, group), self._leave
                stack.callback(inner.register_forward_pre_hook(enter).remove)
                stack.callback(inner.register_forward_hook(leave).remove)
            yield

    def seen(self, group: str, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """What a recorder that wants the calls themselves may keep."""

    def note(self, group: str, macs: int, out: Any) -> None:
        """One call more."""
        elements = out.numel() if isinstance(out, Tensor) else 0
        if self.mixing:
            self.mixing[0] += macs
        self.work[group] = self.work.get(group, OpCosts()) + OpCosts(1, macs, elements)

    def group(self, name: str, arguments: Sequence[Any], out: Tensor) -> str:
        """The group of a counted call."""
        if name == "linear":
            return self.scopes[-1]
        if name.startswith("conv"):
            return convolution_group(arguments[1], out if "transpose" in name else arguments[0])
        return HANDLE_GROUPS.get(name, "matmul")

    def met(self, module: nn.Module, arriving: Tensor) -> Mixer:
        """The mixer that ``module`` is, on the map that arrives; for tokens on the map that was promised."""
        found = mixer_of(module, arriving)
        if self.promised is None:
            return found
        same = (m for m in self.promised if (m.window, m.attention) == (found.window, found.attention))
        promise = next(same, None)
        if promise is None:
            raise UncountedOperationError(
                f"a {type(module).__name__} is a {describe_mixer(found)}, and mixers() promises no such one more"
            )
        self.promised.remove(promise)
        return found if arriving.ndim == 4 else promise

    def _enter(self, name: str, group: str | None, module: nn.Module, _arguments: Any) -> None:
        self.inside.append(name)
        self.scopes.append(group or self.scopes[-1])
        self.owners += isinstance(module, SpatialMixer | nn.Conv2d)
        if window_of(module) != 1:
            self.mixing.append(0)

    def _leave(self, module: nn.Module, arguments: Sequence[Tensor], _out: Any) -> None:
        self.inside.pop()
        self.scopes.pop()
        self.owners -= isinstance(module, SpatialMixer | nn.Conv2d)
        if window_of(module) == 1:
            return
        macs = self.mixing.pop()
        if self.mixing:  # a part of another mixer, which counts its MACs
            return
        mixer = self.met(module, arguments[0])
        trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
        everywhere = mixer.is_global
        self.mixed += MixerCosts(macs, round(macs * reach(mixer)), macs * everywhere, trained * everywhere)


def describe_mixer(mixer: Mixer) -> str:
    """A mixer in words."""
    what = "attention" if mixer.attention else "mixer"
    return f"{what} over everything" if mixer.window is None else f"{what} of window {mixer.window}"


def shape_of(name: str, args: Sequence[Any]) -> Tensor | None:
    """A tensor of the shape that a plain call returns; None where torch has to work it out."""
    if not args or not isinstance(args[0], Tensor):
        return None
    if name in SAME_SHAPE and without_gaps(args[0]):
        return args[0]
    if name == "layer_norm":
        return args[0] if args[0].is_contiguous() else like(args[0], args[0].shape[-1])
    if name == "linear":
        return like(args[0], len(args[1]))
    if name == "conv2d" and len(args) == PLAIN_CONV2D:
        return convolved(*args)
    fits = name == "scaled_dot_product_attention" and args[0].shape[:-2] == args[1].shape[:-2]
    return attended(*args[:3]) if fits else None


def convolved(
    image: Tensor,
    weight: Tensor,
    _bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int] | str,
    dilation: tuple[int, int],
    _groups: int,
) -> Tensor | None:
    """A tensor of the shape and the memory format that ``conv2d`` returns, called as ``nn.Conv2d`` calls it.

    On the meta device a 1x1 convolution of a channels-last map loses that format, which it keeps on a CPU.
    """
    if isinstance(padding, str) or image.ndim != 4:
        return None
    sides = [
        windows(size, reach * (kernel - 1) + 1, step, pad)
        for size, kernel, step, pad, reach in zip(
            image.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True
        )
    ]
    if min(sides) < 1:
        return None
    out = image.new_empty(image.shape[0], weight.shape[0], *sides)
    last = torch.channels_last
    keeps_last = image.is_contiguous(memory_format=last) and not image.is_contiguous()
    return out.to(memory_format=last) if keeps_last else out


def attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """A tensor of the shape and the strides that attention returns.

    A fused kernel takes tokens whose channels lie together and leaves the heads of a token together too;
    where they do not, torch multiplies matrices one after another.
    """
    if query.ndim == 4 and query.stride(-1) == key.stride(-1) == value.stride(-1) == 1:
        batch, heads, tokens, _ = query.shape
        return query.new_empty(batch, tokens, heads, value.shape[-1]).transpose(1, 2)
    return like(query, value.shape[-1])


def without_gaps(tensor: Tensor) -> bool:
    """Whether a tensor lies in memory as a result of its shape would."""
    last = torch.channels_last
    return tensor.is_contiguous() or (tensor.ndim == 4 and tensor.is_contiguous(memory_format=last))


def like(tensor: Tensor, width: int) -> Tensor:
    """A tensor of the same shape but for its last axis."""
    return tensor.new_empty(*tensor.shape[:-1], width)


def on_meta(name: str, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The keywords of a call; what makes a tensor from nothing makes it on the meta device."""
    return {**kwargs, "device": "meta"} if name in MAKERS else kwargs


def convolution_group(weight: Tensor, image: Tensor) -> str:
    """Pointwise, grouped or spatial: devices take different time for the same MACs.

    ``image`` is the side whose channels the weight's second axis should have: what arrives, or what leaves
    a transposed convolution.
    """
    if weight.shape[1] != image.shape[1 - weight.ndim]:
        return "conv grouped"
    return "conv 1x1" if math.prod(weight.shape[2:]) == 1 else "conv spatial"
