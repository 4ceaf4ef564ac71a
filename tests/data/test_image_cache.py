import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from digit_files import GREY, png, write_folder, write_parquet
from safetensors import safe_open

from archsearch.data import image_cache, load_data, load_test
from archsearch.data.image_cache import DecodedRows, checksum, keep, load
from archsearch.data.images import EncodedImage
from archsearch.errors import DataError
from archsearch.shapes import FeatureShape

LOADER = """
import hashlib, os, signal, sys
from archsearch.data import load_data
from archsearch.shapes import FeatureShape

if sys.argv[2:]:
    setattr(os, sys.argv[2], lambda *args: os.kill(os.getpid(), signal.SIGKILL))
data = load_data(sys.argv[1], FeatureShape(1, 8, 8), 10)
print(hashlib.sha256(data.train.images.numpy().tobytes() + data.validation.images.numpy().tobytes()).hexdigest())
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHSEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def opened(monkeypatch):
    """The places of the pictures that were opened, in order."""
    places, original = [], EncodedImage.open

    def counted(picture):
        places.append(picture.place)
        return original(picture)

    monkeypatch.setattr(EncodedImage, "open", counted)
    return places


def bits(source, image=GREY):
    data, test = load_data(str(source), image, 10), load_test(str(source), image, 10)
    return [
        (split.images.numpy().tobytes(), split.labels.tolist())
        for split in (data.train, data.validation, test)
    ]


def uncached_bits(source, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("ARCHSEARCH_CACHE", "")
        return bits(source)


def start(source, *fatal) -> subprocess.Popen:
    """A process that loads ``source`` and kills itself when it calls the function ``fatal`` of ``os``."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_DATASETS_CACHE": datasets.config.HF_DATASETS_CACHE,
    }
    command = [sys.executable, "-c", LOADER, str(source), *fatal]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def rows_of(number, data="data") -> DecodedRows:
    """One row of 64 bytes for ``number`` pictures."""
    rows = np.arange(number)
    return DecodedRows(data, "version", "train", rows, rows % 10, GREY)


