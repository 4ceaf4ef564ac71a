"""A training on the disk: it comes back bit for bit, or not at all."""

import os
import resource
import signal

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from archsearch.data import load_data
from archsearch.errors import EnvironmentFaultError
from archsearch.proxy import Recipe, Training
from archsearch.shapes import FeatureShape
from archsearch.storage import checkpoint as module
from archsearch.storage.checkpoint import Checkpoint, checksum

OWNER = "0123456789ab:ba9876543210"
RUNGS = [{"share": 0.1, "samples": 64, "top1": 0.1 + 0.2, "val_loss": 2.3, "train_loss": 1e-300}]
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)


def of_dtype(dtype):
    """Two rows of every bit pattern, as far as a byte goes."""
    patterns = torch.arange(16 * dtype.itemsize, dtype=torch.int64).remainder(2).to(torch.uint8)
    if dtype != torch.bool:
        patterns = torch.arange(16 * dtype.itemsize, dtype=torch.int64).mul(37).to(torch.uint8)
    return patterns.view(dtype).reshape(2, 8)


def bits(tensor):
    return tensor.dtype, tuple(tensor.shape), tensor.reshape(-1).view(torch.uint8).tolist()


def same(one, other):
    return one.keys() == other.keys() and all(bits(one[name]) == bits(other[name]) for name in one)


def flipped(content, place):
    """One bit of that byte is another."""
    return content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]


STATE = {"network.weight": of_dtype(torch.float32), "random.cpu": of_dtype(torch.uint8)}


@pytest.fixture
def empty(tmp_path):
    """A checkpoint that is not there yet."""
    return Checkpoint(tmp_path / "checkpoints" / "a.safetensors", OWNER)


@pytest.fixture
def saved(empty):
    empty.save(STATE, RUNGS)
    return empty


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_bit_of_every_type_comes_back(empty, dtype):
    """A not-a-number with its payload among them."""
    state = {"some": of_dtype(dtype), "a scalar": of_dtype(dtype)[0, 0], "none": of_dtype(dtype)[:0]}
    empty.save(state, [])
    tensors, _ = empty.load()

    assert same(tensors, state)


def test_tensors_that_are_not_contiguous_come_back_as_they_were(empty):
    state = {
        "turned": of_dtype(torch.float32).T,
        "last": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
    }
    empty.save(state, [])
    tensors, _ = empty.load()

    assert all(torch.equal(tensors[name], state[name]) for name in state)


def test_the_readings_come_back_to_the_last_digit(saved):
    assert saved.load()[1] == RUNGS


def test_the_state_of_a_real_training_comes_back(empty):
    """With an average, moments, and a batch norm that counts its batches."""
    digits = load_data("digits", FeatureShape(1, 8, 8), 10, limit=64)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))
    training = Training(network, digits, Recipe(samples=64, ema=0.5), torch.device("cpu"))
    training.advance(1)
    empty.save(training.state(), RUNGS)

    assert same(empty.load()[0], training.state())
    assert {tensor.dtype for tensor in training.state().values()} <= set(DTYPES)


def test_nothing_saved_is_none(empty):
    assert empty.load() is None


def test_a_folder_in_its_place_is_none(empty):
    empty.path.mkdir(parents=True)

    assert empty.load() is None


def test_what_belongs_to_another_training_is_none(saved):
    assert Checkpoint(saved.path, "0123456789ab:another").load() is None


def test_what_another_torch_wrote_is_none(saved, monkeypatch):
    monkeypatch.setattr(module.torch, "__version__", "1.0.0")

    assert saved.load() is None


def test_every_truncation_is_none(saved):
    whole = saved.path.read_bytes()
    for length in range(len(whole)):
        saved.path.write_bytes(whole[:length])
        assert saved.load() is None


def test_a_flipped_bit_is_none_wherever_it_is(saved):
    """In the header's length, names, types, shapes, offsets, metadata, padding and tensors alike."""
    whole = saved.path.read_bytes()
    for place in range(len(whole)):
        saved.path.write_bytes(flipped(whole, place))
        assert saved.load() is None, place


