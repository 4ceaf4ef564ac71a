"""What an operator of torch costs, from the shapes of its arguments: fvcore's handles, and those that it misses.

MACs are what fvcore calls "flops": one multiply-add is one. Norms count as fvcore counts them (2 per
element for batch norm, 5 for layer norm).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

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
    [
        "__get__",
        "__len__",
        "__getitem__",
        "dim",
        "size",
        "numel",
        "reshape",
        "view",
        "flatten",
        "permute",
        "transpose",
        "unbind",
        "chunk",
        "split",
        "squeeze",
        "unsqueeze",
        "expand",
        "contiguous",
        "detach",
        "to",
        "float",
        "_set_grad_enabled",
    ]
)
# Work that grows with the elements of a map and not with their products: leaving it out changes no ranking.
ACTIVATIONS = frozenset(["relu", "silu", "gelu"])
ELEMENTWISE = frozenset(
    [
        "add",
        "sub",
        "rsub",
        "mul",
        "div",
        "pow",
        "neg",
        "abs",
        "reciprocal",
        "square",
        "sqrt",
        "rsqrt",
        "exp",
        "softmax",
        "dropout",
        "__rsub__",
        "__rtruediv__",
        "__rdiv__",
        "__rpow__",
    ]
)
# What makes a tensor from nothing.
MAKERS = frozenset(
    [
        "empty",
        "zeros",
        "ones",
        "full",
        "arange",
        "linspace",
        "eye",
        "rand",
        "randn",
        "randint",
        "randperm",
        "normal",
        "tensor",
    ]
)
COPIES = MAKERS | frozenset(
    ["unfold", "fold", "pad", "cat", "stack", "repeat", "tile", "clone", "zeros_like", "ones_like"]
)
# What gives a tensor other numbers in place, and leaves the rest of it alone.
FILLS = frozenset(
    [
        "fill_",
        "zero_",
        "copy_",
        "normal_",
        "uniform_",
        "bernoulli_",
        "exponential_",
        "random_",
        "mul_",
        "add_",
        "div_",
        "erfinv_",
        "clamp_",
        "constant_",
        "ones_",
        "zeros_",
        "eye_",
        "dirac_",
        "trunc_normal_",
        "orthogonal_",
        "sparse_",
        "xavier_normal_",
        "xavier_uniform_",
        "kaiming_normal_",
        "kaiming_uniform_",
    ]
)
# Products, with the place of their right factor.
PRODUCTS = {"matmul": 1, "mm": 1, "bmm": 1, "addmm": 2}
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


def mixes_places(name: str, arguments: Sequence[Any]) -> bool:
    """Whether a call carries information from place to place.

    An attention, a convolution wider than 1x1, windows that are unfolded, and a product of two activations:
    the right factor is no parameter, nor a view of one.
    """
    if name.startswith("conv"):
        return bool(math.prod(arguments[1].shape[2:]) > 1)
    if name in PRODUCTS:
        return not is_parameter(arguments[PRODUCTS[name]])
    return name in ("scaled_dot_product_attention", "unfold")


def is_parameter(tensor: Tensor) -> bool:
    """Whether it is a parameter, or a view of one."""
    return isinstance(tensor, nn.Parameter) or isinstance(tensor._base, nn.Parameter)  # noqa: SLF001
