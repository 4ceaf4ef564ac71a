"""The operators of a module and the work of each, read off one pass on paper: shapes and no numbers.

fvcore counts a network by tracing it, which runs it; that takes a second at ImageNet size. Here the module
is built and called on torch's ``meta`` device, every call of torch is seen on its way, and fvcore's own
handles say what it costs. The sum equals one fvcore pass over the traced network, which tests and
``studies/bench_counting`` compare.

MACs are what fvcore calls "flops": one multiply-add is one. Norms count as fvcore counts them (2 per
element for batch norm, 5 for layer norm). Activations are the elements that convolutions, linear layers
and matrix products write (Radosavovic et al. 2020, https://arxiv.org/abs/2003.13678, section 3.3).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from fvcore.nn.jit_handles import (
    addmm_flop_jit,
    batchnorm_flop_jit,
    bmm_flop_jit,
    conv_flop_count,
    elementwise_flop_counter,
    linear_flop_jit,
    matmul_flop_jit,
    norm_flop_counter,
)
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

from archsearch.errors import UncountedOperationError
from archsearch.shapes import FeatureShape, windows


@dataclass(frozen=True)
class Work:
    """What some calls of one group of operators do: how many, their MACs, the elements that they write."""

    calls: int = 0
    macs: int = 0
    elements: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.calls + other.calls, self.macs + other.macs, self.elements + other.elements)

    def __sub__(self, other: "Work") -> "Work":
        return self + other * -1

    def __mul__(self, times: int) -> "Work":
        return Work(self.calls * times, self.macs * times, self.elements * times)


WorkByGroup = Mapping[str, Work]


@dataclass(frozen=True)
class Traced:
    """What fvcore's handles ask of a traced value, answered for an argument of a call."""

    argument: Any

    def isCompleteTensor(self) -> bool:  # noqa: N802 - fvcore asks by this name
        """Whether it has a shape."""
        return isinstance(self.argument, Tensor)

    def type(self) -> "Traced":
        """What knows the shape."""
        return self

    def sizes(self) -> list[int]:
        """The shape."""
        return list(self.argument.shape)

    def toIValue(self) -> Any:  # noqa: N802 - fvcore asks by this name
        """The value itself."""
        return self.argument


Handle = Callable[[Sequence[Any], Any], int]


def by_fvcore(handle: Callable[[list[Any], list[Any]], Any], *places: int) -> Handle:
    """A handle of fvcore's over the arguments at ``places``, or over all of them."""

    def count(arguments: Sequence[Any], out: Any) -> int:
        chosen = [arguments[place] for place in places] if places else arguments
        return int(handle([Traced(argument) for argument in chosen], [Traced(out)]))

    return count


def convolution(arguments: Sequence[Any], out: Any, *, transposed: bool = False) -> int:
    """``B H' W' C_out (C_in / groups) k_h k_w``, with the same for one and three dimensions."""
    image, weight = arguments[:2]
    return int(conv_flop_count(list(image.shape), list(weight.shape), list(out.shape), transposed=transposed))


