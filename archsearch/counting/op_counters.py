"""What an operator of torch costs, from the shapes of its arguments, at fvcore's prices.

MACs are what fvcore calls "flops": one multiply-add is one. Norms count as fvcore counts them (2 per
element for batch norm, 5 for layer norm); attention, which fvcore misses, by its two products.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from fvcore.nn.jit_handles import conv_flop_count
from torch import Tensor, nn

# The MACs of a call, from its arguments in the order of NAMES and from what it returns.
Handle = Callable[[Sequence[Any], Any], int]


def convolution(arguments: Sequence[Any], out: Any, *, transposed: bool = False) -> int:
    """``B H' W' C_out (C_in / groups) k_h k_w``, with the same for one and three dimensions."""
    image, weight = arguments[:2]
    return int(conv_flop_count(list(image.shape), list(weight.shape), list(out.shape), transposed=transposed))


def attention(arguments: Sequence[Any], out: Any) -> int:
    """``B h N M (d + d_v)``: query-key and weight-value products; softmax, scale and bias are negligible."""
    query, key, value = arguments[:3]
    return int(math.prod(out.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


def product(arguments: Sequence[Any], out: Any, *, left: int = 0) -> int:
    """One MAC for each element of the product and each place of the axis of the ``left`` factor that is summed over."""
    return int(out.numel() * arguments[left].shape[-1])


def batch_norm(arguments: Sequence[Any], out: Any) -> int:
    """Fvcore's price: 2 for each element, 1 without weights; in training that of a norm that measures."""
    weight, training = arguments[3], arguments[5]
    without = 4 if training else 1
    return int(out.numel() * (without + (weight is not None)))


def measured_norm(arguments: Sequence[Any], out: Any) -> int:
    """Fvcore's price of a norm that measures what arrives: 5 for each element, 4 without weights."""
    return int(out.numel() * (4 + (arguments[2] is not None)))


HANDLES: Mapping[str, Handle] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), convolution),
    **dict.fromkeys(
        ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), partial(convolution, transposed=True)
    ),
    **dict.fromkeys(("linear", "matmul", "mm", "bmm"), product),
    "addmm": partial(product, left=1),
    "scaled_dot_product_attention": attention,
    "batch_norm": batch_norm,
    "layer_norm": measured_norm,
    "group_norm": measured_norm,
    "adaptive_avg_pool2d": lambda arguments, _out: int(arguments[0].numel()),
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