def drawn(number) -> torch.Tensor:
    return torch.randint(
        0, 256, (number, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


@pytest.fixture
def hub(tmp_path, parquet, monkeypatch):
    """A data set that ``datasets`` finds by name, as if it had been downloaded."""
    monkeypatch.chdir(tmp_path)
    table = datasets.load_dataset("parquet", data_files=str(parquet))
    monkeypatch.setattr("archsearch.data.huggingface._load_from_hub", lambda name: table)
    return "owner-of-digits/digits"


@pytest.mark.parametrize("kind", ["parquet", "folder", "hub"])
def test_a_second_load_decodes_nothing_and_has_the_same_bits(kind, request, opened, monkeypatch):
    source = request.getfixturevalue(kind)
    uncached = uncached_bits(source, monkeypatch)
    first = bits(source)
    opened.clear()

    assert first == uncached
    assert bits(source) == uncached
    assert opened == []


def test_a_drawing_is_drawn_once(opened):
    first = bits("procedural:texture,images=400,size=16")
    opened.clear()

    assert bits("procedural:texture,images=400,size=16") == first
    assert opened == []


def test_the_embedded_digits_are_not_kept(cache):
    bits("digits")

    assert not cache.exists()


def test_an_empty_name_of_the_cache_keeps_nothing(parquet, monkeypatch, tmp_path):
    monkeypatch.setenv("ARCHSEARCH_CACHE", "")
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    bits(parquet)

    assert set(tmp_path.iterdir()) == before


def test_kept_images_are_mapped_and_not_copied():
    wanted, images = rows_of(500_000), torch.zeros(500_000, 1, 8, 8, dtype=torch.uint8)
    keep(wanted, images)
    kept, name = load(wanted), wanted.file.name
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if name in line]

    assert torch.equal(kept, images)
    assert len(mapped) >= 1
    assert all("rw-p" in line for line in mapped)  # what is written to the tensor never reaches the file


def test_writing_to_the_tensor_leaves_the_file_alone():
    wanted, images = rows_of(100), drawn(100)
    keep(wanted, images)
    load(wanted).zero_()

    assert torch.equal(load(wanted), images)


def test_kept_images_outlive_their_file(cache):
    wanted, images = rows_of(100), drawn(100)
    keep(wanted, images)
    kept = load(wanted)
    shutil.rmtree(cache)

    assert torch.equal(kept, images)


def test_every_changed_image_of_a_folder_is_decoded_again(folder, handwriting):
    bits(folder)
    before, paths = bits(folder), sorted(folder.rglob("*.png"))
    for path in paths[::40]:  # few of them are among the 256 of the fingerprint in a large folder
        path.write_bytes(png(255 - handwriting[0][int(path.stem)]))
    after = bits(folder)

    assert after != before
    assert [labels for _, labels in after] == [labels for _, labels in before]


def test_a_picture_that_no_fingerprint_samples_is_decoded_again_when_it_changes(tmp_path, handwriting):
    images, labels = (np.concatenate([part] * 3) for part in handwriting)
    folder = write_folder(tmp_path / "many", images, labels)
    paths = sorted(folder.rglob("*.png"))
    sampled = set(np.linspace(0, len(paths) - 1, 256).astype(int).tolist())
    unseen = next(path for row, path in enumerate(paths) if row not in sampled)
    before, data = bits(folder), load_data(str(folder), GREY, 10).fingerprint
    unseen.write_bytes(png(255 - images[int(unseen.stem)]))
    after = bits(folder)

    assert load_data(str(folder), GREY, 10).fingerprint == data
    assert after != before
    assert (255 - images[int(unseen.stem)]).tobytes() in b"".join(pixels for pixels, _ in after)


def test_a_changed_parquet_file_of_the_same_name_is_decoded_again(parquet, handwriting):
    images, labels = handwriting
    before = bits(parquet)
    write_parquet(parquet, [png(255 - image) for image in images], label=labels)
    after = bits(parquet)

    assert [bytes(255 - np.frombuffer(pixels, np.uint8)) for pixels, _ in after] == [
        pixels for pixels, _ in before
    ]


def test_a_parquet_file_that_names_image_files_follows_their_changes(tmp_path, folder, handwriting):
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(folder.rglob("*.png"))
    cells = [{"bytes": None, "path": str(file)} for file in files]
    cells = pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    labels = [int(file.parent.name.removeprefix("digit")) for file in files]
    source = tmp_path / "named.parquet"
    pq.write_table(pa.table({"image": cells, "label": labels}), source)
    before = bits(source)
    files[5].write_bytes(png(255 - handwriting[0][int(files[5].stem)]))

    assert bits(source) != before


def test_each_shape_and_each_limit_has_its_own_file(parquet, cache):
    for image, limit in [(GREY, 50), (FeatureShape(1, 8, 9), 50), (FeatureShape(3, 8, 8), 50), (GREY, 51)]:
        load_data(str(parquet), image, 10, limit, limit)

    assert len(list(cache.iterdir())) == 8  # train and validation of each


def test_a_file_belongs_to_all_that_its_pixels_depend_on(monkeypatch):
    wanted = rows_of(10)
    others = [
        replace(wanted, data="other"),
        replace(wanted, version="other"),
        replace(wanted, role="test"),
        replace(wanted, rows=wanted.rows[::-1]),
        replace(wanted, image=FeatureShape(1, 8, 9)),
    ]
    files = {wanted.file, *(other.file for other in others)}
    for name, value in [("FORMAT", 0), ("PIL", type("PIL", (), {"__version__": "0"}))]:
        with monkeypatch.context() as patch:
            patch.setattr(image_cache, name, value)
            files.add(wanted.file)

    assert len(files) == 8


def test_an_unreadable_image_in_one_split_keeps_nothing_of_the_other(tmp_path, handwriting, cache):
    images, labels = handwriting
    source = tmp_path / "data"
    write_folder(source / "train", images[:200], labels[:200])
    write_folder(source / "val", images[200:], labels[200:])
    next((source / "val").rglob("*.png")).write_bytes(b"none")
    for _ in range(2):
        with pytest.raises(DataError, match="the image cannot be read: not an image that Pillow can read"):
            load_data(str(source), GREY, 10)

    assert not cache.exists()


@pytest.mark.parametrize("moment", ["fsync", "rename"])
def test_a_process_killed_while_it_writes_leaves_no_file_that_is_used(moment, parquet, cache, monkeypatch):
    uncached = uncached_bits(parquet, monkeypatch)
    killed = start(parquet, "fsync" if moment == "fsync" else "replace")
    killed.communicate()

    assert killed.returncode == -signal.SIGKILL
    assert [path.name[0] for path in cache.iterdir()] == ["."]
    assert bits(parquet) == uncached


def test_a_process_killed_at_any_time_leaves_only_whole_files(parquet, cache, monkeypatch):
    uncached = uncached_bits(parquet, monkeypatch)
    process = start(parquet)
    while not cache.exists():
        time.sleep(0.001)
    process.kill()
    process.communicate()

    assert bits(parquet) == uncached


def test_what_killed_processes_left_is_removed_after_an_hour(cache):
    cache.mkdir(parents=True)
    for name, age_s in {".1.old.safetensors": 3700, ".tmpOld": 3700, ".1.new.safetensors": 3500}.items():
        (cache / name).write_bytes(b"part")
        os.utime(cache / name, (time.time() - age_s,) * 2)
    keep(rows_of(10), drawn(10))

    assert {path.name for path in cache.iterdir()} == {".1.new.safetensors", rows_of(10).file.name}


DAMAGE = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "one bit": lambda content: content[:-100] + bytes([content[-100] ^ 1]) + content[-99:],
    "header": lambda content: content[:20] + b"\xff" + content[21:],
    "lost block": lambda content: content[:4096] + bytes(4096) + content[8192:],
    "longer": lambda content: content + b"\0",
    "another shape": lambda content: content.replace(b",1,8,8]", b",8,1,8]"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_decoded_again_and_replaced(damage, parquet, cache):
    before = bits(parquet)
    contents = {file: file.read_bytes() for file in cache.iterdir()}
    for file, content in contents.items():
        assert DAMAGE[damage](content) != content
        file.write_bytes(DAMAGE[damage](content))

    assert bits(parquet) == before
    assert {file: file.read_bytes() for file in cache.iterdir()} == contents


def test_any_flipped_bit_is_noticed():
    wanted, images = rows_of(40), drawn(40)
    keep(wanted, images)
    whole = wanted.file.read_bytes()
    chance = np.random.default_rng(0)
    for place in chance.integers(0, len(whole), 500):
        content = bytearray(whole)
        content[place] ^= 1 << int(chance.integers(8))
        wanted.file.write_bytes(content)
        found = load(wanted)

        assert found is None or torch.equal(found, images)


def test_a_checksum_notices_exchanged_blocks_and_needs_no_whole_block():
    pixels = drawn(1000).numpy()
    exchanged = np.concatenate(
        [pixels[64:128], pixels[:64], pixels[128:]]
    )  # 64 pictures of 64 bytes: one block

    assert checksum(exchanged) != checksum(pixels)
    assert len({checksum(pixels[:count]) for count in range(70)}) == 70


def test_a_cache_that_is_a_file_stops_nothing(parquet, tmp_path, monkeypatch):
    uncached = uncached_bits(parquet, monkeypatch)
    (tmp_path / "cache").write_bytes(b"")

    assert [bits(parquet), bits(parquet)] == [uncached, uncached]


@pytest.mark.parametrize("place", ["cache", "cache/images"])
def test_a_cache_that_cannot_be_written_stops_nothing(place, parquet, tmp_path, cache, monkeypatch):
    uncached = uncached_bits(parquet, monkeypatch)
    cache.mkdir(parents=True)
    (tmp_path / place).chmod(0o500)
    try:
        assert [bits(parquet), bits(parquet)] == [uncached, uncached]
    finally:
        (tmp_path / place).chmod(0o700)


def test_a_file_system_that_takes_no_folders_stops_nothing(parquet, monkeypatch):
    uncached = uncached_bits(parquet, monkeypatch)
    monkeypatch.setenv("ARCHSEARCH_CACHE", "/proc/archsearch")  # refuses even root

    assert bits(parquet) == uncached


def test_a_file_that_is_read_and_cannot_be_touched_is_used(parquet, opened, monkeypatch):
    first = bits(parquet)
    opened.clear()
    monkeypatch.setattr(os, "utime", lambda *args: (_ for _ in ()).throw(PermissionError))

    assert bits(parquet) == first
    assert opened == []


def test_a_write_that_the_disk_breaks_off_leaves_nothing(cache):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        keep(rows_of(1000), drawn(1000))  # 64,000 bytes
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert list(cache.iterdir()) == []


def test_a_disk_keeps_as_much_free_as_the_cache_takes(cache, monkeypatch):
    usage = shutil.disk_usage(cache.parent.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=127_999))
    keep(rows_of(1000), drawn(1000))  # 64,000 bytes
    refused = load(rows_of(1000))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=128_000))
    keep(rows_of(1000), drawn(1000))

    assert refused is None
    assert load(rows_of(1000)) is not None


