"""Every distinct call is timed once, alone, with tensors like those that it has inside the network."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archsearch.counting.operators import pass_on_paper
from archsearch.profiling import conditions_of, operator_times
from archsearch.profiling.operator_times import (
    CALL_GROUPS,
    Call,
    OperatorTable,
    Times,
    Transcript,
    real,
    replayed,
)
from archsearch.profiling.predictor import network_times, part_times
from archsearch.shapes import FeatureShape
from archsearch.space import load_space
from archsearch.stages import STAGE_KINDS, STEM_KINDS, ConvStage, MHSAStage, TokenTransformerStage

CPU = conditions_of("cpu")
SHAPE = FeatureShape(4, 6, 5)
SPACES = Path(__file__).parents[2] / "spaces"
SMALL = [load_space(path) for path in sorted(SPACES.glob("*.yaml"))]
SMALL = [space for space in SMALL if space.image.shape.tokens <= 32 * 32]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


class Function(nn.Module):
    """A network that is one function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def calls_of(function, shape=SHAPE):
    """The calls of ``function(x)``, with their groups."""
    transcript = Transcript()
    pass_on_paper(lambda: Function(function), shape, transcript)
    return transcript.calls


def on_paper(*shape, **kwargs):
    return torch.empty(*shape, device="meta", **kwargs)


@pytest.fixture
def timed(monkeypatch):
    """The keys of the calls that were timed; each takes a millisecond for each letter of its name."""
    keys = []

    def by_its_name(call, conditions):
        keys.append(call.key)
        return float(len(call.func.__name__))

    monkeypatch.setattr(operator_times, "replayed", by_its_name)
    return keys


# --- arithmetic -----------------------------------------------------------------------------------


def test_times_add_up_by_group():
    both = Times({"linear": 1.0, "pool": 2.0}, 3) + Times({"pool": 0.5, "copy": 4.0}, 2)

    assert both == Times({"linear": 1.0, "pool": 2.5, "copy": 4.0}, 5)


def test_times_are_repeated_and_taken_away():
    two, one = Times({"linear": 5.0, "pool": 2.0}, 4), Times({"linear": 3.0}, 1)

    assert (two - one) * 3 == Times({"linear": 6.0, "pool": 6.0}, 9)
    assert two - two == Times({"linear": 0.0, "pool": 0.0}, 0)


# --- keys -----------------------------------------------------------------------------------------


MAP = (1, 4, 6, 5)
SOFTMAX = Call(F.softmax, (on_paper(*MAP), 1), {})
OTHERS = {
    "operator": Call(F.log_softmax, (on_paper(*MAP), 1), {}),
    "shape": Call(F.softmax, (on_paper(1, 4, 5, 6), 1), {}),
    "rank": Call(F.softmax, (on_paper(4, 6, 5), 1), {}),
    "strides": Call(F.softmax, (on_paper(1, 4, 5, 6).transpose(2, 3), 1), {}),
    "setting": Call(F.softmax, (on_paper(*MAP), 2), {}),
    "keyword": Call(F.softmax, (on_paper(*MAP), 1), {"dtype": torch.bfloat16}),
    "another tensor": Call(F.softmax, (on_paper(*MAP), on_paper(1)), {}),
    "tensors in a list": Call(F.softmax, ([on_paper(*MAP)], 1), {}),
}


def test_a_key_is_the_operator_its_tensors_and_its_settings():
    call = Call(F.relu, (on_paper(1, 2, 3), [4, 5.0]), {"inplace": True})

    assert call.key == "relu(float32[1, 2, 3]/[6, 3, 1], [4, 5.0], inplace=True)"


def test_the_same_call_with_other_numbers_has_the_same_key():
    assert Call(F.softmax, (torch.ones(*MAP), 1), {}).key == SOFTMAX.key


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_what_takes_another_time_has_another_key(other):
    assert other.key != SOFTMAX.key


def test_questions_about_a_tensor_are_no_calls():
    def asking(x):
        assert (x.dim(), len(x), x.size(1), x.shape[2], x.numel()) == (4, 1, 4, 6, 120)
        return x.flatten(1)

    assert [(group, call.func.__name__) for group, call in calls_of(asking)] == [("shape", "flatten")]


def test_a_group_is_that_of_the_count():
    def mixed(x):
        return F.softmax(F.conv2d(x, x[:, :, :1, :1].expand(8, 4, 1, 1)), dim=1).mean((2, 3))

    assert [group for group, _ in calls_of(mixed)] == ["shape", "shape", "conv 1x1", "elementwise", "pool"]


# --- the table ------------------------------------------------------------------------------------


