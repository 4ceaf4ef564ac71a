"""Help, version, and words that the command line does not know: answered at once, without torch."""

import re
import subprocess
import sys
import time
from importlib.metadata import version

import pytest

COMMANDS = ("run", "check", "profile", "results", "report", "train", "export", "swap", "dashboard")


def test_help_names_every_command(archsearch):
    done = archsearch("--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert set(COMMANDS) <= set(done.stdout.split())


@pytest.mark.alone
def test_help_answers_in_half_a_second(archsearch):
    def seconds():
        start = time.perf_counter()
        archsearch("--help")
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < 0.5


def test_help_needs_no_torch():
    code = (
        "import sys; from archsearch.cli import main; sys.argv = ['archsearch', '--help']\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(archsearch, command):
    done = archsearch(command, "--help")

    assert done.returncode == 0
    assert f"archsearch {command}" in done.stdout


def test_run_explains_every_flag(archsearch):
    help_text = archsearch("run", "--help").stdout
    flags = set(re.findall(r"--[a-z-]+", help_text))

    assert flags >= {"--study", "--trials", "--data", "--samples", "--seed", "--device", "--out"}


@pytest.mark.parametrize(
    ("command", "default"),
    [
        ("run", "runs/SPACE/DATA-seedN"),
        ("train", "trained/NAME/DATA-seedN"),
        ("dashboard", "8080, or a free one"),
    ],
)
def test_help_names_the_defaults_that_depend_on_something(archsearch, command, default):
    """Square brackets are not printed: they are markup."""
    assert default in " ".join(archsearch.here(command, "--help").stdout.replace("│", " ").split())


def test_help_names_every_runtime_and_every_kind_of_source(archsearch):
    from archsearch.data.sources import SOURCES
    from archsearch.profiling.runtimes import RUNTIMES

    profile, run = (
        " ".join(archsearch.here(command, "--help").stdout.split()) for command in ("profile", "run")
    )

    assert not [name for name in RUNTIMES if name not in profile]
    assert not [kind.wording for kind in SOURCES if kind.wording.split()[0].lower() not in run.lower()]


def test_the_version_is_that_of_the_package(archsearch):
    done = archsearch("--version")

    assert (done.returncode, done.stdout) == (0, version("archsearch") + "\n")


def test_the_command_alone_shows_help(archsearch):
    assert "run" in (archsearch().stdout + archsearch().stderr).split()


MISUSED = {
    "an unknown command": ("serach",),
    "an unknown flag": ("run", "tiny.yaml", "--trails", "3"),
    "a missing argument": ("run",),
    "an argument too many": ("results", "one", "two"),
    "text for a number": ("run", "tiny.yaml", "--trials", "many"),
    "too few draws": ("check", "tiny.yaml", "--draws", "1"),
    "an export of a trial that is no number": ("export", "run", "--trial", "best"),
}


@pytest.mark.parametrize("name", MISUSED)
def test_misuse_is_one_line_and_code_two(archsearch, name):
    done = archsearch(*MISUSED[name])

    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"archsearch: error: .+; see archsearch --help\n", done.stderr)
    assert list(archsearch.folder.iterdir()) == []