def attention(arguments: Sequence[Any], out: Any) -> int:
    """``B h N M (d + d_v)``: query-key and weight-value products; softmax, scale and bias are negligible."""
    query, key, value = arguments[:3]
    return int(math.prod(out.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


def product(arguments: Sequence[Any], out: Any) -> int:
    """One MAC for each element of the product and each place of the axis that is summed over.

    fvcore's own handle forgets a left factor that is repeated for a batch on the right.
    """
    return int(out.numel() * arguments[0].shape[-1])


HANDLES: Mapping[str, Handle] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), convolution),
    **dict.fromkeys(
        ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), partial(convolution, transposed=True)
    ),
    "linear": by_fvcore(linear_flop_jit),
    "matmul": product,
    "mm": by_fvcore(matmul_flop_jit),
    "bmm": by_fvcore(bmm_flop_jit),
    "addmm": by_fvcore(addmm_flop_jit),
    "scaled_dot_product_attention": attention,
    # batch_norm(input, mean, variance, weight, bias, training), as aten orders it: weight second, training sixth.
    "batch_norm": by_fvcore(batchnorm_flop_jit, 0, 3, 4, 1, 2, 5),
    "layer_norm": by_fvcore(norm_flop_counter(2)),
    "group_norm": by_fvcore(norm_flop_counter(2)),
    "adaptive_avg_pool2d": by_fvcore(elementwise_flop_counter(1, 0), 0),
}
SHAPE_ONLY = frozenset(
    "__get__ __len__ __getitem__ dim size numel reshape view flatten permute transpose unbind chunk split "
    "squeeze unsqueeze expand contiguous detach to float _set_grad_enabled".split()
)
# Work that grows with the elements of a map and not with their products: leaving it out changes no ranking.
ACTIVATIONS = frozenset(["relu", "silu", "gelu"])
ELEMENTWISE = frozenset(
    "add sub rsub mul div pow neg abs reciprocal square sqrt rsqrt exp softmax dropout "
    "__rsub__ __rtruediv__ __rdiv__ __rpow__".split()
)
# What makes a tensor from nothing.
MAKERS = frozenset(
    "empty zeros ones full arange linspace eye rand randn randint randperm normal tensor".split()
)
COPIES = MAKERS | frozenset("unfold fold pad cat stack repeat tile clone zeros_like ones_like".split())
# What gives a tensor other numbers in place, and leaves the rest of it alone.
FILLS = frozenset(
    "fill_ zero_ copy_ normal_ uniform_ bernoulli_ exponential_ random_ mul_ add_ div_ erfinv_ clamp_ constant_ "
    "ones_ zeros_ eye_ dirac_ trunc_normal_ orthogonal_ sparse_ xavier_normal_ xavier_uniform_ kaiming_normal_ "
    "kaiming_uniform_".split()
)
POOLS = frozenset(["sum", "mean", "avg_pool2d", "max_pool2d"])
NEGLIGIBLE: Mapping[str, str] = {
    name: group
    for group, names in {
        "activation": ACTIVATIONS,
        "elementwise": ELEMENTWISE,
        "copy": COPIES,
        "pool": POOLS,
    }.items()
    for name in names
}
# The families of a count, with their groups: finer where a device takes different time for the same MACs.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "convolution": ("conv 1x1", "conv spatial", "conv grouped"),
    "projection": ("linear",),
    "attention product": ("attention", "matmul"),
    "MLP": ("linear mlp",),
    "soft split": ("linear split",),
    "other": ("batch norm", "layer norm", "activation", "elementwise", "copy", "pool"),
}
GROUPS = tuple(group for groups in FAMILIES.values() for group in groups)
WRITES_ACTIVATIONS = frozenset(GROUPS) - frozenset(FAMILIES["other"])
# A linear layer inside a module of this name belongs to the group.
SCOPES = {"mlp": "linear mlp", "split": "linear split"}
# Arguments of counted calls that may come by name, in the order of torch.nn.functional.
NAMES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys((name for name in HANDLES if name.startswith("conv")), ("input", "weight")),
    "linear": ("input", "weight"),
    "matmul": ("input", "other"),
    "mm": ("input", "mat2"),
    "bmm": ("input", "mat2"),
    "addmm": ("input", "mat1", "mat2"),
    "scaled_dot_product_attention": ("query", "key", "value"),
    "batch_norm": ("input", "running_mean", "running_var", "weight", "bias", "training"),
    "layer_norm": ("input", "normalized_shape", "weight"),
    "group_norm": ("input", "num_groups", "weight"),
}
HANDLE_GROUPS = {
    "scaled_dot_product_attention": "attention",
    "batch_norm": "batch norm",
    "layer_norm": "layer norm",
    "group_norm": "layer norm",
    "adaptive_avg_pool2d": "pool",
}
# What returns a map of its argument's shape needs no calculation on paper.
SAME_SHAPE = ACTIVATIONS | frozenset("batch_norm layer_norm group_norm exp square sqrt rsqrt dropout".split())
# The arguments that nn.Conv2d hands to conv2d, all by place.
PLAIN_CONV2D = 7
SAME_AS_BOTH = frozenset(["add", "sub", "mul", "div"])


def work_of(build: Callable[[], nn.Module], shape: FeatureShape) -> tuple[nn.Module, dict[str, Work]]:
    """The module that ``build`` makes, on paper, and its work for one map of ``shape``, by group.

    Raises:
        UncountedOperationError: it calls an operator that has no handle and is not negligible.
    """
    recorder = Recorder()
    module = pass_on_paper(build, shape, recorder)
    if recorder.uncounted:
        raise UncountedOperationError(
            f"no MAC counter for {', '.join(sorted(recorder.uncounted))}: the total would be too low; give it a "
            "handle in archsearch/counting/operators.py, or write the layer with counted operators"
        )
    return module, dict(recorder.work)