def test_a_flipped_bit_of_a_tensor_is_none(saved):
    whole = saved.path.read_bytes()
    saved.path.write_bytes(flipped(whole, len(whole) - 1))

    assert saved.load() is None


@pytest.mark.parametrize("note", ["owner", "torch", "rungs", "checksum"])
def test_a_changed_note_is_none(saved, note):
    tensors, notes = load_file(saved.path), notes_of(saved.path)
    changed = {**notes, note: notes[note].replace("0", "1")}
    assert changed != notes
    save_file(tensors, saved.path, changed)

    assert saved.load() is None


def test_a_missing_or_renamed_or_retyped_tensor_is_none(saved):
    tensors, notes = load_file(saved.path), notes_of(saved.path)
    weight = tensors["network.weight"]
    for changed in (
        {"random.cpu": tensors["random.cpu"]},
        {**tensors, "more": torch.zeros(1)},
        {"network.bias": weight, "random.cpu": tensors["random.cpu"]},
        {**tensors, "network.weight": weight.view(torch.int32)},
        {**tensors, "network.weight": weight.reshape(8, 2)},
    ):
        save_file(changed, saved.path, notes)
        assert saved.load() is None


def test_other_files_are_none(saved):
    """Weights without a word about them, as ``weights/`` has them; text; nothing."""
    save_file(STATE, saved.path)
    assert saved.load() is None
    save_file(STATE, saved.path, {"format": "pt"})
    assert saved.load() is None
    for content in (b"", b"{}", b"\0" * 100, b"\xff" * 100):
        saved.path.write_bytes(content)
        assert saved.load() is None


def notes_of(path):
    with module.safe_open(path, framework="pt") as file:
        return file.metadata()


def test_the_checksum_is_of_tensors_and_notes(saved):
    notes = notes_of(saved.path)
    told = notes.pop("checksum")

    assert told == checksum(STATE, notes)


def test_a_later_checkpoint_takes_the_place_of_an_earlier_one(saved):
    later = {name: tensor.flip(0) for name, tensor in STATE.items()}
    saved.save(later, RUNGS * 2)
    tensors, rungs = saved.load()

    assert same(tensors, later)
    assert rungs == RUNGS * 2
    assert [path.name for path in saved.path.parent.iterdir()] == ["a.safetensors"]


def test_a_checkpoint_that_breaks_off_leaves_the_earlier_one(saved, monkeypatch):
    def breaks(tensors, path, notes):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_file", breaks)
    with pytest.raises(KeyboardInterrupt):
        saved.save({}, [])

    assert same(saved.load()[0], STATE)
    assert [path.name for path in saved.path.parent.iterdir()] == ["a.safetensors"]


def in_a_child(work):
    """How a child process ends that does this."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(work() or 0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_kill_while_a_checkpoint_is_written_leaves_the_earlier_one(saved, monkeypatch):
    def killed(tensors, path, notes):
        path.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(module, "save_file", killed)

    assert in_a_child(lambda: saved.save({}, [])) == -signal.SIGKILL
    assert same(saved.load()[0], STATE)
    assert saved.load()[1] == RUNGS


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_full_disk_is_a_fault_of_the_environment_and_leaves_the_earlier_one(saved):
    def full():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            saved.save({"large": torch.zeros(10_000)}, [])
        except EnvironmentFaultError as error:
            return 42 if "what is recorded is kept" in str(error) else 2

    assert in_a_child(full) == 42
    assert same(saved.load()[0], STATE)
    assert [path.name for path in saved.path.parent.iterdir()] == ["a.safetensors"]


def test_a_folder_that_takes_no_files_is_a_fault_of_the_environment(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(EnvironmentFaultError, match="what is recorded is kept"):
        Checkpoint(tmp_path / "file" / "a.safetensors", OWNER).save(STATE, [])