def test_two_processes_at_once_get_the_same_bits_and_leave_valid_files(parquet, cache, opened):
    processes = [start(parquet) for _ in range(2)]
    printed = {process.communicate()[0] for process in processes}
    data = load_data(str(parquet), GREY, 10)

    assert [process.returncode for process in processes] == [0, 0]
    assert len(printed) == 1
    assert len(data.train) == 240 - len(data.validation)
    assert opened == []
    assert [path.suffix for path in cache.iterdir()] == [".safetensors"] * 2


def test_the_files_used_longest_ago_make_room(cache, monkeypatch):
    wanted = [rows_of(1000, data) for data in "abcd"]
    for age, one in enumerate(wanted[:3]):
        keep(one, drawn(1000))
        os.utime(one.file, (age, age))
    monkeypatch.setattr(image_cache, "LARGEST_BYTES", 3 * wanted[0].file.stat().st_size)
    load(wanted[0])  # so that b is now the one used longest ago
    keep(wanted[3], drawn(1000))

    assert [one.file.exists() for one in wanted] == [True, False, True, True]


def test_a_file_larger_than_the_cache_removes_no_other(monkeypatch):
    small, large = rows_of(10), rows_of(1000)
    keep(small, drawn(10))
    monkeypatch.setattr(image_cache, "LARGEST_BYTES", 20_000)
    keep(large, drawn(1000))

    assert small.file.exists()
    assert not large.file.exists()


def test_a_file_holds_images_and_labels(parquet, cache):
    data = load_data(str(parquet), GREY, 10)
    found = []
    for file in cache.iterdir():
        with safe_open(file, framework="pt") as kept:
            found.append((kept.get_tensor("images"), kept.get_tensor("labels")))
    images, labels = max(found, key=lambda pair: len(pair[1]))

    assert torch.equal(images, data.train.images)
    assert torch.equal(labels, data.train.labels)