def pass_on_paper(
    build: Callable[[], nn.Module], shape: FeatureShape, recorder: "Recorder", *, batch_size: int = 1
) -> nn.Module:
    """One pass of the module that ``build`` makes, for maps of ``shape``, under the eyes of ``recorder``."""
    with OnPaper():
        module = build().eval()
    images = torch.empty(batch_size, shape.channels, shape.height, shape.width, device="meta")
    with torch.inference_mode(), recorder, recorder.watching(module):
        module(images)
    return module


class OnPaper(TorchFunctionMode):
    """Makes tensors that have a shape and no numbers, and leaves out what would fill them in place."""

    def __torch_function__(
        self, func: Any, _types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Calls that only fill their first argument return it as it is."""
        name, kwargs = func.__name__, kwargs or {}
        if name in FILLS and (args or "tensor" in kwargs):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **on_meta(name, kwargs))


class Recorder(TorchFunctionMode):
    """Sees every call of torch, and adds up its work by group."""

    def __init__(self) -> None:
        super().__init__()
        self.work: dict[str, Work] = {}
        self.uncounted: set[str] = set()
        self.scopes = ["linear"]

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
        elif name in HANDLES:
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
        """Know, during a pass of ``module``, in which of the named scopes a call happens."""
        with ExitStack() as stack:
            for path, inner in module.named_modules():
                group = SCOPES.get(path.rpartition(".")[2])
                if group is not None:
                    enter, leave = partial(self._enter, group), self._leave
                    stack.callback(inner.register_forward_pre_hook(enter).remove)
                    stack.callback(inner.register_forward_hook(leave).remove)
            yield

    def seen(self, group: str, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """What a recorder that wants the calls themselves may keep."""

    def note(self, group: str, macs: int, out: Any) -> None:
        """One call more."""
        elements = out.numel() if isinstance(out, Tensor) else 0
        self.work[group] = self.work.get(group, Work()) + Work(1, macs, elements)

    def group(self, name: str, arguments: Sequence[Any], out: Tensor) -> str:
        """The group of a counted call."""
        if name == "linear":
            return self.scopes[-1]
        if name.startswith("conv"):
            return convolution_group(arguments[1], out if "transpose" in name else arguments[0])
        return HANDLE_GROUPS.get(name, "matmul")

    def _enter(self, group: str, _module: nn.Module, _arguments: Any) -> None:
        self.scopes.append(group)

    def _leave(self, _module: nn.Module, _arguments: Any, _out: Any) -> None:
        self.scopes.pop()


def shape_of(name: str, args: Sequence[Any]) -> Tensor | None:
    """A tensor of the shape that a plain call returns; None where torch has to work it out."""
    if not args or not isinstance(args[0], Tensor):
        return None
    if name in SAME_SHAPE or (name in SAME_AS_BOTH and len(args) > 1 and same_shape(*args[:2])):
        return args[0]
    if name == "linear":
        return like(args[0], len(args[1]))
    if name == "conv2d" and len(args) == PLAIN_CONV2D:
        return convolved(*args)
    if name == "scaled_dot_product_attention" and args[0].shape[:-2] == args[1].shape[:-2]:
        return like(args[0], args[2].shape[-1])
    return None


def convolved(
    image: Tensor,
    weight: Tensor,
    _bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int] | str,
    dilation: tuple[int, int],
    _groups: int,
) -> Tensor | None:
    """A tensor of the shape that ``conv2d`` returns, called as ``nn.Conv2d`` calls it."""
    if isinstance(padding, str) or image.ndim != 4:
        return None
    sides = [
        windows(size, reach * (kernel - 1) + 1, step, pad)
        for size, kernel, step, pad, reach in zip(
            image.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True
        )
    ]
    return image.new_empty(image.shape[0], weight.shape[0], *sides)


def same_shape(one: Any, other: Any) -> bool:
    """Whether both are tensors of one shape."""
    return isinstance(one, Tensor) and isinstance(other, Tensor) and one.shape == other.shape


def like(tensor: Tensor, width: int) -> Tensor:
    """A tensor of the same shape but for its last axis."""
    return tensor.new_empty(*tensor.shape[:-1], width)


def on_meta(name: str, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The keywords of a call; what makes a tensor from nothing makes it on paper."""
    return {**kwargs, "device": "meta"} if name in MAKERS else kwargs


def convolution_group(weight: Tensor, image: Tensor) -> str:
    """Pointwise, grouped or spatial: devices take different time for the same MACs.

    ``image`` is the side whose channels the weight's second axis should have: what arrives, or what leaves
    a transposed convolution.
    """
    if weight.shape[1] != image.shape[1]:
        return "conv grouped"
    return "conv 1x1" if math.prod(weight.shape[2:]) == 1 else "conv spatial"
