"""The same count by one fvcore pass over a whole network: what the counts of its parts are held against.

fvcore traces the network, that is, runs it. Slow and independent: tests and ``studies/bench_profiling``
compare with it, and nothing else uses it.
"""

import math
import warnings
from collections import Counter
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import get_shape
from torch import nn
from torch.jit._trace import TracerWarning

from archsearch.shapes import FeatureShape


def traced_macs(module: nn.Module, shape: FeatureShape) -> int:
    """MACs of ``module`` for one map of ``shape``, by fvcore with a handle for attention."""
    analysis = FlopCountAnalysis(module.eval(), torch.zeros(1, shape.channels, shape.height, shape.width))
    analysis.unsupported_ops_warnings(enabled=False).uncalled_modules_warnings(enabled=False)
    analysis.set_op_handle("aten::scaled_dot_product_attention", attention_macs)
    with warnings.catch_warnings(), torch.no_grad():
        # What the tracer says about constants is no news to a counter.
        warnings.filterwarnings("ignore", category=TracerWarning)
        return int(analysis.total())


def attention_macs(inputs: list[Any], _outputs: list[Any]) -> Counter[str]:
    """``B h N M (d + d_v)``, from the shapes of query, key and value."""
    query, key, value = (get_shape(tensor) for tensor in inputs[:3])
    *batch_and_heads, queries, width = query
    return Counter(attention=math.prod(batch_and_heads) * queries * key[-2] * (width + value[-1]))
