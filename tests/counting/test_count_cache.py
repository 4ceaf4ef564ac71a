"""A count is computed once for all processes; whatever happens to its file, it is never a wrong count."""

import importlib.util
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsearch.counting import cache, macs
from archsearch.counting.cache import CountCache, checked, memory_in, remembered
from archsearch.shapes import FeatureShape
from archsearch.stages import ConvStage

THREE = {"one": [1, 2, {"linear": [1, 2, 3]}], "two": [4, 5, {}], "three": [6, 7, {"conv 1x1": [8, 9, 10]}]}
# The module alone: a helper process needs no torch.
IMPORT = f"import sys; sys.path.append({str(Path(cache.__file__).parent)!r}); import cache; "


class Counting:
    """Something to compute, that knows how often it was."""

    def __init__(self, value):
        self.value = value
        self.times = 0

    def __call__(self):
        self.times += 1
        return self.value


def as_a_new_process():
    """Forget what this process remembers."""
    for function in (memory_in, macs.count_part, macs.count_built, macs.count_head):
        function.cache_clear()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of the cache, which is not there yet."""
    monkeypatch.setenv("ARCHSEARCH_CACHE", str(tmp_path / "cache"))
    as_a_new_process()
    yield tmp_path / "cache"
    as_a_new_process()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "counts.jsonl"


def written(counts, file):
    """The lines of some counts, as they stand in the file."""
    file.unlink(missing_ok=True)
    memory = CountCache(file)
    for key, value in counts.items():
        memory.add(key, value)
    return file.read_bytes()


def read(file):
    memory = CountCache(file)
    memory.read()
    return memory.counts


# --- once -----------------------------------------------------------------------------------------


def test_a_count_is_computed_once_in_a_process():
    compute = Counting([1, 2, {}])

    assert remembered("a part", compute) == remembered("a part", compute) == [1, 2, {}]
    assert compute.times == 1


def test_a_count_is_computed_once_over_two_memories_of_one_file():
    compute = Counting([1, 2, {}])
    remembered("a part", compute)

    as_a_new_process()

    assert remembered("a part", compute) == [1, 2, {}]
    assert compute.times == 1


def test_a_count_is_computed_once_over_two_processes():
    code = f"{IMPORT} print(cache.remembered('a part', lambda: print('computed') or 7))"

    first, second = (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    )

    assert first == ["computed", "7"]
    assert second == ["7"]


def test_parts_and_blocks_are_counted_once_over_two_processes(monkeypatch):
    stage, shape = ConvStage(channels=16, depth=5, stride=2), FeatureShape(8, 9, 7)
    counted = macs.count_part(stage, shape)
    as_a_new_process()
    monkeypatch.setattr(macs, "count", lambda *_: pytest.fail("it was counted again"))

    assert macs.count_part(stage, shape) == counted
    assert macs.count_part(stage.model_copy(update={"depth": 9}), shape).macs > counted.macs


def test_a_part_behind_another_map_is_another_count():
    stage = ConvStage(channels=16, depth=1)

    small, large = (macs.count_part(stage, FeatureShape(16, size, size)).macs for size in (4, 8))

    assert large == 4 * small


def test_what_is_put_in_is_what_comes_back(file):
    written(THREE, file)

    assert read(file) == THREE


# --- damaged files --------------------------------------------------------------------------------


def test_an_empty_file_holds_nothing(file):
    file.touch()

    assert read(file) == {}


def test_a_torn_last_line_is_left_out_and_counted_again(folder):
    for key in ("one", "two"):
        remembered(key, Counting(key))
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    as_a_new_process()

    one, two = Counting("anew"), Counting("anew")

    assert (remembered("one", one), remembered("two", two)) == ("one", "anew")
    assert (one.times, two.times) == (0, 1)


def test_what_is_appended_behind_a_torn_line_is_kept(file):
    file.write_bytes(written(THREE, file)[:-5])
    CountCache(file).add("four", 4)

    assert read(file) == {"one": THREE["one"], "two": THREE["two"], "four": 4}


def test_a_line_with_the_checksum_of_another_key_is_left_out(file):
    lines = written(THREE, file)
    file.write_bytes(lines.replace(b'["two"', b'["six"'))

    assert read(file) == {"one": THREE["one"], "three": THREE["three"]}


def test_a_whole_line_of_a_key_that_nobody_asks_for_changes_no_other(folder):
    memory_in(folder).add("0" * 24, "somebody else's")
    as_a_new_process()

    assert remembered("a part", Counting("its own")) == "its own"


def test_a_file_of_garbage_is_counted_into(folder):
    remembered("a part", Counting(1))
    (file,) = folder.iterdir()
    file.write_bytes(bytes(range(256)) * 20)
    as_a_new_process()

    assert remembered("a part", Counting(2)) == 2
    as_a_new_process()
    assert remembered("a part", Counting(3)) == 2


def test_eight_zeros_are_no_line():
    assert checked(b"00000000") is None
    assert checked(b"00000000 ") is None


damages = settings(max_examples=60, deadline=None, derandomize=True)


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    return written(THREE, tmp_path_factory.mktemp("whole") / "counts.jsonl")


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged") / "counts.jsonl"


@damages
@given(data=st.data())
def test_a_flipped_byte_costs_one_count_at_most(lines, damaged, data):
    place = data.draw(st.integers(0, len(lines) - 1))
    flip = data.draw(st.integers(1, 255))
    damaged.write_bytes(lines[:place] + bytes([lines[place] ^ flip]) + lines[place + 1 :])

    kept = read(damaged)

    assert all(THREE[key] == kept[key] for key in kept)
    assert len(kept) >= len(THREE) - 1


@damages
@given(data=st.data())
def test_a_file_cut_off_anywhere_keeps_the_counts_before(lines, damaged, data):
    length = data.draw(st.integers(0, len(lines)))
    damaged.write_bytes(lines[:length])

    whole = lines[:length].count(b"]\n")
    kept = read(damaged)

    assert list(kept) in (list(THREE)[:whole], list(THREE)[: whole + 1])
    assert all(THREE[key] == kept[key] for key in kept)


@damages
@given(garbage=st.binary(max_size=200), place=st.sampled_from(["before", "behind"]))
def test_garbage_beside_the_counts_costs_none(lines, damaged, garbage, place):
    damaged.write_bytes(garbage + lines if place == "before" else lines + garbage)

    assert read(damaged) == THREE


# --- disks that take nothing ----------------------------------------------------------------------


def test_a_file_that_is_deleted_meanwhile_is_written_again(folder):
    remembered("one", Counting(1))
    (file,) = folder.iterdir()
    file.unlink()
    folder.rmdir()

    remembered("two", Counting(2))

    assert remembered("one", Counting("anew")) == 1
    assert list(read(file).values()) == [2]


def test_a_file_in_the_place_of_the_folder_costs_nothing(folder):
    folder.write_text("not a folder")
    compute = Counting(1)

    assert remembered("a part", compute) == remembered("a part", compute) == 1
    assert compute.times == 1
    assert folder.read_text() == "not a folder"


def test_a_folder_in_the_place_of_the_file_costs_nothing(folder):
    remembered("a part", Counting(1))
    (file,) = folder.iterdir()
    file.unlink()
    file.mkdir()
    as_a_new_process()

    assert remembered("a part", Counting(2)) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_costs_nothing(folder):
    folder.mkdir(mode=0o500)
    compute = Counting(1)

    assert remembered("a part", compute) == remembered("a part", compute) == 1
    assert compute.times == 1


def test_a_disk_that_is_full_costs_nothing(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "write", full)
    compute = Counting(1)

    assert remembered("a part", compute) == remembered("a part", compute) == 1
    assert compute.times == 1


def test_an_empty_name_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHSEARCH_CACHE", "")
    monkeypatch.chdir(tmp_path)
    compute = Counting(1)

    assert remembered("a part", compute) == remembered("a part", compute) == 1
    assert compute.times == 1
    assert list(tmp_path.iterdir()) == []


def test_without_a_name_it_is_the_cache_of_the_user(tmp_path, monkeypatch):
    monkeypatch.delenv("ARCHSEARCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))

    remembered("a part", Counting(1))

    assert [path.parent for path in tmp_path.rglob("*.jsonl")] == [tmp_path / "xdg" / "archsearch"]


def test_a_user_without_a_home_costs_nothing(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ARCHSEARCH_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(cache.Path, "home", homeless)

    assert remembered("a part", Counting(1)) == 1


# --- many processes, many versions ----------------------------------------------------------------

PROCESSES, EACH = 4, 200
APPEND = f"""{IMPORT}
name, file = sys.argv[1:]
memory = cache.CountCache(cache.Path(file))
print(flush=True)
sys.stdin.readline()
for number in range({EACH}):
    memory.add(name + str(number), [name * (1 + number)])