def test_each_distinct_call_is_timed_once(timed):
    table = OperatorTable(CPU)

    def twice(x):
        return F.relu(F.relu(x)) + 1

    first, again = (table.times(lambda: Function(twice), SHAPE) for _ in range(2))

    relu, add = len("relu"), len("add")
    assert first == again == Times({"activation": 2 * relu, "elementwise": add}, 3)
    assert len(timed) == len(table.ms) == 2


def test_a_call_that_is_in_the_table_is_not_timed(timed):
    ((_, call),) = calls_of(F.relu)
    table = OperatorTable(CPU, {call.key: 0.25})

    assert table.times(lambda: Function(F.relu), SHAPE) == Times({"activation": 0.25}, 1)
    assert timed == []


def test_a_batch_is_timed_as_a_whole(timed):
    OperatorTable(replace(CPU, batch_size=16)).times(lambda: Function(torch.relu), SHAPE)

    assert timed == ["relu(float32[16, 4, 6, 5]/[120, 30, 5, 1])"]


def test_a_network_of_no_calls_takes_no_time(timed):
    assert OperatorTable(CPU).times(nn.Identity, SHAPE) == Times({}, 0)


# --- blocks ---------------------------------------------------------------------------------------

DEEP = {
    "conv": ConvStage(channels=16, depth=5, stride=2),
    "mhsa": MHSAStage(channels=16, depth=5, heads=2, stride=2),
    "split": TokenTransformerStage(channels=16, depth=5, heads=2, stride=2, entry="split"),
    "direct": TokenTransformerStage(channels=4, depth=5, heads=2, entry="direct", position="sinusoid"),
    "class token": TokenTransformerStage(channels=16, depth=5, heads=2, class_token=True),
}
every_stage = pytest.mark.parametrize("stage", DEEP.values(), ids=DEEP)


@pytest.mark.parametrize("name", ["conv", "mhsa"])
@pytest.mark.usefixtures("timed")
def test_a_residual_stage_is_its_first_block_and_four_settled_ones(name):
    stage, table = DEEP[name], OperatorTable(CPU)

    def one_block(stride, arriving):
        block = stage.model_copy(update={"depth": 1, "stride": stride})
        return table.times(lambda: block.build(arriving), arriving)

    first, settled = one_block(2, SHAPE), one_block(1, stage.out_shape(SHAPE))

    assert part_times(stage, SHAPE, table, {}) == first + settled * 4


@every_stage
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.usefixtures("timed")
def test_a_stage_takes_what_all_its_calls_take(stage, depth):
    stage, table = stage.model_copy(update={"depth": depth}), OperatorTable(CPU)

    whole, summed = table.times(lambda: stage.build(SHAPE), SHAPE), part_times(stage, SHAPE, table, {})

    assert summed.calls == whole.calls
    assert {group: ms for group, ms in summed.by_group.items() if ms} == pytest.approx(whole.by_group)


@every_stage
@pytest.mark.usefixtures("timed")
def test_no_more_than_two_blocks_are_built(stage, monkeypatch):
    built, build = [], type(stage).build

    def noting(part, shape):
        built.append(part.depth)
        return build(part, shape)

    monkeypatch.setattr(type(stage), "build", noting)
    part_times(stage.model_copy(update={"depth": 200}), SHAPE, OperatorTable(CPU), {})

    assert max(built) <= 2


@every_stage
@pytest.mark.usefixtures("timed")
def test_a_deeper_stage_builds_nothing_new(stage, monkeypatch):
    table, blocks = OperatorTable(CPU), {}
    part_times(stage, SHAPE, table, blocks)
    monkeypatch.setattr(type(stage), "build", lambda *_: pytest.fail("it was built again"))

    assert part_times(stage.model_copy(update={"depth": 9}), SHAPE, table, blocks).calls > 0


# --- replays --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tensor",
    [
        on_paper(2, 3, 4),
        on_paper(2, 3, 4).transpose(1, 2),
        on_paper(2, 8, 4)[:, ::2],
        on_paper(2, 1, 4).expand(2, 3, 4),
    ],
    ids="contiguous transposed sliced expanded".split(),
)
def test_a_tensor_has_the_shape_and_the_strides_that_it_has_on_paper(tensor):
    found = real(tensor, CPU)

    assert (found.shape, found.stride(), found.device.type) == (tensor.shape, tensor.stride(), "cpu")


def test_a_tensor_is_noise_in_the_dtype_of_the_conditions():
    found = real(on_paper(64, 64), replace(CPU, dtype="bfloat16"))

    assert found.dtype == torch.bfloat16
    assert 0.9 < found.float().std() < 1.1


def test_an_expanded_tensor_is_noise_too():
    torch.use_deterministic_algorithms(True)  # which fills memory that nobody has written with NaN
    try:
        found = real(on_paper(1, 4).expand(3, 4), CPU)
    finally:
        torch.use_deterministic_algorithms(False)

    assert found.isfinite().all()


