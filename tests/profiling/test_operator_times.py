"""Every distinct call is timed once, alone, with tensors like those that it has inside the network."""

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from examples import STAGES, STEMS, one_of_each
from profiling_examples import needs_gpu
from torch.overrides import TorchFunctionMode

from archsearch.architecture import Architecture, Image
from archsearch.counting.meta_trace import meta_trace
from archsearch.counting.op_counters import HANDLES, NEGLIGIBLE, SHAPE_ONLY
from archsearch.profiling import conditions_of, operator_times
from archsearch.profiling.operator_times import (
    ASKS,
    CALL_GROUPS,
    Call,
    OperatorTable,
    Times,
    Transcript,
    materialize,
    time_call,
)
from archsearch.shapes import FeatureShape
from archsearch.space import load_space
from archsearch.stages import STAGE_KINDS, STEM_KINDS, SpatialMixer

CPU = conditions_of("cpu")
SHAPE = FeatureShape(4, 6, 5)
SPACES = Path(__file__).parents[2] / "spaces"
SMALL = [load_space(path) for path in sorted(SPACES.glob("*.yaml"))]
SMALL = [space for space in SMALL if space.image.shape.tokens <= 32 * 32]


class Function(SpatialMixer):
    """A network that is one function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def network_of(function):
    """What a table asks of an architecture, for a network that is ``function``."""
    return SimpleNamespace(build=lambda: Function(function), image=SimpleNamespace(shape=SHAPE))


def calls_of(function, shape=SHAPE):
    """The calls of ``function(x)``, with their groups."""
    transcript = Transcript()
    meta_trace(lambda: Function(function), shape, transcript)
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

    monkeypatch.setattr(operator_times, "time_call", by_its_name)
    return keys


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

    assert call.key == "relu(float32[1, 2, 3]/[0, 3, 1], [4, 5.0], inplace=True)"


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

    first, again = (table.times(network_of(twice)) for _ in range(2))

    relu, add = len("relu"), len("add")
    assert first == again == Times({"activation": 2 * relu, "elementwise": add}, 3)
    assert len(timed) == len(table.ms) == 2


def test_a_call_that_is_in_the_table_is_not_timed(timed):
    ((_, call),) = calls_of(F.relu)
    table = OperatorTable(CPU, {call.key: 0.25})

    assert table.times(network_of(F.relu)) == Times({"activation": 0.25}, 1)
    assert timed == []


def test_a_batch_is_timed_as_a_whole(timed):
    OperatorTable(replace(CPU, batch_size=16)).times(network_of(torch.relu))

    assert timed == ["relu(float32[16, 4, 6, 5]/[120, 30, 5, 1])"]


def test_a_network_of_no_calls_takes_no_time(timed):
    assert OperatorTable(CPU).times(network_of(lambda x: x)) == Times({}, 0)


# --- memory order ---------------------------------------------------------------------------------


class Witness(TorchFunctionMode):
    """The keys of the calls of a pass with real numbers."""

    def __init__(self):
        super().__init__()
        self.keys = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = func.__name__ if func.__name__.endswith("__") else func.__name__.removesuffix("_")
        if name in HANDLES or name in NEGLIGIBLE or name in SHAPE_ONLY - ASKS:
            self.keys.append(Call(func, args, kwargs or {}).key)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("space", SMALL, ids=[space.name for space in SMALL])
def test_the_calls_on_the_meta_device_are_those_of_a_real_pass_down_to_their_strides(space):
    """Which kernel torch takes depends on the order in memory, and that on the parts before."""
    for seed in range(4):
        architecture = space.draw(seed)
        image = architecture.image.shape
        images = torch.zeros(1, image.channels, image.height, image.width)
        network = architecture.build().eval()
        with torch.inference_mode(), Witness() as witness:
            network(images)
        transcript = Transcript()
        meta_trace(architecture.build, image, transcript)

        assert [call.key for _, call in transcript.calls] == witness.keys


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
    found = materialize(tensor, CPU)

    assert (found.shape, found.stride(), found.device.type) == (tensor.shape, tensor.stride(), "cpu")


def test_a_tensor_is_noise_in_the_dtype_of_the_conditions():
    found = materialize(on_paper(64, 64), replace(CPU, dtype="bfloat16"))

    assert found.dtype == torch.bfloat16
    assert 0.9 < found.float().std() < 1.1


def test_an_expanded_tensor_is_noise_too():
    torch.use_deterministic_algorithms(True)  # which fills memory that nobody has written with NaN
    try:
        found = materialize(on_paper(1, 4).expand(3, 4), CPU)
    finally:
        torch.use_deterministic_algorithms(False)

    assert found.isfinite().all()


def test_channels_come_last_in_maps_and_nowhere_else():
    conditions = replace(CPU, memory_format="channels_last")

    assert materialize(on_paper(2, 3, 4, 5), conditions).stride() == (60, 1, 15, 3)
    assert materialize(on_paper(2, 3, 4), conditions).stride() == (12, 4, 1)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool])
def test_an_index_points_to_the_first_place(dtype):
    found = materialize(on_paper(3, dtype=dtype), CPU)

    assert torch.equal(found, torch.zeros(3, dtype=dtype))


def test_what_is_no_tensor_stays_as_it_is():
    assert materialize((1, None, "mean", [2.5, slice(3)]), CPU) == (1, None, "mean", [2.5, slice(3)])


def test_tensors_in_a_list_are_made_too():
    (found,) = materialize([on_paper(2, 3)], CPU)

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

    assert all(time_call(call, CPU) > 0 for _, call in calls_of(function))


def test_a_replay_keeps_no_gradients():
    modes = []
    time_call(Call(lambda: modes.append(torch.is_inference_mode_enabled()), (), {}), CPU)

    assert set(modes) == {True}
    assert len(modes) >= 1 + 1 + operator_times.MIN_REPEATS


def test_a_replay_leaves_the_random_numbers_as_they_were():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    time_call(Call(F.relu, (on_paper(2, 3),), {}), CPU)

    assert torch.equal(torch.get_rng_state(), before)


def test_more_work_takes_more_time():
    few, many = (time_call(Call(torch.mm, (on_paper(n, n), on_paper(n, n)), {}), CPU) for n in (16, 512))

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

    found = OperatorTable(conditions).times(space.draw(seed=0))

    assert found.by_group.keys() <= set(CALL_GROUPS)
    assert all(ms > 0 for ms in found.by_group.values())
    assert found.calls > len(found.by_group)


@pytest.mark.usefixtures("timed")
def test_every_kind_can_be_transcribed():
    kinds = set()
    for stem, stage in itertools.product(one_of_each(STEMS).values(), one_of_each(STAGES).values()):
        image = Image(channels=3, height=16, width=16)
        architecture = Architecture(image=image, classes=10, stem=stem, stages=(stage,))
        kinds |= {part.kind for _, part in architecture.parts}
        assert OperatorTable(CPU).times(architecture).calls > 0

    assert kinds == STEM_KINDS.keys() | STAGE_KINDS.keys()


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("mode", ["eager", "cuda_graph"])
def test_a_gpu_replays_every_call_of_a_network(mode):
    (hybrid,) = (space for space in SMALL if space.name == "hybrid")
    conditions = conditions_of("cuda:0", batch_size=8, mode=mode)

    found = OperatorTable(conditions).times(hybrid.draw(seed=0))

    assert found.by_group.keys() <= set(CALL_GROUPS)
    assert all(ms >= 0 for ms in found.by_group.values())
    assert sum(found.by_group.values()) > 0


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("mode", ["eager", "cuda_graph"])
def test_more_work_takes_a_gpu_more_time(mode):
    conditions = conditions_of("cuda:0", mode=mode)
    few, many = (
        time_call(Call(torch.mm, (on_paper(n, n), on_paper(n, n)), {}), conditions) for n in (128, 8_192)
    )

    assert many > 10 * few > 0