"""


def test_processes_that_append_at_the_same_time_lose_and_mix_nothing(file):
    names = "abcd"[:PROCESSES]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND, name, file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)

    expected = {f"{name}{number}": [name * (1 + number)] for name in names for number in range(EACH)}
    assert [process.returncode for process in processes] == [0] * PROCESSES
    assert read(file) == expected
    assert sum(1 for line in file.read_bytes().splitlines() if line) == PROCESSES * EACH


def test_another_fingerprint_reads_another_file(folder, monkeypatch):
    remembered("a part", Counting("of this code"))
    as_a_new_process()
    monkeypatch.setattr(cache, "fingerprint", lambda: "another")

    assert remembered("a part", Counting("of another")) == "of another"
    assert len(list(folder.iterdir())) == 2

    as_a_new_process()
    monkeypatch.undo()
    monkeypatch.setenv("ARCHSEARCH_CACHE", str(folder))
    assert remembered("a part", Counting("anew")) == "of this code"


def test_the_fingerprint_holds_the_versions_that_count(monkeypatch):
    versions = iter(["2.10", "0.1", "0.8", "2.11", "0.1", "0.8"])
    monkeypatch.setattr(cache.importlib.metadata, "version", lambda _: next(versions))

    assert cache.fingerprint.__wrapped__() != cache.fingerprint.__wrapped__()


def test_the_fingerprint_holds_the_code_that_counts(monkeypatch):
    before = cache.fingerprint.__wrapped__()
    contents = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: contents(path) + (b"#" if path.name == "conv.py" else b"")
    )

    assert cache.fingerprint.__wrapped__() != before


KIND = """
from archsearch.stages import ConvStage