def test_channels_come_last_in_maps_and_nowhere_else():
    conditions = replace(CPU, memory_format="channels_last")

    assert real(on_paper(2, 3, 4, 5), conditions).stride() == (60, 1, 15, 3)
    assert real(on_paper(2, 3, 4), conditions).stride() == (12, 4, 1)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool])
def test_an_index_points_to_the_first_place(dtype):
    found = real(on_paper(3, dtype=dtype), CPU)

    assert torch.equal(found, torch.zeros(3, dtype=dtype))


def test_what_is_no_tensor_stays_as_it_is():
    assert real((1, None, "mean", [2.5, slice(3)]), CPU) == (1, None, "mean", [2.5, slice(3)])


def test_tensors_in_a_list_are_made_too():
    (found,) = real([on_paper(2, 3)], CPU)

    assert found.device.type == "cpu"


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[:, torch.tensor([0, 2])],
        lambda x: x[:, :, torch.arange(6), None],
        lambda x: x.expand(3, -1, -1, -1) * 2,
        lambda x: x.unfold(2, 3, 1) * 2,
        lambda x: torch.cat([x, x], dim=1),
        lambda x: x.split([1, 3], dim=1)[1].chunk(3, dim=1)[2].contiguous(),
        lambda x: F.scaled_dot_product_attention(x, x, x),
        lambda x: x.mul_(2).to(torch.float32).view(torch.Size([4, 30])),
        lambda x: x + torch.zeros(5),
    ],
    ids="index arange expanded unfold cat split attention in-place zeros".split(),
)
def test_a_call_can_be_replayed_with_whatever_arguments_it_has(function, monkeypatch):
    monkeypatch.setattr(operator_times, "SECONDS", 0.0)

    assert all(replayed(call, CPU) > 0 for _, call in calls_of(function))


def test_a_replay_keeps_no_gradients():
    modes = []
    replayed(Call(lambda: modes.append(torch.is_inference_mode_enabled()), (), {}), CPU)

    assert set(modes) == {True}
    assert len(modes) >= 1 + 1 + operator_times.MIN_REPEATS


def test_a_replay_leaves_the_random_numbers_as_they_were():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    replayed(Call(F.relu, (on_paper(2, 3),), {}), CPU)

    assert torch.equal(torch.get_rng_state(), before)


def test_more_work_takes_more_time():
    few, many = (replayed(Call(torch.mm, (on_paper(n, n), on_paper(n, n)), {}), CPU) for n in (16, 512))

    # 32,768 times the work.
    assert many > 10 * few > 0


# --- the shipped spaces ---------------------------------------------------------------------------


@pytest.mark.parametrize("space", SMALL, ids=lambda space: space.name)
@pytest.mark.parametrize(
    "conditions",
    [CPU, replace(CPU, batch_size=2, dtype="bfloat16", memory_format="channels_last")],
    ids=["float32", "bfloat16"],
)
def test_a_point_of_a_shipped_space_can_be_transcribed_and_replayed(space, conditions, monkeypatch):
    monkeypatch.setattr(operator_times, "SECONDS", 0.0)

    found = network_times(space.draw(seed=0), OperatorTable(conditions), {})

    assert found.by_group.keys() <= set(CALL_GROUPS)
    assert all(ms > 0 for ms in found.by_group.values())
    assert found.calls > len(found.by_group)


@pytest.mark.usefixtures("timed")
def test_every_kind_of_a_shipped_space_can_be_transcribed():
    kinds = set()
    for space in SMALL:
        for seed in range(4):
            architecture = space.draw(seed)
            kinds |= {part.kind for _, part in architecture.parts}
            assert network_times(architecture, OperatorTable(CPU), {}).calls > 0

    assert kinds == STEM_KINDS.keys() | STAGE_KINDS.keys()


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("mode", ["eager", "cuda_graph"])
def test_a_gpu_replays_every_call_of_a_network(mode):
    (hybrid,) = (space for space in SMALL if space.name == "hybrid")
    conditions = conditions_of("cuda:0", batch_size=8, mode=mode)

    found = network_times(hybrid.draw(seed=0), OperatorTable(conditions), {})

    assert found.by_group.keys() <= set(CALL_GROUPS)
    assert all(ms >= 0 for ms in found.by_group.values())
    assert sum(found.by_group.values()) > 0


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("mode", ["eager", "cuda_graph"])
def test_more_work_takes_a_gpu_more_time(mode):
    conditions = conditions_of("cuda:0", mode=mode)
    few, many = (
        replayed(Call(torch.mm, (on_paper(n, n), on_paper(n, n)), {}), conditions) for n in (128, 8_192)
    )

    assert many > 10 * few > 0
