"""Parameters and multiply-accumulates of an architecture, for one image.

MACs are counted with fvcore, which calls them "flops": one multiply-add is one. Norms count as fvcore
counts them (2 per element for batch norm, 5 for layer norm). Double the total to compare with a paper
that counts a multiply and an add apart.
"""

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import get_shape
from torch import nn
from torch.jit._trace import TracerWarning

from archsearch.architecture import Architecture
from archsearch.errors import UncountedOperationError
from archsearch.shapes import FeatureShape
from archsearch.stages import Head, Part

# Work that grows with the elements of a map and not with their products: leaving it out changes no ranking.
ELEMENTWISE = (
    "add",
    "sub",
    "mul",
    "div",
    "pow",
    "square",
    "sqrt",
    "rsqrt",
    "exp",
    "relu",
    "silu",
    "gelu",
    "softmax",
)
GATHERING = ("im2col", "col2im", "pad", "constant_pad_nd", "index", "expand", "repeat", "tile", "arange")
POOLING = ("sum", "mean", "avg_pool2d", "max_pool2d")
NEGLIGIBLE = frozenset(
    f"aten::{name}{in_place}" for name in ELEMENTWISE + GATHERING + POOLING for in_place in ("", "_")
)
ATTENTION = "aten::scaled_dot_product_attention"


@dataclass(frozen=True)
class PartCount:
    """What one part costs: trainable parameters, frozen ones, and MACs by operator family."""

    params: int
    frozen: int
    by_family: Mapping[str, int]

    @property
    def macs(self) -> int:
        """MACs over all families."""
        return sum(self.by_family.values())

    def plus(self, without: "PartCount", with_it: "PartCount", times: int) -> "PartCount":
        """This and ``times`` what ``with_it`` costs more than ``without``."""
        more = {k: with_it.by_family[k] - without.by_family[k] for k in self.by_family}
        return PartCount(
            self.params + times * (with_it.params - without.params),
            self.frozen + times * (with_it.frozen - without.frozen),
            {k: macs + times * more[k] for k, macs in self.by_family.items()},
        )


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of one forward pass for one image.

    ``by_stage`` is keyed by place in the file (``stem``, ``stages.0``, ..., ``head``); ``by_family`` by
    ``convolution``, ``projection``, ``attention product``, ``MLP``, ``soft split`` and ``other`` (norms).
    """

    total: int
    by_stage: Mapping[str, int]
    by_family: Mapping[str, int]

    @property
    def without_norms(self) -> int:
        """Convolutions, linear layers and attention products alone: what papers count."""
        return self.total - self.by_family["other"]


def count_macs(architecture: Architecture) -> Macs:
    """MACs of ``architecture`` for one image.

    Raises:
        ArchitectureError: no network can be built from it.
        UncountedOperationError: it contains an operator that has no counter and is not negligible.
    """
    by_stage: dict[str, int] = {}
    by_family: Counter[str] = Counter()
    for place, count in part_counts(architecture):
        by_stage[place] = count.macs
        by_family.update(count.by_family)
    return Macs(sum(by_stage.values()), by_stage, dict(by_family))


def count_params(architecture: Architecture) -> int:
    """Trainable parameters of ``architecture``."""
    return sum(count.params for _, count in part_counts(architecture))


def count_frozen(architecture: Architecture) -> int:
    """Parameters that are never trained: sinusoidal positions, the random directions of performers.

    Published counts include them, or leave them out.
    """
    return sum(count.frozen for _, count in part_counts(architecture))


def part_counts(architecture: Architecture) -> Iterator[tuple[str, PartCount]]:
    """What each part and the head cost, with their places; each distinct part is counted once."""
    for place, part, shape in architecture.placed():
        yield place, count_part(part, shape)
    yield "head", count_head(architecture.head, architecture.shapes()[-1], architecture.classes)


@lru_cache(maxsize=16_384)
def count_part(part: Part, shape: FeatureShape) -> PartCount:
    """The cost of one part behind a map of ``shape``; remembered.

    Blocks behind the first are alike in every kind: two blocks tell what any depth costs, exactly.
    """
    depth = getattr(part, "depth", 1)
    if depth > 2:
        one, two = (count_part(part.model_copy(update={"depth": n}), shape) for n in (1, 2))
        return two.plus(one, two, times=depth - 2)
    with torch.random.fork_rng(devices=[]):
        return count_module(part.build(shape), shape)


@lru_cache(maxsize=1_024)
def count_head(head: Head, shape: FeatureShape, classes: int) -> PartCount:
    """The cost of a head behind a map of ``shape``; remembered."""
    with torch.random.fork_rng(devices=[]):
        return count_module(head.build(shape.channels, classes), shape)


def count_module(module: nn.Module, shape: FeatureShape) -> PartCount:
    """Parameters and MACs of ``module`` for one map of ``shape``, by one fvcore pass."""
    params: Counter[bool] = Counter()
    for parameter in module.parameters():
        params[parameter.requires_grad] += parameter.numel()
    analysis = analyse(module.eval(), shape)
    operators = analysis.by_operator()
    in_mlp = linear_macs_under(analysis, "mlp")
    in_split = linear_macs_under(analysis, "split")
    families = {
        "convolution": operators["conv"],
        "projection": operators["linear"] - in_mlp - in_split,
        "attention product": operators["matmul"] + operators["bmm"] + operators["attention"],
        "MLP": in_mlp,
        "soft split": in_split,
    }
    other = sum(operators.values()) - sum(families.values())
    by_family = {k: int(v) for k, v in {**families, "other": other}.items()}
    return PartCount(params[True], params[False], by_family)


def analyse(module: nn.Module, shape: FeatureShape) -> FlopCountAnalysis:
    """The analysis by fvcore of one pass, attention included; refused if it would leave work out."""
    images = torch.zeros(1, shape.channels, shape.height, shape.width)
    analysis = FlopCountAnalysis(module, images)
    analysis.unsupported_ops_warnings(enabled=False).uncalled_modules_warnings(enabled=False)
    analysis.set_op_handle(ATTENTION, attention_macs)
    with warnings.catch_warnings(), torch.no_grad():
        # fvcore traces the module; what the tracer says about constants is no news to a counter.
        warnings.filterwarnings("ignore", category=TracerWarning)
        analysis.total()
        uncounted = sorted(set(analysis.unsupported_ops()) - NEGLIGIBLE)
    if uncounted:
        raise UncountedOperationError(
            f"no MAC counter for {', '.join(uncounted)}: the total would be too low; give it a handle in "
            "archsearch/counting/macs.py, or write the layer with counted operators"
        )
    return analysis


def attention_macs(inputs: list[Any], _outputs: list[Any]) -> Counter[str]:
    """``B h N M (d + d_v)``: query-key and weight-value products; softmax, scale and bias are negligible."""
    query, key, value = (get_shape(tensor) for tensor in inputs[:3])
    *batch_and_heads, queries, width = query
    return Counter(attention=math.prod(batch_and_heads) * queries * key[-2] * (width + value[-1]))


def linear_macs_under(analysis: FlopCountAnalysis, name: str) -> int:
    """MACs of linear layers inside modules called ``name``."""
    by_module = analysis.by_module_and_operator()
    return sum(int(count["linear"]) for path, count in by_module.items() if path.split(".")[-1] == name)
