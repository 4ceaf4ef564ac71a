"""Files and settings that cannot be used: one line a problem with its place, code 2, nothing written."""

import re

import pytest
from command_line import TINY

KEY = "image: {channels: 1, height: 8, width: 8}"
CONV = "      conv: {kernel: {choice: [1, 3]}, expansion: 0.5}"
MHSA = "      mhsa: {heads: 2, expansion: 0.5, position: none}"
CHANNELS = "  - channels: {choice: [4, 8, 12]}"

# What is written instead, the line it stands on, and the key and the words that the message must have.
WRONG = {
    "a typo in a key": (KEY, "imgae: {channels: 1, height: 8, width: 8}", 2, "imgae", "did you mean image?"),
    "a typo in a stage": (CONV, CONV.replace("kernel", "kernle"), 9, "kernle", "did you mean kernel?"),
    "heads that do not divide the channels": (
        MHSA,
        "      mhsa: {heads: 5, expansion: 0.5, position: none}",
        10,
        "stages.0.mhsa.heads",
        "5",
    ),
    "a kernel larger than the map": (
        CONV,
        "      conv: {kernel: {choice: [1, 7]}, expansion: 0.5}",
        9,
        "stages.0.conv.kernel",
        "7 is larger than the 4x4 map",
    ),
    "an unknown kind": (MHSA, MHSA.replace("mhsa", "mamba"), 10, "mamba", "is no kind; use one of"),
    "an empty choice": (CHANNELS, "  - channels: {choice: []}", 6, "stages.0.channels", "choice"),
    "no YAML": ("name: tiny", "name: [tiny", 2, "", "closing bracket is missing"),
    "a bad study": ("  trials: 3", "  trials: three", 13, "study.trials", "three is text; write an integer"),
}


def spoilt(name):
    before, after, *_ = WRONG[name]
    assert before in TINY
    return TINY.replace(before, after)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_space_is_reported_with_its_line_and_nothing_is_written(archsearch, tmp_path_factory, name):
    path = tmp_path_factory.mktemp("spaces") / "wrong.yaml"
    path.write_text(spoilt(name))
    *_, line, key, words = WRONG[name]

    done = archsearch.here("run", path)

    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert all(text.startswith(f"archsearch: error: {path}") for text in lines), done.stderr
    assert any(f"{path}:{line}: " in text and key in text and words in text for text in lines), done.stderr
    assert list(archsearch.folder.iterdir()) == []


def test_the_installed_command_refuses_alike(archsearch, tmp_path_factory):
    path = tmp_path_factory.mktemp("spaces") / "wrong.yaml"
    path.write_text(spoilt("a typo in a key"))

    done = archsearch("run", path)

    assert (done.returncode, done.stdout, done.stderr) == (2, "", archsearch.here("run", path).stderr)
    assert list(archsearch.folder.iterdir()) == []


def test_all_problems_of_a_space_are_reported_at_once(archsearch, tmp_path_factory):
    path = tmp_path_factory.mktemp("spaces") / "wrong.yaml"
    path.write_text(spoilt("a typo in a stage").replace(MHSA, MHSA.replace("mhsa", "mamba")))

    lines = archsearch.here("run", path).stderr.splitlines()

    assert [line.split(": ")[2].rpartition(":")[2] for line in lines] == ["9", "10"]


WITHOUT_FILE = {
    "run": ("run", "gone.yaml"),
    "run with a study": ("run", "gone.yaml", "--study", "gone"),
    "check": ("check", "gone.yaml"),
    "profile": ("profile", "gone.yaml"),
    "results": ("results", "gone"),
    "export": ("export", "gone", "--trial", "0"),
}


@pytest.mark.parametrize("name", WITHOUT_FILE)
def test_a_missing_file_is_reported_in_one_line(archsearch, name):
    done = archsearch.here(*WITHOUT_FILE[name])

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("archsearch: error: gone")
    assert done.stderr.count("\n") == 1
    assert list(archsearch.folder.iterdir()) == []


def test_a_study_that_the_device_cannot_measure_is_refused_and_nothing_is_written(
    archsearch, tmp_path_factory
):
    path = tmp_path_factory.mktemp("spaces") / "tiny.yaml"
    path.write_text(TINY + "  latency_mode: cuda_graph\n")

    for command in ("check", "run"):
        done = archsearch.here(command, path, "--device", "cpu")
        assert done.returncode == 2
        assert re.fullmatch(
            r"archsearch: error: .*mode: cuda_graph needs a CUDA device, not cpu; .*\n", done.stderr
        )
    assert list(archsearch.folder.iterdir()) == []


BAD_SETTINGS = {
    "no trials": (("--trials", "0"), "archsearch run: --trials: 0 is too small; write at least 1"),
    "a negative seed": (("--seed", "-1"), "archsearch run: --seed: -1 is too small; write at least 0"),
    "no such device": (("--device", "tpu"), "--device: tpu is not here; use one of auto, cpu"),
    "less than a batch": (("--samples", "16"), "16 samples are less than one batch of 32"),
    "no such data": (("--data", "./gone"), "./gone"),
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_a_bad_flag_is_refused_and_nothing_is_written(archsearch, tmp_path_factory, name):
    flags, message = BAD_SETTINGS[name]
    path = tmp_path_factory.mktemp("spaces") / "tiny.yaml"
    path.write_text(TINY)

    done = archsearch.here("run", path, *flags)

    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("archsearch: error: ")
    assert "Traceback" not in done.stderr
    assert list(archsearch.folder.iterdir()) == []
