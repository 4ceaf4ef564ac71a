"""Every operator costs what arithmetic done by hand says, on paper alone; what has no price is refused by name."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from fvcore_trace import traced_macs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archsearch.architecture import Architecture, Image
from archsearch.counting.meta_trace import SAME_SHAPE, OpCosts, Recorder, trace_costs
from archsearch.counting.op_counters import HANDLES, NEGLIGIBLE, SHAPE_ONLY
from archsearch.errors import UncountedOperationError
from archsearch.shapes import FeatureShape
from archsearch.stages import ConvStage, MHSAStage, SpatialMixer, T2TStem, TokenTransformerStage
from archsearch.stages.t2t_stem import PerformerMixer
from archsearch.stages.tokens import SoftSplit


class Call(SpatialMixer):
    """A network that is one function, with tensors of some shapes behind its map."""

    def __init__(self, function, *shapes):
        super().__init__()
        self.function = function
        self.tensors = nn.ParameterList(torch.ones(shape) for shape in shapes)

    def forward(self, x):
        return self.function(x, *self.tensors)


def work(function, arriving, *shapes):
    """Work by group of ``function(x, *tensors)``, for one map of ``arriving`` and tensors of ``shapes``."""
    return trace_costs(lambda: Call(function, *shapes), FeatureShape(*arriving))[1]


# --- convolutions ---------------------------------------------------------------------------------


def test_a_1x1_convolution_by_hand():
    places = 6 * 5
    expected = OpCosts(1, places * 4 * 8, places * 8)

    assert work(F.conv2d, (4, 6, 5), (8, 4, 1, 1), (8,)) == {"conv 1x1": expected}


def test_a_spatial_convolution_with_a_stride_by_hand():
    places = 3 * 3
    expected = OpCosts(1, places * (4 * 3 * 5) * 8, places * 8)

    def strided(x, weight):
        return F.conv2d(x, weight, stride=2, padding=(1, 2))

    assert work(strided, (4, 6, 5), (8, 4, 3, 5)) == {"conv spatial": expected}


def test_a_grouped_convolution_by_hand():
    places = 4 * 3
    expected = OpCosts(1, places * (4 // 2 * 3 * 3) * 8, places * 8)

    def in_two_groups(x, weight):
        return F.conv2d(x, weight, groups=2)

    assert work(in_two_groups, (4, 6, 5), (8, 4 // 2, 3, 3)) == {"conv grouped": expected}


def test_a_transposed_convolution_by_hand():
    """Each place that arrives is multiplied with the whole kernel, whatever the stride."""
    rows, columns = (6 - 1) * 2 + 3, (5 - 1) * 2 + 3
    expected = OpCosts(1, (6 * 5) * 4 * 4 * (3 * 3), rows * columns * 4)

    def transposed(x, weight):
        return F.conv_transpose2d(x, weight, stride=2)

    assert work(transposed, (4, 6, 5), (4, 4, 3, 3)) == {"conv spatial": expected}


def test_a_convolution_of_a_sequence_by_hand():
    """Four rows of channels, five places, of which a kernel of three leaves three."""
    expected = OpCosts(1, 3 * (4 * 3) * 8, 3 * 8)

    assert work(lambda x, w: F.conv1d(x[:, 0], w), (1, 4, 5), (8, 4, 3)) == {"conv spatial": expected}


def test_a_convolution_of_a_volume_by_hand():
    depth, height, width = 4 - 1, 6 - 2, 5 - 2
    expected = OpCosts(1, depth * height * width * (2 * 3 * 3) * 8, depth * height * width * 8)

    assert work(lambda x, w: F.conv3d(x[:, None], w), (4, 6, 5), (8, 1, 2, 3, 3)) == {
        "conv spatial": expected
    }


@pytest.mark.parametrize(
    ("weight", "groups", "name"),
    [
        ((8, 4, 1, 1), 1, "conv 1x1"),
        ((8, 4, 3, 3), 1, "conv spatial"),
        ((8, 4, 1, 3), 1, "conv spatial"),
        ((8, 2, 3, 3), 2, "conv grouped"),
        ((8, 2, 1, 1), 2, "conv grouped"),
        ((4, 1, 3, 3), 4, "conv grouped"),
    ],
)
def test_a_convolution_is_pointwise_spatial_or_grouped(weight, groups, name):
    assert list(work(lambda x, w: F.conv2d(x, w, groups=groups), (4, 6, 5), weight)) == [name]


def test_a_transposed_convolution_that_changes_the_width_is_not_grouped():
    assert list(work(F.conv_transpose2d, (4, 6, 5), (4, 8, 3, 3))) == ["conv spatial"]


# --- products -------------------------------------------------------------------------------------


def test_a_linear_layer_by_hand():
    rows = 4 * 6
    expected = OpCosts(1, rows * 5 * 7, rows * 7)

    assert (
        work(F.linear, (4, 6, 5), (7, 5)) == work(F.linear, (4, 6, 5), (7, 5), (7,)) == {"linear": expected}
    )


def test_a_matrix_product_by_hand():
    expected = OpCosts(1, 4 * (6 * 5 * 7), 4 * (6 * 7))

    assert work(torch.matmul, (4, 6, 5), (1, 4, 5, 7)) == {"matmul": expected}


def test_a_matrix_that_is_shared_is_multiplied_with_each():
    expected = OpCosts(1, 4 * (6 * 5 * 7), 4 * (6 * 7))

    assert work(lambda x, m: x @ m, (4, 6, 5), (5, 7)) == {"matmul": expected}


def test_a_shared_matrix_on_the_left_is_multiplied_with_each():
    expected = OpCosts(1, 4 * (3 * 6 * 5), 4 * (3 * 5))

    assert work(lambda x, m: m @ x, (4, 6, 5), (3, 6)) == {"matmul": expected}


def test_a_product_of_two_matrices_by_hand():
    expected = {"matmul": OpCosts(1, 6 * 5 * 7, 6 * 7)}

    assert work(lambda x, m: torch.mm(x[0, 0], m), (1, 6, 5), (5, 7)) == expected
    assert work(lambda x, m, b: torch.addmm(b, x[0, 0], m), (1, 6, 5), (5, 7), (7,)) == expected


def test_a_batch_of_products_by_hand():
    expected = OpCosts(1, 4 * (6 * 5 * 7), 4 * (6 * 7))

    assert work(lambda x, m: torch.bmm(x[0], m), (4, 6, 5), (4, 5, 7)) == {"matmul": expected}


@pytest.mark.parametrize("mask", [None, (6, 9)], ids=["without mask", "with mask"])
def test_attention_is_two_products_with_or_without_a_mask(mask):
    """Two heads; six queries of width five ask nine keys, whose values are three wide."""
    queries_by_keys = 2 * (6 * 5 * 9)
    weights_by_values = 2 * (6 * 9 * 3)

    def attention(x, key, value, bias=None):
        return F.scaled_dot_product_attention(x, key, value, attn_mask=bias)

    shapes = [(1, 2, 9, 5), (1, 2, 9, 3), *([mask] if mask else [])]
    assert work(attention, (2, 6, 5), *shapes) == {
        "attention": OpCosts(1, queries_by_keys + weights_by_values, 2 * 6 * 3)
    }


def test_one_query_may_ask_a_batch_of_keys():
    """Six queries of width five, the same for each of three images with nine keys; two heads, values of three."""
    queries_by_keys = 3 * 2 * (6 * 5 * 9)
    weights_by_values = 3 * 2 * (6 * 9 * 3)
    expected = OpCosts(1, queries_by_keys + weights_by_values, 3 * 2 * 6 * 3)

    assert work(F.scaled_dot_product_attention, (2, 6, 5), (3, 2, 9, 5), (3, 2, 9, 3)) == {
        "attention": expected
    }


def test_a_performer_by_hand():
    tokens, window, width, features = 6, 5, 8, 3

    kqv = tokens * window * (3 * width)
    features_of_keys_and_queries = 2 * tokens * width * features
    keys_by_values = features * tokens * width
    queries_by_that = tokens * features * width
    queries_by_sum_of_keys = tokens * features

    def build():
        return nn.Sequential(nn.Flatten(1, 2), PerformerMixer(window, width, features))

    _, found, _ = trace_costs(build, FeatureShape(1, tokens, window))
    assert found["linear"] == OpCosts(1, kqv, tokens * 3 * width)
    assert found["matmul"] == OpCosts(
        5,
        features_of_keys_and_queries + keys_by_values + queries_by_that + queries_by_sum_of_keys,
        2 * tokens * features + features * width + tokens * width + tokens,
    )
    assert sum(group.macs for group in found.values()) == found["linear"].macs + found["matmul"].macs


# --- norms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "group", "price"),
    [
        (lambda: nn.BatchNorm2d(4), "batch norm", 2),
        (lambda: nn.BatchNorm2d(4, affine=False), "batch norm", 1),
        (lambda: nn.LayerNorm(5), "layer norm", 5),
        (lambda: nn.LayerNorm(5, bias=False), "layer norm", 5),
        (lambda: nn.LayerNorm((6, 5), elementwise_affine=False), "layer norm", 4),
        (lambda: nn.GroupNorm(2, 4), "layer norm", 5),
        (lambda: nn.GroupNorm(2, 4, affine=False), "layer norm", 4),
    ],
)
def test_a_norm_has_its_price_for_each_element(module, group, price):
    elements = 4 * 6 * 5

    assert trace_costs(module, FeatureShape(4, 6, 5))[1] == {group: OpCosts(1, price * elements, elements)}


# --- what costs nothing ---------------------------------------------------------------------------


def test_elementwise_work_is_left_out():
    found = work(lambda x: F.gelu(F.relu(x) + x * x).softmax(dim=-1).mean(dim=(2, 3)), (2, 4, 4))

    assert found == {
        "activation": OpCosts(2, 0, 2 * 32),
        "elementwise": OpCosts(3, 0, 3 * 32),
        "pool": OpCosts(1, 0, 2),
    }


@pytest.mark.parametrize(
    "negligible",
    [lambda x: 1 - x, lambda x: 1 / x, lambda x: F.dropout(x, training=False), nn.Dropout(0.5).eval()],
    ids=["1 - x", "1 / x", "F.dropout", "nn.Dropout"],
)
def test_a_number_less_a_map_and_dropout_in_eval_mode_are_elementwise(negligible):
    assert work(negligible, (4, 6, 5)) == {"elementwise": OpCosts(1, 0, 4 * 6 * 5)}


@pytest.mark.parametrize("size", [1, (2, 3), (6, 5)])
def test_an_adaptive_pooling_costs_what_the_trace_of_it_does(size):
    shape = FeatureShape(4, 6, 5)

    _, found, _ = trace_costs(partial(nn.AdaptiveAvgPool2d, size), shape)

    assert found["pool"].macs == traced_macs(nn.AdaptiveAvgPool2d(size), shape) == 4 * 6 * 5


def test_a_soft_split_is_a_copy():
    """Windows of 3x3 at stride 2 and padding 1 stand at 3x3 places of a 6x5 map."""
    _, found, _ = trace_costs(lambda: SoftSplit(3, 2), FeatureShape(4, 6, 5))

    assert found == {"copy": OpCosts(1, 0, 3 * 3 * (4 * 3 * 3))}


def test_to_see_the_same_numbers_in_another_shape_is_no_work():
    def seen_otherwise(x):
        first, second = x.flatten(2).transpose(1, 2)[:, None].permute(0, 2, 3, 1).squeeze(-1).chunk(2, dim=-1)
        return first.reshape(len(first), -1).view(first.shape[0], 1, -1), second.unsqueeze(0).contiguous()

    assert work(seen_otherwise, (4, 6, 5)) == {}


@pytest.mark.parametrize(
    ("written", "in_place", "group"),
    [
        (torch.relu, torch.relu_, "activation"),
        (F.silu, lambda x: F.silu(x, inplace=True), "activation"),
        (lambda x: x.relu(), lambda x: x.relu_(), "activation"),
        (lambda x: x + x, lambda x: x.add_(x), "elementwise"),
        (lambda x: x * 2, lambda x: x.mul_(2), "elementwise"),
    ],
    ids=["torch.relu", "F.silu", "relu", "add", "mul"],
)
def test_an_operator_in_place_is_the_same_operator(written, in_place, group):
    expected = {group: OpCosts(1, 0, 4 * 6 * 5)}

    assert work(written, (4, 6, 5)) == work(in_place, (4, 6, 5)) == expected


@pytest.mark.parametrize(
    "makes",
    [
        lambda x: x + torch.arange(5),
        lambda x: x + torch.zeros(5),
        lambda x: x + torch.ones(5, dtype=x.dtype, device=x.device),
        lambda x: x + torch.full((5,), 2.0),
        lambda x: x @ torch.eye(5),
    ],
    ids="arange zeros ones full eye".split(),
)
def test_a_network_may_make_tensors_on_its_way(makes):
    copy = work(makes, (4, 6, 5))["copy"]

    assert (copy.calls, copy.macs) == (1, 0)


# --- arguments by name ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by_name", "by_place", "shapes"),
    [
        (
            lambda x, mean, variance, w, b: F.batch_norm(
                input=x, running_mean=mean, running_var=variance, weight=w, bias=b
            ),
            F.batch_norm,
            [(4,)] * 4,
        ),
        (
            lambda x, mean, variance: F.batch_norm(x, mean, variance, training=False),
            F.batch_norm,
            [(4,)] * 2,
        ),
        (
            lambda x, w: F.layer_norm(input=x, normalized_shape=(5,), weight=w),
            lambda x, w: F.layer_norm(x, (5,), w),
            [(5,)],
        ),
        (
            lambda x, w: F.group_norm(weight=w, input=x, num_groups=2),
            lambda x, w: F.group_norm(x, 2, w),
            [(4,)],
        ),
        (lambda x: F.relu(input=x, inplace=True), F.relu, []),
        (lambda x: F.softmax(input=x, dim=-1), lambda x: F.softmax(x, -1), []),
    ],
    ids=["batch_norm", "batch_norm without weight", "layer_norm", "group_norm", "relu", "softmax"],
)
def test_an_argument_by_name_is_the_same_argument(by_name, by_place, shapes):
    assert work(by_name, (4, 6, 5), *shapes) == work(by_place, (4, 6, 5), *shapes)


@pytest.mark.parametrize(
    ("by_name", "by_place", "shapes"),
    [
        (lambda x, w: F.linear(x, weight=w), F.linear, [(7, 5)]),
        (lambda x, w: F.linear(input=x, weight=w), F.linear, [(7, 5)]),
        (lambda x, w: F.conv2d(x, weight=w), F.conv2d, [(8, 4, 3, 3)]),
        (lambda x, w: F.conv2d(input=x, weight=w), F.conv2d, [(8, 4, 3, 3)]),
        (
            lambda x, k, v: F.scaled_dot_product_attention(query=x, key=k, value=v),
            F.scaled_dot_product_attention,
            [(1, 4, 9, 5), (1, 4, 9, 3)],
        ),
        (lambda x, m: torch.matmul(x, other=m), torch.matmul, [(5, 7)]),
        (lambda x, m: torch.bmm(x[0], mat2=m), lambda x, m: torch.bmm(x[0], m), [(4, 5, 7)]),
        (lambda x, m: torch.mm(x[0, 0], mat2=m), lambda x, m: torch.mm(x[0, 0], m), [(5, 7)]),
        (
            lambda x, m, b: torch.addmm(b, mat1=x[0, 0], mat2=m),
            lambda x, m, b: torch.addmm(b, x[0, 0], m),
            [(5, 7), (7,)],
        ),
        (lambda x, y: torch.add(x, other=y), torch.add, [(1, 4, 6, 5)]),
        (lambda x: torch.exp(input=x), torch.exp, []),
        (lambda x: F.gelu(input=x), F.gelu, []),
    ],
    ids="linear linear-input conv2d conv2d-input attention matmul bmm mm addmm add exp gelu".split(),
)
def test_an_argument_by_name_of_an_operator_in_c_is_the_same_argument(by_name, by_place, shapes):
    assert work(by_name, (4, 6, 5), *shapes) == work(by_place, (4, 6, 5), *shapes)


# --- the scope of a linear layer ------------------------------------------------------------------


def test_a_linear_layer_belongs_to_the_mlp_or_the_split_that_it_stands_in():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.split = nn.Linear(5, 4)
            self.block = nn.ModuleDict({"mlp": nn.Sequential(nn.Linear(4, 9), nn.GELU(), nn.Linear(9, 4))})
            self.project = nn.Linear(4, 3)

        def forward(self, x):
            return self.project(self.block["mlp"](self.split(x)))

    rows = 2 * 6
    _, found, _ = trace_costs(Tokens, FeatureShape(2, 6, 5))

    assert found["linear split"] == OpCosts(1, rows * 5 * 4, rows * 4)
    assert found["linear mlp"] == OpCosts(2, 2 * rows * 4 * 9, rows * (9 + 4))
    assert found["linear"] == OpCosts(1, rows * 4 * 3, rows * 3)


def test_a_scope_ends_with_its_module():
    def build():
        mlp = nn.Sequential()
        mlp.add_module("mlp", nn.Linear(5, 5))
        return nn.Sequential(nn.Linear(5, 5), mlp, nn.Linear(5, 5), mlp, nn.Linear(5, 5))

    _, found, _ = trace_costs(build, FeatureShape(1, 1, 5))

    assert {group: amount.calls for group, amount in found.items()} == {"linear": 3, "linear mlp": 2}


# --- on paper -------------------------------------------------------------------------------------

EVERYTHING = Architecture(
    image=Image(channels=3, height=32, width=24),
    classes=10,
    stem=T2TStem(channels=16, kernels=(7, 3), strides=(4, 2), token_channels=8, features=5),
    stages=(
        ConvStage(channels=16, depth=1),
        MHSAStage(channels=16, depth=1),
        MHSAStage(channels=16, depth=1, position="article"),
        TokenTransformerStage(channels=16, depth=1, position="sinusoid"),
        TokenTransformerStage(channels=16, depth=1, class_token=True),
    ),
)


def test_every_parameter_and_every_buffer_is_on_paper():
    module, _, _ = trace_costs(EVERYTHING.build, EVERYTHING.image.shape)

    tensors = [*module.parameters(), *module.buffers()]
    assert tensors
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_the_parameters_on_paper_are_those_of_the_network():
    module, _, _ = trace_costs(EVERYTHING.build, EVERYTHING.image.shape)

    on_paper, built = (
        {name: (p.shape, p.requires_grad) for name, p in network.named_parameters()}
        for network in (module, EVERYTHING.build())
    )
    assert on_paper == built


def test_counting_leaves_the_random_state_as_it_was():
    torch.manual_seed(3)
    before = torch.get_rng_state()

    trace_costs(EVERYTHING.build, EVERYTHING.image.shape)

    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_that_no_machine_holds_is_counted():
    """400 TB of weights."""
    width = 10**7
    _, found, _ = trace_costs(lambda: nn.Linear(width, width), FeatureShape(1, 1, width))

    assert found == {"linear": OpCosts(1, width * width, width)}


def test_a_network_is_counted_as_it_runs_behind_its_training():
    assert (
        trace_costs(lambda: nn.BatchNorm2d(4).train(), FeatureShape(4, 6, 5))[1]["batch norm"].macs == 2 * 120
    )


def test_a_layer_that_was_frozen_is_frozen_on_paper():
    module, _, _ = trace_costs(
        lambda: nn.Linear(5, 5).requires_grad_(requires_grad=False), FeatureShape(1, 1, 5)
    )

    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_an_axis_that_is_added_in_place_is_added_on_paper():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4).unsqueeze_(1).unsqueeze_(2))

        def forward(self, x):
            return x * self.scale

    module, found, _ = trace_costs(Scaled, FeatureShape(4, 6, 5))

    assert module.scale.shape == (4, 1, 1)
    assert found == {"elementwise": OpCosts(1, 0, 4 * 6 * 5)}


def test_a_forward_without_gradients_is_counted():
    def frozen(x, weight):
        with torch.no_grad():
            return F.linear(x, weight)

    assert work(frozen, (4, 6, 5), (7, 5)) == work(F.linear, (4, 6, 5), (7, 5))


# --- shapes that are told without torch -----------------------------------------------------------


def by_itself(function):
    return lambda shape: (function, [shape])


def with_its_like(function):
    return lambda shape: (function, [shape, shape])


def with_one_row(function):
    return lambda shape: (function, [shape, (1, *shape[1:-1], 1)])


def normed(shape):
    return F.batch_norm, [shape, (shape[1],), (shape[1],)]


BOTH = ("add", "div", "mul", "sub")
PLAIN = {
    "relu": by_itself(torch.relu),
    "silu": by_itself(F.silu),
    "gelu": by_itself(F.gelu),
    "exp": by_itself(torch.exp),
    "square": by_itself(torch.square),
    "sqrt": by_itself(torch.sqrt),
    "rsqrt": by_itself(torch.rsqrt),
    "dropout": by_itself(lambda x: F.dropout(x, training=False)),
    "batch_norm": normed,
    "layer_norm": by_itself(lambda x: F.layer_norm(x, x.shape[-1:])),
    "group_norm": by_itself(lambda x: F.group_norm(x, 1)),
    **{name: with_its_like(getattr(torch, name)) for name in BOTH},
    **{f"{name} by broadcasting": with_one_row(getattr(torch, name)) for name in BOTH},
    **{
        f"{name} the other way": lambda shape, name=name: (getattr(torch, name), [(shape[-1],), shape])
        for name in BOTH
    },
    **{f"{name} a number": by_itself(lambda x, name=name: getattr(x, name)(2)) for name in BOTH},
    "linear": lambda shape: (F.linear, [shape, (7, shape[-1])]),
    "conv2d": lambda shape: (
        lambda x, w: F.conv2d(x, w, None, (2, 1), (1, 3), (1, 2), 1),
        [shape, (7, shape[1], 2, 3)],
    ),
    "scaled_dot_product_attention": lambda shape: (
        F.scaled_dot_product_attention,
        [shape, (*shape[:-2], 9, shape[-1]), (*shape[:-2], 9, 3)],
    ),
}
shapes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(2, 5))


def test_every_plain_operator_is_below():
    assert PLAIN.keys() >= SAME_SHAPE | {"linear", "scaled_dot_product_attention"}


@pytest.mark.parametrize("operator", PLAIN)
def test_the_shape_on_paper_is_the_shape_that_torch_returns(operator):
    @settings(max_examples=15, deadline=None, derandomize=True)
    @given(shapes)
    def is_the_shape(shape):
        function, needed = PLAIN[operator](shape)
        computed = function(*(torch.ones(size) for size in needed))
        with Recorder():
            on_paper = function(*(torch.ones(size, device="meta") for size in needed))

        assert on_paper.shape == computed.shape
        assert on_paper.device.type == "meta"

    is_the_shape()


# --- against fvcore's trace -----------------------------------------------------------------------


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    channels=st.sampled_from([2, 4, 6]),
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3),
    groups=st.sampled_from([1, 2]),
)
def test_any_convolution_costs_what_the_trace_of_it_does(channels, size, kernel, stride, groups):
    build = partial(nn.Conv2d, channels, 8, kernel, stride, groups=groups)
    shape = FeatureShape(channels, *size)

    _, found, _ = trace_costs(build, shape)

    assert sum(group.macs for group in found.values()) == traced_macs(build(), shape)


# --- what has no price ----------------------------------------------------------------------------

UNCOUNTED = {
    "cdist": lambda x: torch.cdist(x.flatten(2), x.flatten(2)),
    "matrix_exp": torch.linalg.matrix_exp,
    "fft2": torch.fft.fft2,
    "rfft2": torch.fft.rfft2,
    "baddbmm": lambda x: torch.baddbmm(x[0], x[0], x[0]),
    "einsum": lambda x: torch.einsum("bchw,bdhw->bcd", x, x),
    "cumsum": lambda x: x.cumsum(dim=-1),
    "sort": lambda x: x.sort(dim=-1),
    "bilinear": lambda x: F.bilinear(x, x, x[0]),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2),
}


@pytest.mark.parametrize("name", UNCOUNTED)
def test_an_operator_without_a_counter_is_refused_by_name(name):
    with pytest.raises(UncountedOperationError) as raised:
        work(UNCOUNTED[name], (4, 4, 4))

    (line,) = raised.value.lines()
    assert line.startswith("no MAC counter for torch.")
    assert f"{name}: the total would be too low" in line
    assert "op_counters.py" in line


def test_a_batch_norm_whose_arguments_stand_in_another_order_is_refused_by_name():
    def normed(x, weight, bias, mean, variance):
        return torch.batch_norm(x, weight, bias, mean, variance, False, 0.1, 1e-5, False)

    with pytest.raises(UncountedOperationError, match=r"no MAC counter for torch\.batch_norm: "):
        work(normed, (4, 6, 5), *[(4,)] * 4)


def test_every_operator_without_a_counter_is_named_at_once():
    with pytest.raises(UncountedOperationError, match=r"torch\.Tensor\.cumprod, torch\.Tensor\.cumsum: "):
        work(lambda x: F.relu(x.cumsum(dim=-1)).cumprod(dim=-1).cumsum(dim=-1), (2, 4, 4))


def test_no_counted_operator_is_negligible_too():
    assert not HANDLES.keys() & NEGLIGIBLE.keys()
    assert not SHAPE_ONLY & (HANDLES.keys() | NEGLIGIBLE.keys())
