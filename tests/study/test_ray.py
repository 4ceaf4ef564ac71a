"""A search on a real Ray instance finds what a search without Ray finds, whatever dies on the way."""

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import ray_search
from table_search import GLANCE, SHORT, TINY, blind, outcome_of, recorded, search, settled, states, table

from archsearch.errors import EnvironmentFaultError, InputError
from archsearch.study.config import StudyConfig
from archsearch.study.engines.ray import OnRay, capacity, connected

with_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="archsearch[ray] is not installed"
)
HELPER = Path(ray_search.__file__)
# Attention alone: 2 x 3 = 6 architectures.
ATTENTIVE = """\
name: attentive
image: {channels: 1, height: 8, width: 8}
classes: 10
stem: {kind: patch, channels: {choice: [4, 8]}, size: 4}
stages:
  - {kind: mhsa, channels: {choice: [4, 8, 12]}, depth: 1, heads: 2, expansion: 0.5}
"""


@pytest.fixture(scope="module")
def ray_here():
    """Two CPUs of this machine."""
    ray = pytest.importorskip("ray", reason="archsearch[ray] is not installed")
    with pytest.MonkeyPatch.context() as patch:
        # Tasks find what stands in for training.
        patch.setenv("PYTHONPATH", str(HELPER.parent), prepend=os.pathsep)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setattr(ray, "init", partial(ray.init, num_cpus=2))
        with connected("local") as connection:
            yield connection
    assert not ray.is_initialized()


def trained(**settings):
    """A study that really trains, on one thread as Ray's tasks do."""
    usual = {"objectives": ("top1", "macs"), "trials": 4, "recipe": SHORT, "threads": 1, "device": "cpu"}
    return StudyConfig(**{**usual, "latency_seconds": GLANCE, **settings})


def found(space, config, folder, **how):
    """What a search finds, and how many of its trials are in which state."""
    search(space, config, folder, **how)
    return settled(folder), states(folder)


def test_a_search_on_one_worker_is_the_search_without_ray(ray_here, tiny, tmp_path):
    config = blind(trials=8, seed=3)
    alone = outcome_of(tiny, config, tmp_path / "alone")

    assert found(tiny, config, tmp_path / "ray", evaluate=table, engine=OnRay(workers=1)) == (
        alone,
        {"COMPLETE": 8},
    )


def test_as_many_candidates_as_there_are_cpus_use_up_the_budget_to_the_trial(ray_here, tiny, out):
    ending = search(tiny, blind(trials=9), out, evaluate=table, engine=OnRay())

    assert (ending.used, ending.exhausted) == (9, False)
    assert states(out) == {"COMPLETE": 9}
    assert ray_here.is_initialized()


def test_what_sigterm_means_is_left_alone(ray_here):
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_two_candidates_are_evaluated_at_the_same_time(ray_here, tiny, tmp_path, out):
    evaluate = partial(ray_search.meets, tmp_path)
    search(tiny, blind(trials=2), out, evaluate=evaluate, engine=OnRay(workers=2))

    assert [trial.values[0] for trial in recorded(out)] == [1.0, 1.0]


def test_training_in_tasks_gives_the_values_and_weights_of_training_here(ray_here, six, tmp_path):
    config = trained(sampler="random")
    alone = found(six, config, tmp_path / "alone")

    assert found(six, config, tmp_path / "one", engine=OnRay(workers=1)) == alone
    assert found(six, config, tmp_path / "two", engine=OnRay(workers=2)) == alone
    weights = [
        sorted(p.name for p in (tmp_path / run / "weights").iterdir()) for run in ("alone", "one", "two")
    ]
    assert weights[0] == weights[1] == weights[2] != []


def test_candidates_wait_at_rungs_and_go_on_through_ray(ray_here, space_of, tmp_path):
    space = space_of(ATTENTIVE)
    config = trained(sampler="random", trials=6, rungs=(0.34,), reduction_factor=3)
    alone = found(space, config, tmp_path / "alone")

    assert found(space, config, tmp_path / "ray", engine=OnRay(workers=1)) == alone
    values, count = found(space, config, tmp_path / "two", engine=OnRay(workers=2))
    assert values
    assert sum(count.values()) == 6
    assert "RUNNING" not in count


def test_a_candidate_whose_process_is_killed_once_is_evaluated_again(ray_here, tiny, tmp_path, out):
    evaluate = partial(ray_search.dies_once, tmp_path)
    search(tiny, blind(), out, evaluate=evaluate, engine=OnRay(workers=2))

    assert (tmp_path / "died").exists()
    assert states(out) == {"COMPLETE": 4}


def test_a_candidate_whose_process_is_killed_each_time_costs_itself_alone(ray_here, tiny, tmp_path, out):
    evaluate = partial(ray_search.dies_always, tmp_path)
    search(tiny, blind(), out, evaluate=evaluate, engine=OnRay(workers=2, retries=0))
    (lost,) = [trial for trial in recorded(out) if trial.state.name == "FAIL"]

    assert lost.user_attrs["slot"] == 1
    assert lost.user_attrs["outcome"] == "failed"
    assert lost.user_attrs["error"].startswith("train: process died (WorkerCrashedError: ")
    assert len(list(tmp_path.glob("died-*"))) == 1
    assert states(out) == {"COMPLETE": 3, "FAIL": 1}