class Kind(ConvStage):
    def module(self, shape):
        return super().module(shape)._replace(make=%s)

    def mixers(self, shape):
        return []
"""


def test_a_users_kind_is_counted_again_when_its_file_has_changed(tmp_path):
    path, shape = tmp_path / "kind.py", FeatureShape(8, 9, 7)

    def count_kind(make):
        path.write_text("from torch import nn\n" + KIND % make)
        spec = importlib.util.spec_from_file_location("a_users_kind", path)
        sys.modules["a_users_kind"] = module = importlib.util.module_from_spec(spec)
        exec(compile(path.read_text(), path, "exec"), vars(module))
        return macs.count_built(module.Kind(channels=8, depth=1), shape).params

    assert count_kind("lambda **_: nn.Conv2d(8, 8, 1, bias=False)") == 8 * 8
    assert count_kind("lambda **_: nn.Conv2d(8, 8, 1)") == 8 * 8 + 8


def test_a_kind_without_a_file_is_counted_and_not_kept(folder):
    space = {"ConvStage": ConvStage, "__name__": "nowhere"}
    exec("class Kind(ConvStage): pass", space)

    assert macs.count_built(space["Kind"](channels=8, depth=1), FeatureShape(8, 9, 7)).params > 0
    assert not folder.exists()


def test_a_checksum_is_that_of_zlib(file):
    CountCache(file).add("key", [1])

    assert file.read_bytes() == b'\n%08x ["key",[1]]\n' % zlib.crc32(b'["key",[1]]')
