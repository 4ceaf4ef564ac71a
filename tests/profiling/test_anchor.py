"""What the anchor and the system's clock say of the machine is flagged; a quiet machine has no flags."""

from dataclasses import replace

import pytest
import torch

from archsearch.counting.meta_trace import trace_costs
from archsearch.profiling import anchor, conditions_of
from archsearch.profiling.anchor import MachineWatch, anchor_conditions, busy_flag, busy_seconds, drift_flag

CPU = conditions_of("cpu")
# CPU, then user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice.
BEFORE = """\
cpu  300 20 100 9000 50 3 4 8 0 0
cpu0 100 10 50 4000 20 1 2 7 0 0
cpu1 200 10 50 5000 30 2 2 1 0 0
intr 12345 0 0
ctxt 999
"""
# 100 ticks more of work, by every way of spending them; 900 of idleness.
AFTER = """\
cpu  350 30 110 9900 50 8 14 23 0 0
cpu0 150 20 60 4400 20 6 2 7 0 0
cpu1 200 10 50 5500 30 2 12 16 0 0
intr 23456 0 0
ctxt 1999
"""


@pytest.fixture(autouse=True)
def stat(tmp_path, monkeypatch):
    """What the system says of its CPUs, and no memory of other anchors."""
    monkeypatch.setattr(anchor, "PROC_STAT", tmp_path / "stat")
    monkeypatch.setattr(anchor, "best", {})
    monkeypatch.setattr(anchor, "cores", lambda: {0, 1})
    return tmp_path / "stat"


# --- drift ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timings", "flag"),
    [
        ([1.0, 1.0, 1.0, 9.0, 9.0, 9.0, 1.2, 1.2, 1.2], "the anchor's time changed by +20% meanwhile"),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.7, 0.7, 0.7], "the anchor's time changed by -30% meanwhile"),
        ([2.0, 9.0, 5.0], "the anchor's time changed by +150% meanwhile"),
        ([1.0, 1.0, 1.0, 9.0, 9.0, 9.0, 1.09, 1.09, 1.09], ""),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0], ""),
        ([1.0, 9.0], ""),
        ([], ""),
    ],
    ids=["slower", "faster", "three timings", "within a tenth", "one slow pass", "two timings", "none"],
)
def test_the_last_third_is_held_against_the_first(timings, flag):
    assert drift_flag(timings) == flag


# --- slower than ever -----------------------------------------------------------------------------


def test_an_anchor_that_takes_longer_than_its_best_is_flagged():
    anchor.best[CPU] = 10.0

    assert MachineWatch(CPU, [12.0, 12.5, 11.0]).slow_flag() == "the anchor takes 1.20 times its best here"
    assert anchor.best[CPU] == 10.0


def test_an_anchor_within_a_tenth_of_its_best_is_not_flagged():
    anchor.best[CPU] = 10.0

    assert MachineWatch(CPU, [10.9]).slow_flag() == ""


def test_a_faster_anchor_is_the_best_from_then_on():
    quick, slow = MachineWatch(CPU, [8.0]), MachineWatch(CPU, [10.0])
    anchor.best[CPU] = 10.0

    assert [slow.slow_flag(), quick.slow_flag()] == ["", ""]
    assert slow.slow_flag() == "the anchor takes 1.25 times its best here"


def test_the_best_under_other_conditions_says_nothing():
    anchor.best[replace(CPU, batch_size=2)] = 1.0

    assert MachineWatch(CPU, [10.0]).slow_flag() == ""


# --- others at work -------------------------------------------------------------------------------


def test_the_busy_seconds_are_those_of_every_cpu_that_did_not_idle(stat):
    stat.write_text(BEFORE)
    ticks = (100 + 10 + 50 + 1 + 2 + 7) + (200 + 10 + 50 + 2 + 2 + 1)

    assert busy_seconds() == ticks / 100


def test_a_system_that_does_not_tell_has_no_busy_seconds():
    assert busy_seconds() is None