def test_a_fault_of_a_machine_ends_the_search_and_leaves_no_trial_running(ray_here, tiny, out):
    with pytest.raises(EnvironmentFaultError, match=r"^/data: no space left$"):
        search(tiny, blind(), out, evaluate=ray_search.lacks_disk, engine=OnRay(workers=1))

    assert "RUNNING" not in states(out)
    assert found(tiny, blind(), out, evaluate=table, engine=OnRay())[1]["COMPLETE"] == 4


def test_what_a_machine_lacks_is_said(ray_here, tiny, tmp_path, monkeypatch, out):
    (tmp_path / "only_here.py").write_text("def evaluate(architecture, budget):\n    return 0.5\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    with pytest.raises(EnvironmentFaultError) as raised:
        search(tiny, blind(), out, evaluate=only_here.evaluate, engine=OnRay(workers=1))

    assert str(raised.value) == (
        "a machine of the cluster cannot read a candidate (RaySystemError: System error: No module named "
        "'only_here'); install the same archsearch there, and the module that evaluate is in"
    )


def test_the_same_call_resumes_where_a_killed_one_stopped(ray_here, space_of, tmp_path, out):
    space = space_of(TINY)
    killed = subprocess.Popen([sys.executable, HELPER, tmp_path / "space.yaml", out, "12"])
    # A record that is read while its tables are made would be in their way.
    while len(list(tmp_path.glob("slot-*"))) < 5:
        assert killed.poll() is None
        time.sleep(0.1)
    killed.kill()
    killed.wait()
    before = states(out)
    search(space, blind(trials=12), out, evaluate=table, engine=OnRay(workers=2))

    assert before["RUNNING"] >= 1
    assert before["COMPLETE"] < 12
    assert states(out) == {"COMPLETE": 12, "FAIL": before["RUNNING"]}


@pytest.mark.usefixtures("interruptible")
def test_a_request_to_stop_ends_what_is_in_flight(ray_here, tiny, tmp_path, out):
    def stop():
        while not (tmp_path / "begun").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop, daemon=True).start()
    evaluate = partial(ray_search.waits, tmp_path)
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        search(tiny, blind(), out, evaluate=evaluate, engine=OnRay(workers=2))

    assert time.monotonic() - begun < 30
    assert set(states(out)) == {"FAIL"}
    assert {trial.user_attrs["outcome"] for trial in recorded(out)} == {"interrupted"}


def test_where_no_machine_is_large_enough_the_search_does_not_begin(ray_here, six, out):
    with pytest.raises(InputError) as raised:
        search(six, blind(), out, evaluate=table, engine=OnRay(gpus=0.5))

    assert str(raised.value) == (
        "engine: cpus, gpus: no machine has 1 CPUs and 0.5 GPUs for a candidate, at most 2 and 0; "
        "ask for less, or add a machine to the cluster"
    )


def test_a_study_on_the_cpu_has_no_use_for_gpus(six, out):
    with pytest.raises(InputError) as raised:
        search(six, blind(device="cpu"), out, evaluate=table, engine=OnRay(gpus=0.5))

    assert str(raised.value) == "engine: gpus: 0.5 of a GPU, and the study says device: cpu; leave one out"


def test_without_ray_the_engine_says_how_to_install_it(monkeypatch, six, out):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError) as raised:
        search(six, blind(), out, evaluate=table, engine=OnRay())

    assert str(raised.value) == (
        "engine: ray: is not installed; install it with: pip install 'archsearch[ray]'"
    )


@with_ray
def test_the_module_does_not_load_ray():
    code = "import sys, archsearch.study.engines.ray; sys.exit('ray' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_engine_that_cannot_be_is_refused_with_all_that_is_wrong():
    with pytest.raises(InputError) as raised:
        OnRay(workers=0, gpus=1.5, cpus=0, retries=-1)

    assert str(raised.value).splitlines() == [
        "engine: workers: 0 is too little; write 1 or more, or leave it out",
        "engine: cpus: 0 is too little; write 1, or a fraction",
        "engine: retries: -1 is too little; write 0 or more",
        "engine: gpus: 1.5 is no whole number; write one, or a fraction below 1",
    ]


@pytest.mark.parametrize(
    ("cpus", "gpus", "expected"),
    [
        (1, 0, 16 + 8),
        (1, 0.5, 4 * 2),  # the machine without a GPU takes none
        (1, 0.3, 4 * 3),  # not 13: a GPU takes whole shares
        (1, 0.1, 16),  # 40 shares of GPUs, and 16 CPUs beside them
        (3, 0, 5 + 2),
        (1, 2, 2),
        (0.5, 0, 32 + 16),
        (32, 0, 0),
    ],
)
def test_a_cluster_takes_as_many_candidates_as_its_machines_take_whole(cpus, gpus, expected):
    nodes = [
        {"Alive": True, "Resources": {"CPU": 16.0, "GPU": 4.0}},
        {"Alive": True, "Resources": {"CPU": 8.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]

    assert capacity(nodes, cpus, gpus) == expected
