"""A limit on memory: who takes more is refused, nobody else is, and afterwards all is as before."""

import json
import resource
import subprocess
import sys

import pytest
import torch

from archsearch.errors import FailedTrialError
from archsearch.proxy.limits import limited_memory

CPU = torch.device("cpu")
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits what a process may allocate")

# In a process of its own: a limit that stayed would hurt every test behind it. Everything is tried in one.
SCRIPT = """
import json, resource, torch
from torch import nn
from archsearch.errors import FailedTrialError
from archsearch.data import load_data
from archsearch.proxy import Recipe, Training
from archsearch.proxy.limits import limited_memory
from archsearch.shapes import FeatureShape

torch.set_num_threads(2)
CPU, found = torch.device("cpu"), {}
before = resource.getrlimit(resource.RLIMIT_DATA)
unused = torch.empty(2**20)  # no thread but the first has run yet


def attempt(mib, work):
    try:
        with limited_memory(mib, CPU):
            return work()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        assert resource.getrlimit(resource.RLIMIT_DATA) == before


digits = load_data("digits", FeatureShape(1, 8, 8), 10, limit=256)


def train(width):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(36 * width, 10))
    training = Training(network, digits, Recipe(samples=256, batch_size=128), CPU)
    return attempt(limit, lambda: training.finish().loss)


found["threads"] = attempt(1, lambda: float(unused.fill_(1).add_(1)[0]))
found["small"] = attempt(64, lambda: torch.ones(2**20).sum().item())
found["large"] = attempt(64, lambda: torch.ones(2**28).sum().item())
found["python"] = attempt(64, lambda: len(bytearray(2**28)))
found["anew"] = attempt(64, lambda: torch.ones(2**23).sum().item())
limit = None
found["unlimited"] = train(8)
for limit in (1, 2, 4, 8, 16):
    found[f"at {limit}"] = train(256)
limit = 64
found["afterwards"] = train(8)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@linux
def test_what_takes_more_is_refused(found):
    assert "can't allocate memory" in found["large"]
    assert found["python"].startswith("MemoryError")


@linux
def test_what_takes_less_is_let_through(found):
    assert found["small"] == 2**20


@linux
def test_a_refusal_is_forgotten(found):
    assert found["anew"] == 2**23


@linux
def test_a_process_is_not_ended_for_want_of_a_thread(found):
    """OpenMP exits where the kernel refuses the stack of a thread; so it starts them before the limit holds."""
    assert found["threads"] == 2


@linux
def test_a_training_that_takes_more_is_lost_in_words_and_the_process_lives(found):
    """Whichever library it is that is refused: at each of these limits it may be another one."""
    outcomes = [found[f"at {limit}"] for limit in (1, 2, 4, 8, 16)]

    assert all(
        isinstance(o, float) or o.startswith("FailedTrialError: train: out of memory") for o in outcomes
    )
    assert isinstance(outcomes[0], str)


@linux
def test_a_training_behind_a_refused_one_gives_the_same_bits(found):
    assert found["afterwards"] == found["unlimited"]


def limit():
    return resource.getrlimit(resource.RLIMIT_DATA)


@linux
def test_the_limit_holds_inside_alone():
    before = limit()
    with limited_memory(4096, CPU):
        inside = limit()

    assert inside != before
    assert inside[1] == before[1]
    assert limit() == before


@linux
def test_the_limit_is_lifted_behind_an_error_too():
    before = limit()
    with pytest.raises(KeyboardInterrupt), limited_memory(4096, CPU):
        raise KeyboardInterrupt

    assert limit() == before


def test_without_a_setting_nothing_is_limited():
    before = limit()
    with limited_memory(None, CPU):
        assert limit() == before


@linux
def test_a_limit_of_the_machine_is_never_raised(monkeypatch):
    """Somebody has set one below ours: theirs holds."""
    theirs, asked = (2**20, 2**30), []
    monkeypatch.setattr(resource, "getrlimit", lambda _: theirs)
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    with limited_memory(4096, CPU):
        pass

    assert asked == [theirs, theirs]


@linux
@pytest.mark.parametrize("words", ["could not create a primitive", "std::bad_alloc"])
def test_other_words_of_a_library_for_the_same_are_understood(words):
    message = f"out of memory .{words}.; candidate_memory_mib is 4096"
    with pytest.raises(FailedTrialError, match=message), limited_memory(4096, CPU):
        raise RuntimeError(words)


@linux
def test_another_error_stays_what_it_is():
    with pytest.raises(RuntimeError, match="shapes"), limited_memory(4096, CPU):
        raise RuntimeError("shapes cannot be multiplied")