@pytest.mark.parametrize(
    ("others", "flag"), [(0.5, "other processes used 0.5 of 2 CPU cores"), (0.25, ""), (0.0, ""), (-0.1, "")]
)
def test_more_than_a_quarter_of_a_core_is_flagged(others, flag):
    assert busy_flag(others) == flag


def test_what_others_used_is_what_was_used_less_its_own(stat):
    stat.write_text(BEFORE)
    watch = MachineWatch(CPU, [1.0])
    stat.write_text(AFTER)
    others_on_average = (1.0 - 0.4) / 2.0

    assert others_on_average == pytest.approx(0.3)
    assert watch.flags(wall_seconds=2.0, own_seconds=0.4) == ("other processes used 0.3 of 2 CPU cores",)


def test_its_own_work_is_no_work_of_others(stat):
    stat.write_text(BEFORE)
    watch = MachineWatch(CPU, [1.0])
    stat.write_text(AFTER)

    assert watch.flags(wall_seconds=2.0, own_seconds=1.0) == ()


def test_a_system_that_does_not_tell_flags_no_others(stat):
    watch = MachineWatch(CPU, [1.0])

    assert watch.flags(wall_seconds=2.0, own_seconds=0.0) == ()
    stat.write_text(AFTER)
    assert watch.flags(wall_seconds=2.0, own_seconds=0.0) == ()


def test_work_on_cores_that_this_process_may_not_use_disturbs_nothing(stat, monkeypatch):
    monkeypatch.setattr(anchor, "cores", lambda: {1})
    stat.write_text("cpu0 100 0 0 0 0 0 0 0 0 0\ncpu1 200 0 0 0 0 0 0 0 0 0\n")

    assert busy_seconds() == 200 / 100


def test_all_that_is_wrong_is_said_at_once(stat):
    stat.write_text(BEFORE)
    anchor.best[CPU] = 1.0
    watch = MachineWatch(CPU, [1.0, 1.5, 2.0])
    stat.write_text(AFTER)

    assert watch.flags(wall_seconds=2.0, own_seconds=0.0) == (
        "the anchor's time changed by +100% meanwhile",
        "the anchor takes 1.50 times its best here",
        "other processes used 0.5 of 2 CPU cores",
    )


# --- the network ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "macs"),
    [
        (CPU, 2 * (24 * 24) * (3 * 3 * 32) * 32),
        (replace(CPU, device="cuda:0"), 2 * (56 * 56) * (3 * 3 * 256) * 256),
    ],
    ids=["CPU", "GPU"],
)
def test_the_anchor_is_two_3x3_convolutions(monkeypatch, conditions, macs):
    monkeypatch.setattr(anchor, "build_pass", lambda network, image, _: (network, image))
    network, image = anchor.anchor.__wrapped__(conditions)

    work = trace_costs(lambda: network.to("meta"), image)[1]["conv spatial"]

    assert (work.calls, work.macs) == (2, macs)


@pytest.mark.parametrize(("device", "batch_size"), [("cpu", 1), ("cuda:0", 8)])
def test_beside_any_network_on_a_device_and_its_threads_the_anchor_is_the_same(device, batch_size):
    beside = replace(
        CPU,
        device=device,
        batch_size=64,
        dtype="bfloat16",
        memory_format="channels_last",
        mode="compiled",
        threads=2,
    )

    assert anchor_conditions(beside) == replace(CPU, device=device, batch_size=batch_size, threads=2)


def test_every_process_has_the_same_anchor(monkeypatch):
    monkeypatch.setattr(anchor, "build_pass", lambda network, *_: network)
    torch.manual_seed(1)
    before = torch.get_rng_state()

    one, other = (anchor.anchor.__wrapped__(CPU).state_dict() for _ in range(2))

    assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_anchor_is_made_ready_once():
    assert anchor.anchor(CPU) is anchor.anchor(replace(CPU))
